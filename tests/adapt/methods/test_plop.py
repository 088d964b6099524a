"""PLOP: pooled features, sure pseudo-labels, and what CMR's released code does instead."""

import math

import pytest
import torch

from cavs.adapt.methods.fine_tuning import row_cross_entropy
from cavs.adapt.methods.method import Step, Task
from cavs.adapt.methods.plop import (
    Plop,
    PlopOptions,
    entropy_thresholds,
    fold_new_outputs,
    local_pod,
    normalised_entropy,
    pod_distance,
)
from tests.tiny_segmenter import context, second_step, some_rows, tiny


def started(step: Step, options: PlopOptions | None = None, thresholds: float = 0.9) -> Plop:
    method = Plop(options)
    method.thresholds = torch.full((1 + step.task.old,), thresholds)
    return method


def test_local_pod_pools_the_squares_over_rows_and_columns_of_every_tile() -> None:
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    squared = features.square()[0, 0]
    whole = torch.cat([squared.mean(1), squared.mean(0)])
    torch.testing.assert_close(local_pod(features, (1,))[0], whole)
    corner = squared[:2, :2]
    torch.testing.assert_close(local_pod(features, (2,))[0, :4], torch.cat([corner.mean(1), corner.mean(0)]))


def test_pod_is_zero_for_a_network_that_did_not_move() -> None:
    step = second_step()
    assert step.old is not None
    still = Step(some_rows(labels=(0, 1)), Task(1, 2, 0), step.old, step.old)
    assert started(still).loss(still)["pod"].item() == 0
    assert started(step).loss(step)["pod"].item() > 0


def test_pod_of_a_network_that_has_not_moved_yet_has_a_gradient() -> None:
    one = torch.randn(2, 3, 4, 4, requires_grad=True)
    for unit in (True, False):
        (gradient,) = torch.autograd.grad(pod_distance(one, one.detach(), (1, 2), unit=unit), one)
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_pod_of_unit_length_knows_no_scale() -> None:
    one = torch.arange(96.0).reshape(2, 3, 4, 4)
    torch.testing.assert_close(pod_distance(5 * one, one, (1, 2), unit=True), torch.tensor(0.0), atol=1e-5, rtol=0)
    assert pod_distance(5 * one, one, (1, 2), unit=False) > 1


def test_features_are_compared_at_unit_length_and_logits_as_they_are() -> None:
    step = second_step()
    features, logits = (
        started(step, options).loss(step)["pod"] for options in (PlopOptions(logits=0), PlopOptions(features=0))
    )
    assert step.old is not None
    maps = len(step.said.features)
    growth = math.sqrt((1 + step.task.old + step.task.new) / step.task.new)
    scales = PlopOptions().scales
    of_maps = sum(
        pod_distance(a, b, scales, unit=True) for a, b in zip(step.said.features, step.old_said.features, strict=True)
    )
    folded = fold_new_outputs(step.said.logits, 1 + step.task.old)
    of_logits = pod_distance(folded, step.old_said.logits, scales, unit=False)
    torch.testing.assert_close(features, growth * 0.01 * of_maps / (maps + 1))
    torch.testing.assert_close(logits, growth * 0.0005 * of_logits / (maps + 1))


def test_outputs_of_new_classes_are_added_to_the_background() -> None:
    logits = torch.tensor([1.0, 2, 3, 4]).reshape(1, 4, 1, 1)
    assert fold_new_outputs(logits, 2).flatten().tolist() == [8, 2]


def test_entropy_is_1_where_all_outputs_are_equal_and_0_where_one_is_sure() -> None:
    logits = torch.tensor([[0.0, 0, 0], [50, 0, 0]]).reshape(2, 3, 1, 1)
    torch.testing.assert_close(normalised_entropy(logits).flatten(), torch.tensor([1.0, 0.0]))


def test_only_background_of_current_frames_is_relabelled() -> None:
    step = second_step(some_rows(labels=(0, 3), outputs=4))
    step.rows.rehearsed[1] = True
    before = step.rows.labels.clone()
    started(step).prepare(step)
    changed = step.rows.labels != before
    assert not changed[1].any()
    assert not changed[before == 3].any()
    assert set(step.rows.labels[0][before[0] == 0].tolist()) <= {0, 1, 2, 255}


def test_unsure_pixels_are_ignored_and_sure_ones_get_the_old_networks_label() -> None:
    step = second_step()
    background = step.rows.labels == 0
    old_row = step.old_said.logits.argmax(1)
    started(step, thresholds=0.0).prepare(step)
    assert (step.rows.labels[background] == 255).all()
    step = second_step()
    started(step, thresholds=1.1).prepare(step)
    assert torch.equal(step.rows.labels[background], old_row[background])


def test_the_reference_overwrites_the_labels_of_memory_clips() -> None:
    step = second_step(some_rows(labels=(0, 1, 3), outputs=4))
    step.rows.rehearsed[:] = True
    truth = step.rows.labels.clone()
    started(step, PlopOptions().reference(), thresholds=0.0).prepare(step)
    assert (step.rows.labels[truth == 1] == 255).all()
    assert (step.rows.labels[truth == 3] == 3).all()


def test_the_adaptive_factor_is_the_share_of_background_that_is_sure() -> None:
    step = second_step()
    method = started(step)
    method.prepare(step)
    asked = second_step().rows.labels == 0
    shares = ((step.rows.labels != 255) & asked).sum((1, 2)) / asked.sum((1, 2))
    plain = started(step, PlopOptions(adaptive_factor=False))
    expected = (row_cross_entropy(step.said.logits, step.rows.labels) * shares).mean()
    torch.testing.assert_close(method.loss(step)["task"], expected)
    assert plain.loss(step)["task"].item() >= expected.item()


def test_the_schedule_multiplies_pod_by_the_root_of_all_over_new() -> None:
    step = second_step()
    with_schedule = started(step).loss(step)["pod"].item()
    without = started(step, PlopOptions(schedule=False)).loss(step)["pod"].item()
    assert with_schedule / without == pytest.approx(math.sqrt(4 / 1), rel=1e-5)


def test_thresholds_are_medians_of_the_old_networks_entropy() -> None:
    step = second_step(some_rows(count=16, labels=(0, 3), outputs=4))
    where = context(step.segmenter, step.task, [step.rows], step.old)
    thresholds = entropy_thresholds(where, floor=0.001)
    entropy, row = normalised_entropy(step.old_said.logits), step.old_said.logits.argmax(1)
    for output in range(3):
        chosen = entropy[(row == output) & (step.rows.labels == 0)]
        expected = float(chosen.median()) if len(chosen) else 0.001
        assert float(thresholds[output]) == pytest.approx(expected, abs=0.011)


def test_the_first_task_is_plain() -> None:
    method, segmenter = Plop(), tiny()
    method.begin_task(context(segmenter, Task(0, 0, 1)))
    step = Step(some_rows(), Task(0, 0, 1), segmenter, None)
    method.prepare(step)
    assert set(method.loss(step)) == {"task"}
