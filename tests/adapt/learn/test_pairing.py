"""Which sounds meet which pictures."""

import numpy as np
import torch

from cavs.adapt.learn.features import Looks
from cavs.adapt.learn.pairing import Pairing
from cavs.adapt.learn.pool import Pool

NEW, OLD = 0, 1
SOUNDS = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]])
"""The new thing; the old one; both; nothing; the new thing, as it came with the frame of a lesson."""


def pool(seen: list[tuple[int, ...]], own: list[int]) -> Pool:
    """Pictures that show these columns."""
    shown = torch.zeros(len(seen), 2, 4, 4, dtype=torch.float16)
    for picture, columns in enumerate(seen):
        for column in columns:
            shown[picture, column, column] = 1
    looks = Looks((torch.zeros(len(seen), 1),))
    return Pool(looks, shown, torch.tensor(own), torch.zeros(len(SOUNDS), 1, 1), SOUNDS.float())


def met(seen: tuple[int, ...], own: int = -1) -> list[set[int]]:
    """The sounds that a picture meets first, second and third, in many steps."""
    pairing = Pairing(pool([seen], [own]), [NEW])
    drawn = [pairing.draw(torch.tensor([0]), 3, np.random.default_rng(n))[0].tolist() for n in range(200)]
    return [set(column) for column in zip(*drawn, strict=True)]


def test_what_is_taught_meets_its_sound_then_others_then_silence() -> None:
    first, second, third = met((NEW,))
    assert first == {0, 2, 4}
    assert second == {1}
    assert third == {1, 3}


def test_an_old_thing_meets_the_new_sound_without_it() -> None:
    first, second, third = met((OLD,))
    assert first == {1, 2}
    assert second == {0, 4}
    assert third == {0, 1, 2, 3, 4}


def test_beside_an_old_thing_the_new_one_stays_silent_now_and_then() -> None:
    first, second, third = met((NEW, OLD))
    assert first == {0, 1, 2, 4} - {1}
    assert second == {0, 1, 2, 3, 4}  # every sound is of something that is seen, so any will do
    assert third == {1, 3}


def test_a_frame_of_a_lesson_meets_the_sound_that_it_came_with() -> None:
    pairing = Pairing(pool([(NEW,)], [4]), [NEW])
    first = [int(pairing.draw(torch.tensor([0]), 2, np.random.default_rng(n))[0, 0]) for n in range(300)]
    assert 0.4 < np.mean(np.array(first) == 4) < 0.75


def test_what_does_not_sound_keeps_its_own_sound() -> None:
    first, _, _ = met((), own=3)
    assert first == {3}
