"""Distillation of old outputs: LwF, ILT, LwF-MC."""

import torch

from cavs.adapt.methods.ilt import Ilt
from cavs.adapt.methods.lwf import Lwf, distillation
from cavs.adapt.methods.lwf_mc import LwfMc, LwfMcOptions, binary_distillation
from cavs.adapt.methods.method import Step, Task
from tests.tiny_segmenter import second_step, some_rows, tiny


def test_distillation_is_least_where_the_old_outputs_agree() -> None:
    old = torch.randn(2, 3, 4, 4)
    new = torch.cat([old, torch.randn(2, 2, 4, 4)], dim=1).requires_grad_()
    (gradient,) = torch.autograd.grad(distillation(new, old), new)
    torch.testing.assert_close(gradient, torch.zeros_like(new), atol=1e-6, rtol=0)


def test_new_outputs_take_no_part_in_the_distillation() -> None:
    old, new = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    other = new.clone()
    other[:, 3:] += 7
    torch.testing.assert_close(distillation(new, old), distillation(other, old))


def test_the_first_task_is_plain() -> None:
    step = Step(some_rows(), Task(0, 0, 1), tiny((1,)), None)
    for method in (Lwf(), Ilt()):
        assert set(method.loss(step)) == {"task"}


def test_lwf_weighs_the_distillation_by_100() -> None:
    step = second_step()
    expected = 100 * distillation(step.said.logits, step.old_said.logits)
    torch.testing.assert_close(Lwf().loss(step)["distillation"], expected)


def test_ilt_pays_for_features_that_moved_and_only_for_those() -> None:
    step = second_step()
    assert Ilt().loss(step)["features"].item() > 0
    assert step.old is not None
    unmoved = Step(some_rows(labels=(0, 1)), step.task, step.old, step.old)
    assert Ilt().loss(unmoved)["features"].item() == 0


def test_lwf_mc_takes_old_targets_from_the_old_network_and_new_ones_from_the_labels() -> None:
    step = second_step()
    logits, old = step.said.logits.detach().requires_grad_(), step.old_said.logits
    (gradient,) = torch.autograd.grad(binary_distillation(logits, step.rows.labels, old), logits)
    pixels = step.rows.labels.numel()
    torch.testing.assert_close(gradient[:, :3] * pixels, logits[:, :3].sigmoid() - old.sigmoid())
    truth = (step.rows.labels == 3).float()
    torch.testing.assert_close(gradient[:, 3] * pixels, logits[:, 3].sigmoid() - truth)


def test_lwf_mc_combined_scales_with_the_number_of_old_outputs() -> None:
    step = second_step()
    terms = LwfMc(LwfMcOptions(importance=10, combined=True)).loss(step)
    per_output = torch.nn.functional.binary_cross_entropy_with_logits(step.said.logits[:, :3], step.old_said.logits.sigmoid())
    torch.testing.assert_close(terms["distillation"], 30 * per_output)
