"""An outline carried through frames."""

import numpy as np

from cavs.adapt.learn.follow import follow
from tests.adapt.learn.lessons import crossing


def test_a_thing_is_followed_both_ways() -> None:
    frames, masks = crossing(9, size=128)
    found = follow(list(frames), 4, masks[4])
    overlaps = [(a & b).sum() / (a | b).sum() for a, b in zip(found, masks, strict=True)]
    assert min(overlaps) > 0.8


def test_a_thing_that_goes_is_lost_and_stays_lost() -> None:
    frames, masks = crossing(6, size=128)
    empty = np.full_like(frames[0], 40)
    found = follow([*frames[:3], empty, *frames[3:]], 1, masks[1])
    assert [bool(mask.any()) for mask in found] == [True, True, True, False, False, False, False]
