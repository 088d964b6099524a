"""Fine-tuning and joint training."""

import torch

from cavs.adapt.methods.fine_tuning import FineTuning, row_cross_entropy
from cavs.adapt.methods.joint import Joint
from cavs.adapt.methods.method import Task
from tests.tiny_segmenter import context, learn, some_rows, tiny


def test_fine_tuning_learns_the_new_class_and_forgets_the_old() -> None:
    segmenter = tiny()
    first, second = some_rows(labels=(0, 1)), some_rows(labels=(0, 2), seed=1, outputs=3)
    method = FineTuning()
    learn(method, context(segmenter, Task(0, 0, 1), [first]), steps=60, rate=0.5)
    marked = segmenter(first.inputs).logits.argmax(1)
    assert (marked[first.labels == 1] == 1).float().mean() > 0.9
    learn(method, context(segmenter, Task(1, 1, 1), [second]), steps=60, rate=0.5)
    assert (segmenter(second.inputs).logits.argmax(1)[second.labels == 2] == 2).float().mean() > 0.9
    assert (segmenter(first.inputs).logits.argmax(1)[first.labels == 1] == 1).float().mean() < 0.5


def test_ignored_pixels_do_not_count_and_a_frame_of_them_is_0() -> None:
    logits = torch.randn(2, 3, 4, 4)
    labels = torch.randint(0, 3, (2, 4, 4))
    labels[0, :2] = 255
    labels[1] = 255
    expected = torch.nn.functional.cross_entropy(logits[:1, :, 2:], labels[:1, 2:])
    torch.testing.assert_close(row_cross_entropy(logits, labels), torch.stack([expected, torch.zeros(())]))


def test_fine_tuning_reads_its_own_task_only_and_joint_everything() -> None:
    assert FineTuning().reads == "current"
    assert FineTuning().memory_clips() == ()
    assert Joint().reads == "all"
