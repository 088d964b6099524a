"""The classifier of a continual segmenter: one 1x1 convolution per task, outputs side by side."""

import math

import torch
from torch import Tensor, nn


class GrowingClassifier(nn.Module):
    """Features (B, C, h, w) -> logits (B, 1 + V + N, h, w): background first, then classes in the order they came.

    heads[0] is the background, heads[1 + t] the classes of task t, so that a parameter keeps its name and shape for ever.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 1)])

    @property
    def classes(self) -> int:
        """Classes besides the background."""
        return sum(len(_parameters(head)[1]) for head in self.heads) - 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Classes of each task so far."""
        return tuple(len(_parameters(head)[1]) for head in self.heads)[1:]

    def grow(self, classes: int, balanced: bool = False) -> None:
        """Adds outputs for a task.

        balanced: as MiB (arXiv 2002.00718) has it. New outputs start as copies of the background whose probability they
        share: bias b - log(N + 1) for them and for the background, so every other class keeps its probability.
        """
        if classes < 1:
            raise ValueError(f"{classes} new classes; a task brings at least one")
        background = self.heads[0]
        weight, bias = _parameters(background)
        head = nn.Conv2d(self.width, classes, 1).to(weight.device)
        if balanced:
            with torch.no_grad():
                shared = bias - math.log(classes + 1)
                head_weight, head_bias = _parameters(head)
                head_weight.copy_(weight.expand_as(head_weight))
                head_bias.copy_(shared.expand_as(head_bias))
                bias.copy_(shared)
        self.heads.append(head)

    def freeze_old(self, background: bool = True) -> None:
        """Only the newest head learns; without `background` that of the background does too."""
        for head in list(self.heads)[0 if background else 1 : -1]:
            head.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([head(features) for head in self.heads], dim=1)


def _parameters(head: nn.Module) -> tuple[Tensor, Tensor]:
    if not isinstance(head, nn.Conv2d) or head.bias is None:
        raise ValueError(f"a head is a convolution with bias, not {type(head).__name__}")
    return head.weight, head.bias
