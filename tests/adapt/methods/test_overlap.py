"""The overlap that class IoU asks for: what it counts on current and on rehearsed frames."""

import math

import pytest
import torch

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.joint import JointOptions, make_joint
from cavs.adapt.methods.method import IGNORED, Step
from cavs.adapt.methods.overlap import Overlap, OverlapOptions, overlap_distance
from tests.tiny_segmenter import second_step, some_rows

SURE = 50.0


def said(labels: torch.Tensor, outputs: int) -> torch.Tensor:
    """Logits (B, outputs, h, w) of a network that is certain of these labels."""
    return SURE * torch.nn.functional.one_hot(labels, outputs).permute(0, 3, 1, 2).float()


def halves(left: int, right: int) -> torch.Tensor:
    return torch.tensor([[[left, right]] * 2])


def test_what_is_marked_as_it_is_has_no_distance() -> None:
    truth = halves(1, 2)
    assert overlap_distance(said(truth, 3), truth, 1, 2).item() == pytest.approx(0, abs=1e-6)


def test_it_is_one_less_dice_of_the_classes_that_are_labelled() -> None:
    # Class 1: 2 pixels of truth, 4 marked, 2 shared. Class 2 is not labelled and does not count.
    distance = overlap_distance(said(halves(1, 1), 3), halves(1, 0), 1, 2)
    assert distance.item() == pytest.approx(1 - (2 * 2 + 1) / (2 + 4 + 1))
    assert overlap_distance(said(halves(1, 1), 3), halves(0, 0), 1, 2).item() == 0


def test_no_frame_and_ignored_pixels_count_for_nothing() -> None:
    assert overlap_distance(torch.zeros(0, 3, 2, 2), torch.zeros(0, 2, 2, dtype=torch.long), 1, 2).item() == 0
    truth = halves(1, IGNORED)
    assert overlap_distance(said(halves(1, 1), 3), truth, 1, 2).item() == pytest.approx(0, abs=1e-6)


def terms(step: Step, **options: float) -> tuple[float, float]:
    found = Overlap(FineTuning(), OverlapOptions(**options)).loss(step)
    return tuple(float(found.get(name, torch.tensor(math.nan)).detach()) for name in ("overlap", "old overlap"))  # type: ignore[return-value]


def test_current_frames_count_for_new_classes_and_for_what_the_old_network_marks() -> None:
    step = second_step(some_rows(labels=(0, 3), outputs=4))  # classes 1 and 2 are old
    truth = step.rows.labels
    step.old_said.logits.zero_()
    step.old_said.logits[:, 1] = SURE
    new, old = terms(step)
    assert new == pytest.approx(overlap_distance(step.said.logits, truth, 3, 3).item())
    believed = torch.where(truth == 0, 1, 0)
    assert old == pytest.approx(overlap_distance(step.said.logits, believed, 1, 2).item())
    step.old_said.logits.zero_()  # now it is sure of nothing
    assert terms(step)[1] == 0


def test_rehearsed_frames_count_for_every_class_by_their_labels() -> None:
    step = second_step(some_rows(labels=(1, 3), outputs=4))
    step.rows.rehearsed[:] = True
    new, old = terms(step)
    assert new == pytest.approx(overlap_distance(step.said.logits, step.rows.labels, 1, 3).item())
    assert old == 0


def test_joint_training_with_it_counts_every_class() -> None:
    step = second_step(some_rows(labels=(1, 3), outputs=4))
    found = make_joint(JointOptions(overlap=2.0)).loss(step)
    assert found["overlap"].item() == pytest.approx(2 * overlap_distance(step.said.logits, step.rows.labels, 1, 3).item())
    assert set(make_joint(JointOptions()).loss(step)) == {"task"}
