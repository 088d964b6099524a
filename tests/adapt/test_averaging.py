"""The running mean of weights."""

import torch
from torch import nn

from cavs.adapt.averaging import RunningMean


def test_the_mean_follows_the_weights_and_copies_counters() -> None:
    layer = nn.BatchNorm1d(1)
    mean = RunningMean(layer, decay=0.5)
    with torch.no_grad():
        layer.weight.fill_(3.0)
        layer.get_buffer("num_batches_tracked").fill_(7)
    mean.update(layer, step=1000)
    assert mean.tensors["weight"].item() == 2.0
    assert mean.tensors["num_batches_tracked"].item() == 7


def test_the_random_start_is_forgotten_within_the_first_steps() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 100.0)
    mean = RunningMean(layer, decay=0.999)
    nn.init.constant_(layer.weight, 1.0)
    for step in range(1, 60):
        mean.update(layer, step)
    assert abs(mean.tensors["weight"].item() - 1) < 0.01
