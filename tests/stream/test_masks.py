"""What a subscriber does with masks: label maps, masks over the source frame, COCO, supervision."""

import dataclasses
import importlib.util

import numpy as np
import pytest
from pycocotools import mask as coco

from cavs.runtime.errors import ConfigError
from cavs.stream.masks import Mask, SoundingObject, resized
from tests.one_window import pixels, sample_masks


def test_the_label_map_is_silent_unknown_or_two_plus_the_row() -> None:
    expected = pixels(".........", ".222...1.", ".2222.11.", "..222....", ".........")
    assert np.array_equal(sample_masks().label_map(), expected)


def test_where_objects_overlap_the_smaller_one_is_in_the_label_map() -> None:
    small, large = np.zeros((2, 3), np.bool_), np.ones((2, 3), np.bool_)
    small[0, 0] = True
    things = (
        SoundingObject(1, 0, "dog", 0.5, (0, 0, 1, 1), 1, lambda: small),
        SoundingObject(2, 1, "kettle", 0.5, (0, 0, 3, 2), 6, lambda: large),
    )
    masks = dataclasses.replace(sample_masks(), height=2, width=3, objects=things)
    assert masks.label_map().tolist() == [[2, 3, 3], [3, 3, 3]]


def test_a_mask_is_decoded_once_and_only_when_it_is_read() -> None:
    calls = []

    def decode() -> Mask:
        calls.append(1)
        return np.ones((1, 1), np.bool_)

    thing = SoundingObject(1, 0, "dog", 0.5, (0, 0, 1, 1), 1, decode)
    assert not calls
    assert thing.mask is thing.mask
    assert len(calls) == 1


def test_a_mask_over_the_source_frame_covers_the_same_part_of_the_picture() -> None:
    mask = np.zeros((224, 224), np.bool_)
    mask[56:168, 28:84] = True
    large = resized(mask, 480, 640)
    rows, columns = np.flatnonzero(large.any(axis=1)), np.flatnonzero(large.any(axis=0))
    assert large.shape == (480, 640)
    assert rows[[0, -1]] == pytest.approx([120, 359], abs=1)
    assert columns[[0, -1]] == pytest.approx([80, 239], abs=1)
    assert np.mean(resized(large, 224, 224) == mask) > 0.998


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_coco_results_read_back_by_pycocotools_are_the_same_masks() -> None:
    masks = sample_masks()
    results = masks.to_coco(at_source_size=False)
    for thing, result in zip(masks.objects, results, strict=True):
        assert np.array_equal(coco.decode(result["segmentation"]).astype(bool), thing.mask)
        assert result["bbox"] == [float(side) for side in thing.box]
    first, second = results
    assert (first["image_id"], first["category_id"], first["category_name"], first["area"]) == (41, 0, "dog", 10)
    assert (second["category_id"], second["score"], second["object_id"]) == (-1, 0.5, 9)


def test_coco_results_are_over_the_source_frame_unless_asked_otherwise() -> None:
    assert [result["segmentation"]["size"] for result in sample_masks().to_coco()] == [[480, 640]] * 2


@pytest.mark.skipif(importlib.util.find_spec("supervision") is None, reason="needs supervision: pip install '.[view]'")
def test_supervision_detections_have_masks_boxes_classes_and_ids() -> None:
    detections = sample_masks().to_supervision(at_source_size=False)
    assert detections.xyxy.tolist() == [[1, 1, 5, 4], [6, 1, 8, 3]]
    assert detections.class_id.tolist() == [0, -1]
    assert detections.tracker_id.tolist() == [7, 9]
    assert detections.data["class_name"].tolist() == ["dog", "unknown"]
    assert detections.mask[0].sum() == 10
    assert len(dataclasses.replace(sample_masks(), objects=()).to_supervision()) == 0


@pytest.mark.skipif(importlib.util.find_spec("supervision") is not None, reason="supervision is installed here")
def test_without_supervision_the_command_that_installs_it_is_named() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'cavs-stream\[view\]'"):
        sample_masks().to_supervision()
