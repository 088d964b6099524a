"""How much a loss depends on each weight, measured on the clips of a task."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from cavs.adapt.methods.method import Step, TaskContext

Power = Literal["squared", "absolute"]


def sensitivity(
    context: TaskContext,
    watched: Mapping[str, Tensor],
    loss: Callable[[Step], Tensor],
    power: Power = "squared",
    most: int | None = None,
) -> dict[str, Tensor]:
    """Mean over frames of the squared (empirical Fisher) or absolute gradient of a frame's loss.

    Frames go one by one, since the square of a mean is not the mean of squares. The network is in evaluation mode meanwhile
    and its gradients are left alone. most: frames at most, drawn from all; None takes every one.
    """
    chosen = _chosen(context, most)
    total = {name: torch.zeros_like(parameter) for name, parameter in watched.items()}
    frames, number = 0, -1
    was_training = context.segmenter.training
    context.segmenter.eval()
    for rows in context.rows():
        for index in range(len(rows.clips)):
            number += 1
            if chosen is not None and number not in chosen:
                continue
            step = Step(rows.only(index), context.task, context.segmenter, context.old)
            gradients = torch.autograd.grad(loss(step), list(watched.values()), allow_unused=True)
            for name, gradient in zip(watched, gradients, strict=True):
                if gradient is not None:
                    total[name] += gradient.square() if power == "squared" else gradient.abs()
            frames += 1
    context.segmenter.train(was_training)
    return {name: amount / max(1, frames) for name, amount in total.items()}


def _chosen(context: TaskContext, most: int | None) -> set[int] | None:
    """Numbers of frames; None for all."""
    if most is None:
        return None
    frames = sum(len(rows.clips) for rows in context.rows())
    return set(context.rng.permutation(frames)[:most].tolist())
