"""What a stream does when it is asked: lessons on the disk, events to publish, its state, a rollback; refusals in one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.errors import CavsError
from cavs.runtime.lesson import Decision, Hint, Lessons, Outcome, ProposalRecord, WindowVerdict
from cavs.runtime.manifest import to_json
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from cavs.runtime.store import ModelStore
from cavs.stream.control_answers import LESSONS_OPEN_MAX, Answers, Stream
from cavs.stream.control_requests import read_request
from cavs.stream.counters import Counters
from cavs.stream.header import SoundFormat
from cavs.stream.health import Health
from cavs.stream.items import StampGrade, VideoFrame, Window
from cavs.stream.masks import SoundingObject
from cavs.stream.recent import Recent
from cavs.stream.said import WAITING_MAX, Said
from tests.tiny_bundle import red_green_swapped, tone

HOP_NS = 100 * NS_PER_MS
START_NS = 100 * NS_PER_S


class Rig:
    """A stream that stands still: a store, a slot, and a ring that is filled by hand."""

    def __init__(self, bundle: Bundle, store: Path | None) -> None:
        sound = bundle.manifest.sound
        self.bundle = bundle
        self.clock = ManualClock(START_NS)
        self.slot = Slot(OnnxEngine(bundle, threads=1), default_adapter(bundle), self.clock, version=1)
        self.said = Said()
        self.recent = Recent((64, 64), SoundFormat(rate_hz=sound.rate_hz, samples=sound.samples), seconds=5, mib=2)
        health = Health(self.clock, Counters(), self.slot)
        stream = Stream("kitchen", "ipc:///masks", self.slot, self.recent, health, self.said, self.clock, store=store)
        self.answers = Answers(stream)

    def see(self, windows: int, *objects: int) -> None:
        for _ in range(windows):
            self.clock.advance_ns(HOP_NS)
            t_ns = self.clock.now_ns()
            heard = tone(self.bundle)
            frame = VideoFrame(np.zeros((120, 160, 3), np.uint8), t_ns, 0)
            window = Window(frame, heard, 0, t_ns - HOP_NS, t_ns, 0, 0, StampGrade.A)
            things = [SoundingObject(k, 0, "red", 1, (16, 16, 32, 16), 9, lambda: np.zeros(0, bool)) for k in objects]
            self.recent.append(window, np.full((64, 64, 3), 7, np.uint8), things)

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        return self.answers.answer(read_request({"do": do, **fields}))

    def refusal(self, do: str, **fields: Any) -> str:
        with pytest.raises(CavsError) as refused:
            self.ask(do, **fields)
        assert "\n" not in str(refused.value)
        return str(refused.value)


@pytest.fixture
def store(tmp_path: Path, tiny_bundle: Bundle) -> ModelStore:
    made = ModelStore(tmp_path / "models")
    made.commit(None, made.add_bundle(tiny_bundle.root))
    return made


@pytest.fixture
def rig(tiny_bundle: Bundle, store: ModelStore) -> Iterator[Rig]:
    made = Rig(tiny_bundle, store.path)
    yield made
    made.slot.close()


def test_teaching_writes_what_was_seen_in_the_last_seconds(rig: Rig, store: ModelStore) -> None:
    rig.see(40)
    answer = rig.ask("teach", name="kettle", seconds=2.0, box=[40, 30, 80, 60])
    lessons = Lessons(store.path)
    request, windows = lessons.request(answer["lesson"]), lessons.windows(answer["lesson"])
    assert (request.kind, request.name, request.stream, request.yes) == ("teach", "kettle", "kitchen", False)
    assert request.hint == Hint(box=(0.25, 0.25, 0.5, 0.5))
    assert request.model is not None
    assert (request.model.bundle, request.model.version) == (rig.bundle.id, 1)
    assert answer["windows"] == len(windows) == 20
    assert windows.t_ns[-1] == rig.clock.now_ns()
    sound = rig.bundle.manifest.sound
    assert np.allclose(windows.sound_of(5, sound.samples), tone(rig.bundle))
    assert (answer["known"], answer["learner"]["alive"]) == (False, False)


def test_a_name_that_is_known_is_taught_further_and_said_so(rig: Rig) -> None:
    rig.see(5)
    assert rig.ask("teach", name="red")["known"] is True


def test_a_mask_lies_beside_the_windows(rig: Rig, store: ModelStore) -> None:
    import cv2

    rig.see(5)
    png = bytes(cv2.imencode(".png", np.full((8, 8), 255, np.uint8))[1])
    lesson = rig.ask("teach", name="kettle", mask=png)["lesson"]
    assert (Lessons(store.path).directory(lesson) / "mask.png").read_bytes() == png


def test_the_thing_that_was_marked_last_is_corrected(rig: Rig, store: ModelStore) -> None:
    rig.see(5, 3)
    rig.see(5)
    lessons = Lessons(store.path)
    lesson = rig.ask("correct", sounding=False, yes=True)["lesson"]
    request, windows = lessons.request(lesson), lessons.windows(lesson)
    assert (request.kind, request.name, request.sounding, request.yes) == ("correct", None, False, True)
    assert request.hint == Hint(object=3)
    assert windows.boxes is not None
    assert np.allclose(windows.boxes, np.array([(0.25, 0.25, 0.5, 0.25)] * 5))
    named = lessons.request(rig.ask("correct", name="green", object=3)["lesson"])
    assert (named.name, named.sounding) == ("green", True)


def test_several_things_are_not_guessed_between(rig: Rig) -> None:
    rig.see(5, 3, 8)
    assert "2 things were marked: 3 red, 8 red; say which" in rig.refusal("correct", name="green")


def test_what_cannot_be_taught_is_one_line_and_nothing_is_written(rig: Rig, store: ModelStore) -> None:
    assert "nothing recent yet" in rig.refusal("teach", name="kettle")
    assert "nothing recent yet" in rig.refusal("recent", seconds=1.0)
    assert "nothing was marked" in rig.refusal("correct", name="kettle")
    rig.see(5)
    assert "no path" in rig.refusal("teach", name="a/b")
    assert "empty" in rig.refusal("teach", name="")
    assert "is empty" in rig.refusal("teach", name="kettle", box=[0, 0, 0, 0])
    assert "outside of the picture of 160x120" in rig.refusal("teach", name="kettle", point=[500, 500])
    assert "object 99 was not marked" in rig.refusal("teach", name="kettle", object=99)
    assert Lessons(store.path).ids() == ()


def test_a_store_that_cannot_take_lessons_is_one_line(rig: Rig, store: ModelStore) -> None:
    rig.see(5)
    (store.path / "lessons").write_text("in the way")
    assert "a directory that can be read was expected" in rig.refusal("teach", name="kettle")


def test_lessons_that_nobody_learns_do_not_fill_the_disk(rig: Rig, store: ModelStore) -> None:
    rig.see(2)
    lessons = [rig.ask("teach", name="kettle")["lesson"] for _ in range(LESSONS_OPEN_MAX)]
    assert "20 lessons wait already; does a learner run?" in rig.refusal("teach", name="kettle")
    Lessons(store.path).finish(lessons[0], Outcome(state="rejected"))
    rig.ask("teach", name="kettle")


def test_without_a_store_nothing_can_be_taught(tiny_bundle: Bundle) -> None:
    rig = Rig(tiny_bundle, None)
    rig.see(5)
    for do, fields in (("teach", {"name": "kettle"}), ("correct", {"name": "kettle"}), ("rollback", {})):
        assert "no model store" in rig.refusal(do, **fields)
    assert rig.ask("status")["store"] is None
    rig.slot.close()


def test_recent_windows_are_thinned_to_what_was_asked_for(rig: Rig) -> None:
    rig.see(40)
    answer = rig.ask("recent", seconds=4.0, most=8)
    assert answer["shape"] == [8, 64, 64, 3]
    assert len(answer["frames"].tobytes()) == 8 * 64 * 64 * 3
    assert len(answer["sound"]) * 4 == len(answer["sound"].tobytes())
    assert answer["t_ns"][-1] == rig.clock.now_ns()


def test_what_is_said_waits_for_the_live_loop(rig: Rig) -> None:
    rig.ask("say", kind="unknown", subject="object 3", text="what is this?", thumb=b"\xff\xd8")
    (event,) = rig.said.take()
    assert (event.kind, event.device, event.text, event.thumb) == ("unknown", "object 3", "what is this?", b"\xff\xd8")
    for _ in range(WAITING_MAX):
        rig.ask("say", kind="a", subject="b")
    assert "say it again later" in rig.refusal("say", kind="a", subject="b")


def test_the_status_says_what_is_kept_and_by_whom_it_is_learned(rig: Rig, store: ModelStore) -> None:
    rig.see(40)
    (store.path / "learner").mkdir()
    (store.path / "learner" / "status.json").write_text(json.dumps({"doing": "training"}))
    lesson = rig.ask("teach", name="kettle")["lesson"]
    status = rig.ask("status")
    assert (status["stream"], status["publishes"], status["classes"]) == ("kitchen", "ipc:///masks", ["red", "green", "blue"])
    assert status["model"]["version"] == 1
    assert status["recent"]["frames"] == 40
    assert status["recent"]["seconds"] == pytest.approx(3.9)
    assert (status["recent"]["most_seconds"], status["recent"]["source"]) == (5, (120, 160))
    assert 0 < status["recent"]["mib"] <= 2
    assert status["learner"] == {"alive": False, "status": {"doing": "training"}}
    assert [(told["lesson"], told["state"]) for told in status["lessons"]] == [(lesson, "waiting")]


def test_a_lesson_is_followed_and_decided_over_the_socket(rig: Rig, store: ModelStore) -> None:
    rig.see(5)
    lesson = rig.ask("teach", name="kettle")["lesson"]
    home = Lessons(store.path).directory(lesson)
    (home / "proposal").mkdir()
    windows = tuple(WindowVerdict(frame=k, kept=k > 0, reason="" if k else "silent") for k in range(5))
    (home / "proposal" / "proposal.json").write_bytes(to_json(ProposalRecord(name="kettle", windows=windows)))
    (home / "proposal" / "preview.png").write_bytes(b"png")
    told = rig.ask("lesson", lesson=lesson, preview=True)
    assert (told["state"], told["preview"], told["directory"]) == ("proposed", b"png", str(home))
    assert told["proposal"] == {"windows": 5, "kept": 4, "dropped": {"silent": 1}, "note": ""}
    rig.ask("decide", lesson=lesson, accept=True, by="me")
    decision = Lessons(store.path).decision(lesson)
    assert isinstance(decision, Decision)
    assert (decision.accept, decision.by) == (True, "me")
    told = rig.ask("lesson", lesson=lesson)
    assert (told["state"], "preview" in told) == ("learning", False)


def test_a_rollback_is_the_stores(rig: Rig, store: ModelStore) -> None:
    assert "nothing to roll back to" in rig.refusal("rollback")
    store.commit(red_green_swapped(rig.bundle), rig.bundle.id)
    assert rig.ask("rollback") == {"version": 1}
    assert store.load_current().version == 1
