"""Objects from label maps: what counts as one thing, what it is called, and which id it has."""

import numpy as np
import pytest

from cavs.stream.objects import ObjectFinder, box_overlap
from tests.one_window import CLASSES, disc, pixels, prediction

SIDE = 224
DOG, KETTLE, UNKNOWN = 2, 3, 1


def blank() -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.uint8)


def test_a_silent_picture_has_no_objects() -> None:
    assert ObjectFinder(CLASSES).find(prediction(blank())) == ()


def test_an_object_carries_class_row_score_box_area_and_pixels() -> None:
    labels = pixels(
        "........",
        "..33....",
        "..333...",
        "........",
    )
    (found,) = ObjectFinder(CLASSES).find(prediction(labels, confidence=153))
    assert (found.row, found.cls, found.box, found.area) == (1, "kettle", (2, 1, 3, 2), 5)
    assert found.score == pytest.approx(0.6)
    assert np.array_equal(found.mask, labels == KETTLE)


def test_a_sounding_thing_of_no_class_is_unknown_and_a_row_without_a_name_says_its_number() -> None:
    labels = disc(disc(blank(), (50, 50), 20, UNKNOWN), (150, 150), 30, 7)
    found = ObjectFinder(CLASSES).find(prediction(labels))
    assert [(thing.row, thing.cls) for thing in found] == [(5, "class 5"), (None, "unknown")]


def test_what_nobody_hears_has_no_name_and_what_is_unknown_stays() -> None:
    labels = disc(disc(blank(), (50, 50), 20, UNKNOWN), (150, 150), 30, DOG)
    finder = ObjectFinder(CLASSES, least_heard=0.4)
    assert [thing.cls for thing in finder.find(prediction(labels, presence=(0.1, 0.3)))] == ["unknown"]
    assert [thing.cls for thing in finder.find(prediction(labels, presence=(0.1, 0.5)))] == ["dog", "unknown"]


def test_two_things_of_one_class_apart_are_two_objects_largest_first() -> None:
    labels = disc(disc(blank(), (50, 100), 20, DOG), (160, 100), 30, DOG)
    found = ObjectFinder(CLASSES).find(prediction(labels))
    assert [thing.box[0] for thing in found] == [130, 30]


def test_a_thing_behind_something_thin_is_one_object_and_the_gap_is_not_in_its_mask() -> None:
    labels = disc(blank(), (100, 100), 40, DOG)
    labels[:, 99:102] = 0
    (found,) = ObjectFinder(CLASSES).find(prediction(labels))
    assert found.area == np.count_nonzero(labels)
    assert np.array_equal(found.mask, labels == DOG)


def test_specks_below_the_smallest_area_are_left_out() -> None:
    labels = disc(disc(blank(), (100, 100), 30, DOG), (20, 200), 2, DOG)
    assert len(ObjectFinder(CLASSES, 0.001).find(prediction(labels))) == 1
    assert len(ObjectFinder(CLASSES, 0.0).find(prediction(labels))) == 2


def test_an_unsure_rim_belongs_to_the_object_it_touches() -> None:
    labels = disc(disc(blank(), (100, 100), 42, UNKNOWN), (100, 100), 40, DOG)
    (found,) = ObjectFinder(CLASSES).find(prediction(labels))
    assert found.cls == "dog"
    assert np.array_equal(found.mask, labels > 0)


def test_an_unknown_thing_beside_an_object_keeps_its_own_mask() -> None:
    labels = disc(disc(blank(), (60, 100), 30, DOG), (150, 100), 10, UNKNOWN)
    assert [thing.cls for thing in ObjectFinder(CLASSES).find(prediction(labels))] == ["dog", "unknown"]


def test_noise_is_bounded_to_the_largest_objects() -> None:
    labels = np.random.default_rng(0).integers(0, 100, (SIDE, SIDE)).astype(np.uint8)
    assert len(ObjectFinder({}, 0.0).find(prediction(labels))) <= 32


def test_an_object_keeps_its_id_while_it_moves_and_a_second_one_gets_its_own() -> None:
    finder = ObjectFinder(CLASSES)
    ids = [[t.id for t in finder.find(prediction(disc(blank(), (60 + 4 * step, 100), 20, DOG)))] for step in range(10)]
    assert ids == [[1]] * 10
    both = disc(disc(blank(), (100, 100), 20, DOG), (180, 100), 25, DOG)
    assert [thing.id for thing in finder.find(prediction(both))] == [2, 1]


def test_an_object_that_changes_its_class_keeps_its_id() -> None:
    finder = ObjectFinder(CLASSES)
    finder.find(prediction(disc(blank(), (100, 100), 20, UNKNOWN)))
    (found,) = finder.find(prediction(disc(blank(), (100, 100), 20, DOG)))
    assert (found.id, found.cls) == (1, "dog")


def test_where_two_boxes_overlap_the_class_decides_who_is_who() -> None:
    finder = ObjectFinder(CLASSES)
    first = disc(disc(blank(), (100, 100), 40, DOG), (110, 110), 25, KETTLE)
    before = {thing.cls: thing.id for thing in finder.find(prediction(first))}
    second = disc(disc(blank(), (104, 104), 40, DOG), (100, 100), 30, KETTLE)
    assert {thing.cls: thing.id for thing in finder.find(prediction(second))} == before


def test_a_thing_that_was_silent_for_a_moment_comes_back_under_its_id_and_after_longer_under_a_new_one() -> None:
    finder = ObjectFinder(CLASSES, keep_windows=3)
    dog = prediction(disc(blank(), (100, 100), 20, DOG))
    seen = []
    for silent_windows in (0, 3, 4):
        for _ in range(silent_windows):
            finder.find(prediction(blank()))
        seen.append(finder.find(dog)[0].id)
    assert seen == [1, 1, 2]


def test_objects_do_not_change_when_the_engine_overwrites_its_arrays() -> None:
    labels = disc(blank(), (100, 100), 20, DOG)
    said = prediction(labels.copy())
    (found,) = ObjectFinder(CLASSES).find(said)
    said.labels[:] = 0
    assert np.array_equal(found.mask, labels == DOG)


def test_other_class_names_hold_from_the_next_window_on() -> None:
    finder = ObjectFinder(CLASSES)
    dog = prediction(disc(blank(), (100, 100), 20, DOG))
    finder.find(dog)
    finder.rename({0: "wolf"})
    assert [(thing.id, thing.cls) for thing in finder.find(dog)] == [(1, "wolf")]


def test_heard_classes_come_likeliest_first_and_the_unlikely_are_left_out() -> None:
    said = prediction(blank(), presence=(0.3, 0.8, 0.05, 0.0))
    heard = ObjectFinder(CLASSES).heard(said)
    assert [(one.row, one.cls) for one in heard] == [(1, "kettle"), (0, "dog")]
    assert heard[0].probability == pytest.approx(0.8)
    assert len(ObjectFinder(CLASSES).heard(said, most=1)) == 1


def test_box_overlap_is_intersection_over_union() -> None:
    assert box_overlap((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(2 / 6)
    assert box_overlap((0, 0, 2, 2), (2, 0, 2, 2)) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [{"min_area_fraction": 1.0}, {"min_area_fraction": -0.1}, {"min_overlap": 0.0}, {"keep_windows": -1}, {"max_objects": 0}],
)
def test_settings_that_cannot_hold_are_misuse(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="="):
        ObjectFinder(CLASSES, **wrong)  # type: ignore[arg-type]
