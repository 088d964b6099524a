"""An outline drawn from a rough idea."""

import numpy as np

from cavs.adapt.learn.outline import box_prior, outline, point_prior, whole
from tests.adapt.learn.lessons import crossing


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_box_becomes_the_outline_of_what_is_in_it() -> None:
    (frame,), (mask,) = crossing(1, size=128)
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (cols[0] / 128 - 0.03, rows[0] / 128 - 0.03, len(cols) / 128 + 0.06, len(rows) / 128 + 0.06)
    assert overlap(outline(frame, box_prior((128, 128), box)), mask) > 0.9


def test_a_point_becomes_the_outline_of_what_is_there() -> None:
    (frame,), (mask,) = crossing(1, size=128)
    point = (float(np.argwhere(mask)[:, 1].mean() / 128), 0.5)
    likeness = np.where(mask, 0.9, -0.1).astype(np.float32)
    assert overlap(outline(frame, point_prior((128, 128), point, likeness)), mask) > 0.9


def test_a_cut_that_runs_away_is_not_believed() -> None:
    frame = np.full((128, 128, 3), 120, np.uint8)  # nothing tells the thing from its ground
    prior = np.zeros((128, 128), np.float32)
    prior[40:80, 40:80] = 0.7
    prior[30:40, 30:90] = 0.2
    assert overlap(outline(frame, prior), prior > 0.5) > 0.8


def test_too_little_is_left_as_it_is() -> None:
    prior = np.zeros((64, 64), np.float32)
    assert not outline(np.zeros((64, 64, 3), np.uint8), prior).any()
    prior[3:6, 3:6] = 0.9
    assert outline(np.zeros((64, 64, 3), np.uint8), prior).sum() == 9


def test_specks_and_holes_go() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:40, 10:40] = True
    mask[20:24, 20:24] = False
    mask[60, 60] = True
    expected = np.zeros((64, 64), bool)
    expected[10:40, 10:40] = True
    np.testing.assert_array_equal(whole(mask, expected), expected)
