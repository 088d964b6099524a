"""SSUL: a frozen network, sure pseudo-labels, a memory in its -M form."""

import torch

from cavs.adapt.methods.method import Task
from cavs.adapt.methods.ssul import Ssul, SsulOptions
from cavs.adapt.methods.training import frozen_copy
from tests.tiny_segmenter import context, learn, second_step, some_rows, tiny


def test_only_the_new_head_and_the_background_learn_in_later_tasks() -> None:
    segmenter = tiny((2,))
    before = {name: p.clone() for name, p in segmenter.named_parameters()}
    where = context(segmenter, Task(1, 2, 1), [some_rows(labels=(0, 3), outputs=4)], frozen_copy(segmenter))
    learn(Ssul(), where)
    moved = {name for name, p in segmenter.named_parameters() if name in before and not torch.equal(p, before[name])}
    assert moved == {"classifier.heads.0.weight", "classifier.heads.0.bias"}


def test_pixels_that_the_old_network_is_sure_of_get_its_label() -> None:
    step = second_step()
    background = step.rows.labels == 0
    step.old_said.logits[:, 1:] = -9
    step.old_said.logits[0, 2] = 9
    Ssul().prepare(step)
    assert (step.rows.labels[0][background[0]] == 2).all()
    assert (step.rows.labels[1:][background[1:]] == 0).all()


def test_the_memory_is_shared_equally_and_shrinks_for_new_classes() -> None:
    segmenter, method = tiny(), Ssul(SsulOptions(memory=4))
    learn(method, context(segmenter, Task(0, 0, 1), [some_rows(count=8)]), steps=1)
    assert len(method.memory_clips()) == 4
    second = some_rows(count=8, labels=(0, 2), seed=1, outputs=3)
    learn(method, context(segmenter, Task(1, 1, 1), [second], frozen_copy(segmenter)), steps=1)
    assert [len(kept) for kept in method.memory.by_class.values()] == [2, 2]
    assert method.reads == "memory"
    assert Ssul().reads == "current"
