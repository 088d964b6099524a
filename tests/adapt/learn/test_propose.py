"""The windows of a lesson, labelled."""

from typing import Any

import numpy as np
import pytest

from cavs.adapt.learn.material import UNKNOWN
from cavs.adapt.learn.propose import PAUSES, Proposal, _verdict, propose
from cavs.adapt.learn.sounding import sounding_frames
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import Hint, LessonRequest
from cavs.runtime.lesson_windows import Windows
from tests.adapt.learn.lessons import NAME, RATE_HZ, crossing, hum, knowing

SIZE = 64
FPS = 5


def windows(count: int = 10, loudness: float = 1.0, boxes: np.ndarray | None = None) -> tuple[Windows, np.ndarray]:
    frames, masks = crossing(count)
    t_ns = ((1 + np.arange(count)) / FPS * NS_PER_S).astype(np.int64)
    sound = loudness * hum(count * RATE_HZ // FPS)
    return Windows(frames, t_ns, sound.astype(np.float32), 0, RATE_HZ, boxes), masks


def request(**fields: Any) -> LessonRequest:
    told: dict[str, Any] = {
        "id": "20261121T160000-aabbcc",
        "kind": "teach",
        "name": NAME,
        "asked_wall_ns": 5,
        "rate_hz": RATE_HZ,
    }
    return LessonRequest(**(told | fields))


def proposed(asked: LessonRequest, lesson: Windows, **more: Any) -> Proposal:
    network, _, adapter = knowing("dog")
    return propose(network, adapter, asked, lesson, **more)


def box_of(mask: np.ndarray, margin: float = 0.04) -> tuple[float, float, float, float]:
    rows, cols = np.flatnonzero(mask.any(1)) / SIZE, np.flatnonzero(mask.any(0)) / SIZE
    return (cols[0] - margin, rows[0] - margin, cols[-1] - cols[0] + 2 * margin, rows[-1] - rows[0] + 2 * margin)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("kind", ["box", "point", "mask", "object"])
def test_what_is_pointed_at_is_outlined_in_every_window(kind: str) -> None:
    lesson, masks = windows()
    last = masks[-1]
    hint, more = Hint(), dict[str, Any]()
    if kind == "box":
        hint = Hint(box=box_of(last))
    elif kind == "point":
        hint = Hint(point=(float(np.argwhere(last)[:, 1].mean() / SIZE), 0.5))
    elif kind == "mask":
        hint, more = Hint(mask="mask.png"), {"mask": last}
    else:
        lesson, masks = windows(boxes=np.array([box_of(mask) for mask in masks], np.float32))
        hint = Hint(object=3)
    made = proposed(request(hint=hint), lesson, **more)
    assert made.record.kept == len(made.exemplars) == 10
    assert np.mean([overlap(a, b) for a, b in zip(made.masks, masks, strict=True)]) > 0.7
    one = made.exemplars[-1]
    assert one.names == (NAME,)
    assert (one.source, one.wall_ns) == ("20261121T160000-aabbcc", 5)
    np.testing.assert_array_equal(one.sound, lesson.sound_of(9, len(one.sound)))


def test_silence_teaches_nothing() -> None:
    lesson, _ = windows(loudness=1e-4)
    with pytest.raises(LessonRejected, match="the 2 s of this lesson are silent; teach whistle while it sounds"):
        proposed(request(hint=Hint(box=(0.2, 0.2, 0.5, 0.5))), lesson)


def test_windows_in_which_it_is_silent_are_pauses_and_some_of_them_are_kept() -> None:
    lesson, masks = windows(40)
    lesson.sound[: len(lesson.sound) // 2] = 0
    made = proposed(request(hint=Hint(mask="mask.png")), lesson, mask=masks[-1])
    pauses = [line.frame for line in made.record.windows if line.kept and line.reason == "silent"]
    assert len(pauses) == PAUSES
    assert max(pauses) < 20
    assert made.record.dropped["silent"] >= 8
    assert not made.masks[:19].any()
    assert made.masks[-1].any()
    assert sum(not one.marks for one in made.exemplars) == PAUSES
    assert "8 pauses" in made.record.note


def test_windows_in_which_something_quieter_is_heard_are_neither_sound_nor_pause() -> None:
    lesson, _ = windows(60)
    lesson.sound[: len(lesson.sound) // 3] *= 0.2
    lesson.sound[len(lesson.sound) // 3 : 2 * len(lesson.sound) // 3] *= 1e-3
    sure, paused = sounding_frames(lesson)
    assert not sure[:36].any()
    assert not paused[:20].any()
    assert paused[24:38].all()
    assert sure[42:].all()


def test_what_swells_and_fades_and_never_pauses_sounds_all_the_time() -> None:
    lesson, _ = windows(60)
    t = np.arange(len(lesson.sound)) / RATE_HZ
    lesson.sound[:] *= 10 ** (-(9 + 9 * np.cos(2 * np.pi * t / 4)) / 20)
    lesson.sound[(t % 0.5) < 0.1] *= 1e-2
    sure, paused = sounding_frames(lesson)
    assert sure.all()
    assert not paused.any()


def test_nothing_that_can_be_told_asks_for_a_box() -> None:
    lesson, _ = windows()
    with pytest.raises(LessonRejected, match="give a box around it"):
        proposed(request(), lesson)


def test_an_empty_box_is_one_line() -> None:
    lesson, _ = windows()
    with pytest.raises(LessonRejected, match=r"the box .* holds 10 pixels, 150 at least expected"):
        proposed(request(hint=Hint(box=(0.5, 0.5, 0.05, 0.05))), lesson)


def test_an_empty_mask_and_windows_of_another_model_are_refused() -> None:
    lesson, masks = windows()
    with pytest.raises(LessonRejected, match="the mask has 0 pixels"):
        proposed(request(hint=Hint(mask="mask.png")), lesson, mask=np.zeros_like(masks[0]))
    other = Windows(lesson.frames[:, :32], lesson.t_ns, lesson.sound, 0, RATE_HZ)
    with pytest.raises(LessonRejected, match="windows of 32x64 at 16000 Hz, this model takes 64x64"):
        proposed(request(), other)


def test_a_correction_can_take_the_sound_or_the_name_away() -> None:
    lesson, masks = windows(loudness=1e-4)
    hint = Hint(mask="mask.png")
    made = proposed(request(kind="correct", sounding=False, hint=hint), lesson, mask=masks[-1])
    assert {one.marks for one in made.exemplars} == {()}
    lesson, _ = windows()
    made = proposed(request(kind="correct", name=None, hint=hint), lesson, mask=masks[-1])
    assert made.exemplars[0].names == (UNKNOWN,)


def test_sound_and_sight_must_agree() -> None:
    thing = np.zeros((SIZE, SIZE), bool)
    thing[20:40, 20:40] = True
    there = np.where(thing, 0.9, 0.05).astype(np.float32)
    elsewhere = np.roll(there, 24, axis=1)
    nothing = np.full((SIZE, SIZE), 0.05, np.float32)
    reason, score = _verdict(thing, there, nothing, 0.5, hinted=False)
    assert reason is None
    assert score == pytest.approx(0.9)
    assert _verdict(thing & False, there, nothing, 0.5, hinted=False)[0] == "not seen"
    assert _verdict(thing, there, there, 0.5, hinted=False)[0] == "sight alone"
    assert _verdict(thing, elsewhere, nothing, 0.5, hinted=True)[0] == "disagree"
    assert _verdict(thing, nothing, nothing, 0.5, hinted=False)[0] == "disagree"
    assert _verdict(thing, nothing, nothing, 0.5, hinted=True)[0] is None  # the person knows better
