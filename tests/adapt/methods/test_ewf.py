"""EWF: the mean of two networks."""

import math

import pytest
import torch

from cavs.adapt.methods.ewf import Ewf, EwfOptions, fuse, fusion_share
from cavs.adapt.methods.method import Task
from cavs.adapt.methods.mib import Mib
from cavs.adapt.methods.training import frozen_copy
from tests.tiny_segmenter import context, learn, some_rows, tiny


def test_share_1_gives_the_new_weights_and_0_the_old() -> None:
    old, new = torch.randn(5, 5), torch.randn(5, 5)
    assert torch.equal(fuse(old, new, 1.0), new)
    assert torch.equal(fuse(old, new, 0.0), old)


def test_the_share_of_60_10_counts_the_background_as_old() -> None:
    assert fusion_share(old=60, new=10) == pytest.approx(math.sqrt(10 / 71))
    assert fusion_share(old=60, new=10) == pytest.approx(0.3753, abs=1e-4)


def test_weights_that_moved_least_may_keep_their_new_value() -> None:
    old, new = torch.zeros(4), torch.tensor([0.1, 0.2, 3.0, 4.0])
    torch.testing.assert_close(fuse(old, new, 0.5, kept_share=0.5), torch.tensor([0.1, 0.2, 1.5, 2.0]))


def test_a_task_ends_between_its_two_networks_and_new_heads_stay_new() -> None:
    segmenter = tiny((2,))
    old = frozen_copy(segmenter)
    method = Ewf(Mib(), EwfOptions(new_share=0.0))
    learn(method, context(segmenter, Task(1, 2, 1), [some_rows(labels=(0, 3), outputs=4)], old), steps=3)
    for name, before in old.named_parameters():
        # The background's head alone is changed when the new head begins as a share of it; it is frozen from there.
        if name != "classifier.heads.0.bias":
            torch.testing.assert_close(dict(segmenter.named_parameters())[name], before)
    assert segmenter.classifier.classes == 3


def test_old_heads_do_not_learn() -> None:
    segmenter = tiny((2,))
    before = segmenter.classifier.state_dict()["heads.1.weight"].clone()
    where = context(segmenter, Task(1, 2, 1), [some_rows(labels=(0, 3), outputs=4)], frozen_copy(segmenter))
    learn(Ewf(Mib(), EwfOptions(new_share=1.0)), where, steps=3)
    assert torch.equal(segmenter.classifier.state_dict()["heads.1.weight"], before)
