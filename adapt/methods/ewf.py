"""EWF, endpoints weight fusion (Xiao et al., CVPR 2023): after a task the weights become a mean of old and new."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cavs.adapt.methods.layered import Layered
from cavs.adapt.methods.method import Method, TaskContext


@dataclass(frozen=True, slots=True)
class EwfOptions:
    """new_share: share of the new weights; None takes sqrt(new / (new + old)), the background counted as old.

    kept_share: weights that moved least keep their new value; this share of each tensor. 0 fuses all; the authors offer .55
    (all but the top 45 %).
    """

    new_share: float | None = None
    kept_share: float = 0.0


def fusion_share(old: int, new: int) -> float:
    """sqrt(new / (new + old)), `old` without the background, which is added."""
    return math.sqrt(new / (new + 1 + old))


def fuse(old: Tensor, new: Tensor, new_share: float, kept_share: float = 0.0) -> Tensor:
    """The mean of two tensors; where the change is among the smallest `kept_share`, the new value."""
    fused = (1 - new_share) * old + new_share * new
    if kept_share <= 0:
        return fused
    change = (new - old).abs()
    threshold = change.flatten().kthvalue(max(1, round(kept_share * change.numel()))).values
    return torch.where(change <= threshold, new, fused)


class Ewf(Layered):
    """On MiB or PLOP: old heads are frozen while a task is learned, then every weight that existed before it is fused."""

    def __init__(self, below: Method, options: EwfOptions | None = None) -> None:
        super().__init__(below)
        self.options = options or EwfOptions()

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        if context.task.index > 0:
            context.segmenter.classifier.freeze_old()

    @torch.no_grad()
    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        if context.old is None:
            return
        task, given = context.task, self.options.new_share
        # A task that brings no class (another domain) counts as one new class: else nothing of it would remain.
        share = fusion_share(task.old, max(1, task.new)) if given is None else given
        before = dict(context.old.named_parameters())
        for name, parameter in context.segmenter.named_parameters():
            if name in before and parameter.requires_grad and before[name].shape == parameter.shape:
                parameter.copy_(fuse(before[name], parameter, share, self.options.kept_share))
