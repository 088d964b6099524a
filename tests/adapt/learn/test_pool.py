"""Pictures and sounds that a lesson is learned from."""

from dataclasses import replace

import numpy as np
import torch

from cavs.adapt.data.procedural import CLASSES as DRAWN
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.pool import Composer, join
from tests.adapt.learn.lessons import NAME, exemplars, hum
from tests.small_network import SMALL, small_network

OPTIONS = LearnOptions(shown=0.4, pasted=0.4)


def composer(seed: int = 0) -> Composer:
    return Composer(small_network(), exemplars(), (), DRAWN[:2], OPTIONS, seed)


def test_pictures_show_what_was_taught_and_what_was_known() -> None:
    made = [composer().picture(number) for number in range(30)]
    shown = [{name for name, _ in picture.shown} for picture in made]
    assert sum(NAME in names for names in shown) > 12
    assert any(names and NAME not in names for names in shown)
    assert {name for names in shown for name in names} <= {NAME, *DRAWN[:2]}
    assert {picture.frame.shape for picture in made} == {(SMALL.frame_height_px, SMALL.frame_width_px, 3)}


def test_only_frames_of_a_lesson_bring_a_sound() -> None:
    came = [picture.own for number in range(30) if (picture := composer().picture(number)).own is not None]
    assert 4 < len(came) < 22
    assert all(sound.now == (NAME,) for sound in came)


def test_sounds_are_of_what_was_taught_of_others_and_of_nothing() -> None:
    heard = [set(composer().sound(number).now) for number in range(60)]
    assert sum(NAME in names for names in heard) > 15
    assert sum(bool(names) and NAME not in names for names in heard) > 5
    assert sum(not names for names in heard) > 5


def test_the_more_was_taught_before_the_more_of_it_is_shown_and_heard() -> None:
    def shares(*earlier: str) -> tuple[float, float]:
        """Of 90 pictures and sounds: those with the new thing, those with one of earlier lessons."""
        memory = tuple(one for name in earlier for one in exemplars(2, name, name))
        composer = Composer(small_network(), exemplars(), memory, DRAWN[:2], OPTIONS, 0)
        shown = [{name for name, _ in composer.picture(number).shown} for number in range(90)]
        heard = [set(composer.sound(number).now) for number in range(90)]
        counted = [sum(bool(names & set(some)) for names in (*shown, *heard)) / 180 for some in ((NAME,), earlier)]
        return counted[0], counted[1]

    (new_alone, _), (new_of_two, one_earlier), (new_of_five, four_earlier) = shares(), shares("a"), shares("a", "b", "c", "d")
    assert new_alone > new_of_two > new_of_five > 0.3
    assert 0.1 < one_earlier < four_earlier


def test_of_a_pause_only_the_sound_is_learned() -> None:
    pause = replace(exemplars(1)[0], marks=(), frame=np.full((64, 64, 3), 255, np.uint8), sound=hum(SMALL.sound_samples, 300.0))
    with_pause = Composer(small_network(), (*exemplars(), pause), (), DRAWN[:2], OPTIONS, 0)
    like = [sound for number in range(80) if correlation((sound := with_pause.sound(number)).samples, pause.sound) > 0.99]
    assert len(like) > 3
    assert {sound.now for sound in like} == {()}
    assert not any((with_pause.picture(number).frame > 240).mean() > 0.9 for number in range(30))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(abs(one @ other) / max(1e-9, np.linalg.norm(one) * np.linalg.norm(other)))


def test_the_same_numbers_give_the_same_pool_in_any_parts() -> None:
    one = composer()
    whole = one.part(range(8), range(4))
    halves = join([one.part(range(4), range(2)), one.part(range(4, 8), range(2, 4))])
    assert torch.equal(whole.shown, halves.shown)
    for picture in np.flatnonzero(whole.own.numpy() >= 0).tolist():
        mine, theirs = (pool.listened[pool.own[picture]] for pool in (whole, halves))
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert (whole.own >= 0).equal(halves.own >= 0)
    assert len(whole.listened) == len(halves.listened) == 4 + int((whole.own >= 0).sum())
