"""MiB's unbiased losses and what they reduce to."""

import torch
import torch.nn.functional as F

from cavs.adapt.methods.fine_tuning import row_cross_entropy
from cavs.adapt.methods.lwf import distillation
from cavs.adapt.methods.method import Task
from cavs.adapt.methods.mib import Mib, unbiased_cross_entropy, unbiased_distillation
from tests.tiny_segmenter import context, second_step, some_rows, tiny


def test_without_old_classes_the_unbiased_cross_entropy_is_the_plain_one() -> None:
    logits, labels = torch.randn(2, 4, 5, 5), torch.randint(0, 4, (2, 5, 5))
    labels[0, 0] = 255
    torch.testing.assert_close(unbiased_cross_entropy(logits, labels, old=0), row_cross_entropy(logits, labels))


def test_without_new_classes_the_unbiased_distillation_is_the_plain_one() -> None:
    new, old = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(unbiased_distillation(new, old), distillation(new, old))


def test_a_background_pixel_may_be_any_old_class() -> None:
    labels = torch.zeros(1, 1, 1, dtype=torch.long)
    for outputs in ([9.0, 0, 0, -9], [0, 9.0, 0, -9], [0, 0, 9.0, -9]):
        logits = torch.tensor(outputs).reshape(1, 4, 1, 1)
        assert unbiased_cross_entropy(logits, labels, old=2).item() < 1e-6


def test_labels_of_old_classes_count_as_background() -> None:
    logits = torch.randn(1, 4, 3, 3)
    old_label = torch.full((1, 3, 3), 2)
    torch.testing.assert_close(
        unbiased_cross_entropy(logits, old_label, old=2), unbiased_cross_entropy(logits, torch.zeros_like(old_label), old=2)
    )


def test_the_old_background_is_matched_by_any_new_class() -> None:
    old = torch.tensor([9.0, 0.0]).reshape(1, 2, 1, 1)
    as_background = torch.tensor([9.0, 0.0, -9.0]).reshape(1, 3, 1, 1)
    as_new = torch.tensor([-9.0, 0.0, 9.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(unbiased_distillation(as_background, old), unbiased_distillation(as_new, old))


def test_rehearsed_frames_take_the_plain_loss() -> None:
    step = second_step(some_rows(labels=(0, 1, 3), outputs=4))
    step.rows.rehearsed[:] = True
    plain = row_cross_entropy(step.said.logits, step.rows.labels).mean()
    torch.testing.assert_close(Mib().loss(step)["task"], plain)


def test_only_current_frames_are_distilled() -> None:
    step = second_step(some_rows(count=4, labels=(0, 1, 3), outputs=4))
    whole = Mib().loss(step)["distillation"]
    torch.testing.assert_close(whole, 10 * unbiased_distillation(step.said.logits, step.old_said.logits))
    step.rows.rehearsed[1:] = True
    first = unbiased_distillation(step.said.logits[:1], step.old_said.logits[:1])
    torch.testing.assert_close(Mib().loss(step)["distillation"], 10 * first / 4)
    step.rows.rehearsed[:] = True
    assert "distillation" not in Mib().loss(step)


def test_new_heads_start_as_shares_of_the_background_from_the_second_task_on() -> None:
    segmenter, method = tiny(), Mib()
    method.begin_task(context(segmenter, Task(0, 0, 2)))
    before = segmenter(some_rows().inputs).logits.softmax(1)
    method.begin_task(context(segmenter, Task(1, 2, 3)))
    after = segmenter(some_rows().inputs).logits.softmax(1)
    torch.testing.assert_close(after[:, 1:3], before[:, 1:])
    assert not torch.allclose(F.normalize(before[:, 0], dim=0), F.normalize(before[:, 1], dim=0))
