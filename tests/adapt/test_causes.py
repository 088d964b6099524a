"""Each sense is judged by itself."""

import numpy as np
import pytest

from cavs.adapt.causes import Causes
from cavs.runtime.engine import LABEL_FIRST_CLASS

DOG, CAT = 0, 1
HEARS_DOG, HEARS_CAT = np.array([0.9, 0.1], np.float32), np.array([0.2, 0.6], np.float32)


def truth(of: int = DOG) -> np.ndarray:
    """A thing in the left half of a 32 x 32 picture."""
    labels = np.zeros((32, 32), np.uint8)
    labels[:, :16] = LABEL_FIRST_CLASS + of
    return labels


def sees(thing: int, rest: int) -> np.ndarray:
    rows = np.full((4, 4), rest, np.uint8)
    rows[:, :2] = thing
    return rows


def test_shares_of_what_was_heard_and_seen_for_what_it_is() -> None:
    causes = Causes()
    causes.add(truth(), HEARS_DOG, sees(DOG, CAT), 0.8)
    causes.add(truth(), HEARS_CAT, sees(DOG, CAT), 0.1)
    causes.add(truth(), HEARS_DOG, sees(CAT, DOG), 0.3)
    causes.add(truth(CAT), HEARS_CAT, sees(CAT, DOG), 0.6)
    found = causes.summary()
    assert (found["frames"], found["heard"], found["seen"], found["both"]) == (4, 0.75, 0.75, 0.5)
    assert found["binary_iou_if_both"] == pytest.approx(0.7)
    assert found["binary_iou_otherwise"] == pytest.approx(0.2)


def test_what_is_around_the_thing_does_not_count_and_half_of_it_is_not_enough() -> None:
    causes = Causes()
    half = sees(DOG, CAT)
    half[:2, :2] = CAT
    causes.add(truth(), HEARS_DOG, half, 0.5)
    assert causes.summary()["seen"] == 0
    assert causes.summary()["binary_iou_if_both"] is None


def test_a_frame_without_the_thing_or_with_one_too_thin_to_look_at_is_passed_over() -> None:
    causes = Causes()
    causes.add(np.zeros((32, 32), np.uint8), HEARS_DOG, sees(DOG, CAT), 1.0)
    thin = np.zeros((32, 32), np.uint8)
    thin[0] = LABEL_FIRST_CLASS
    causes.add(thin, HEARS_DOG, sees(DOG, CAT), 0.0)
    assert not causes.iou
