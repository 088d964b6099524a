"""Scores against counts made by hand."""

import numpy as np
import pytest

from cavs.adapt.metrics import ClassScores, binary_iou, f_curves, lit_share, mask_mass, max_f


def test_binary_iou_is_the_mean_over_frames_of_shared_over_joined() -> None:
    marked = np.zeros((2, 2, 2), np.bool_)
    truth = np.zeros((2, 2, 2), np.bool_)
    marked[0, 0] = True  # two marked, one of them true, of one true
    truth[0, 0, 0] = True
    marked[1] = truth[1] = True
    assert binary_iou(marked, truth) == pytest.approx([0.5, 1.0], abs=1e-6)


def test_a_frame_without_truth_scores_the_agreement_of_its_background() -> None:
    marked = np.zeros((1, 2, 2), np.bool_)
    truth = np.zeros((1, 2, 2), np.bool_)
    assert binary_iou(marked, truth) == pytest.approx([1.0])
    marked[0, 0, 0] = True
    assert binary_iou(marked, truth) == pytest.approx([0.75])


def test_max_f_is_one_for_a_mask_that_one_threshold_makes_right() -> None:
    truth = np.array([[[True, False], [False, False]]])
    confidence = np.array([[[200, 90], [0, 90]]], np.uint8)
    assert max_f(f_curves(confidence, truth)) == pytest.approx(1.0)


def test_max_f_weighs_precision_by_beta_squared_of_three_tenths() -> None:
    truth = np.array([[[True, True], [False, False]]])
    confidence = np.array([[[254, 0], [0, 0]]], np.uint8)  # precision 1, recall 1/2 at every threshold above 0
    assert max_f(f_curves(confidence, truth)) == pytest.approx(1.3 * 0.5 / (0.3 + 0.5))


def test_frames_without_truth_are_left_out_of_f() -> None:
    assert len(f_curves(np.full((3, 2, 2), 255, np.uint8), np.zeros((3, 2, 2), np.bool_))) == 0


def test_the_reference_form_of_max_f_depends_on_the_batch() -> None:
    truth = np.array([[[True, False]], [[True, False]]])
    confidence = np.array([[[200, 150]], [[100, 50]]], np.uint8)  # each frame alone has a perfect threshold
    curves = f_curves(confidence, truth)
    assert max_f(curves, batch=1) == pytest.approx(1.0)
    assert max_f(curves) < 1.0


def test_dataset_miou_counts_unknown_as_a_miss_and_skips_classes_that_never_occur() -> None:
    scores = ClassScores(3)
    scores.add(np.array([[2, 1], [0, 0]], np.uint8), np.array([[2, 2], [0, 0]], np.uint8))
    assert scores.iou_by_class()[0] == pytest.approx(0.5)
    assert np.isnan(scores.iou_by_class()[2])
    assert scores.miou_dataset() == pytest.approx(0.5)


def test_the_two_class_definitions_differ_when_frames_differ_in_size_of_objects() -> None:
    scores = ClassScores(1)
    scores.add(np.array([[2, 2, 2, 2]], np.uint8), np.array([[2, 2, 2, 2]], np.uint8))
    scores.add(np.array([[0, 0, 0, 0]], np.uint8), np.array([[2, 0, 0, 0]], np.uint8))
    assert scores.miou_dataset() == pytest.approx(4 / 5)
    assert scores.miou_avss() == pytest.approx((1 + 0) / 2)
    assert scores.miou_avss(background=True) == pytest.approx((0.5 + 3 / 4) / 2)


def test_mass_and_lit_share_count_marked_pixels() -> None:
    marked = np.zeros((2, 10, 10), np.bool_)
    marked[0, :2] = True
    marked[1, 0, 0] = True  # exactly 1 %: not more
    assert mask_mass(marked) == pytest.approx([0.2, 0.01])
    assert lit_share(marked) == 0.5


def test_shapes_that_differ_and_labels_past_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\) against truth of shape \(1, 2, 3\)"):
        binary_iou(np.zeros((1, 2, 2), np.bool_), np.zeros((1, 2, 3), np.bool_))
    with pytest.raises(ValueError, match="label of 9"):
        ClassScores(2).add(np.full((1, 1), 9, np.uint8), np.zeros((1, 1), np.uint8))


def test_classes_that_could_not_occur_do_not_lower_the_avss_mean() -> None:
    scores = ClassScores(4)
    scores.add(np.array([[2, 5]], np.uint8), np.array([[2, 5]], np.uint8))
    assert scores.miou_avss() == pytest.approx(2 / 4)
    assert scores.miou_avss(rows=(0, 3)) == pytest.approx(1.0)
