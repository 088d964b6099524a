"""The class list and the colours of AVSBench-semantic."""

import numpy as np
import pytest

from cavs.adapt.data.palette import AVSS_CLASSES, paint_labels, palette, read_colours


def test_there_are_71_classes_in_alphabetical_order_after_the_background() -> None:
    assert len(set(AVSS_CLASSES)) == 71
    assert AVSS_CLASSES[0] == "background"
    assert list(AVSS_CLASSES[1:]) == sorted(AVSS_CLASSES[1:])
    known = {1: "accordion", 17: "dog", 22: "emergency-car", 28: "guitar", 35: "helicopter", 47: "piano", 70: "woman"}
    assert {index: AVSS_CLASSES[index] for index in known} == known


def test_the_71_colours_are_distinct_and_those_of_the_data_set() -> None:
    colours = palette(71)
    assert len({tuple(colour) for colour in colours.tolist()}) == 71
    first = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128)]
    assert [tuple(colour) for colour in colours[:8].tolist()] == first
    assert [tuple(colours[index].tolist()) for index in (8, 9, 70)] == [(64, 0, 0), (192, 0, 0), (32, 128, 128)]


def test_colours_and_indices_are_each_others_inverse() -> None:
    labels = np.arange(255, dtype=np.uint8).reshape(15, 17)
    mask, unknown = read_colours(paint_labels(labels, 255), 255)
    assert np.array_equal(mask, labels)
    assert unknown == {}


def test_a_colour_that_is_close_is_not_a_class() -> None:
    picture = np.full((4, 4, 3), (128, 0, 0), np.uint8)
    picture[0] = (127, 0, 0)
    mask, unknown = read_colours(picture, 71)
    assert mask.tolist() == [[0] * 4, [1] * 4, [1] * 4, [1] * 4]
    assert unknown == {(127, 0, 0): 4}


def test_a_mask_holds_at_most_255_classes() -> None:
    with pytest.raises(ValueError, match="256 classes; a mask holds 1 to 255"):
        palette(256)
