"""Soft Dice (Milletari et al., 3DV 2016) beside another method's losses, in the form that continual learning needs.

Class IoU asks for overlap, and cross-entropy on frames that are mostly background marks too little for it: a class only where
it is likelier than not. Overlap alone would forget, though, since current clips name new classes only and marking fewer of the
old ones costs nothing. So the overlap of old classes counts too, with what the old network is sure of as their truth.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cavs.adapt.methods.layered import Layered
from cavs.adapt.methods.method import IGNORED, Method, Step, Terms

SMOOTHING = 1.0
"""Pixels added to both sides of the quotient."""


@dataclass(frozen=True, slots=True)
class OverlapOptions:
    """new: weight of the overlap with labels. old: of that with what the old network says of current clips. sure: probability
    from which it is believed."""

    new: float = 1.0
    old: float = 1.0
    sure: float = 0.5


def overlap_distance(logits: Tensor, labels: Tensor, first: int, last: int) -> Tensor:
    """1 - Dice of the classes first .. last over all frames together (B, K, h, w), a mean over those that `labels` (B, h, w)
    name; 0 where they name none."""
    marked = logits.softmax(1)[:, first : last + 1]
    classes = torch.arange(first, last + 1, device=labels.device)[:, None, None]
    true = (labels[:, None] == classes).to(marked.dtype)
    known = (labels != IGNORED)[:, None]
    shared = (marked * true).sum((0, 2, 3))
    total = (marked * known + true).sum((0, 2, 3))
    named = true.sum((0, 2, 3)) > 0
    distance = 1 - (2 * shared + SMOOTHING) / (total + SMOOTHING)
    return (distance * named).sum() / named.sum().clamp_min(1)


class Overlap(Layered):
    """Current frames count for new classes, by their labels, and for old ones, by the old network; rehearsed frames for all.

    On top of a method that reads everything, all classes of all frames count by their labels: leave `old` 0 there.
    """

    def __init__(self, below: Method, options: OverlapOptions | None = None) -> None:
        super().__init__(below)
        self.options = options or OverlapOptions()

    def loss(self, step: Step) -> Terms:
        terms = super().loss(step)
        logits, rows, old = step.said.logits, step.rows, step.task.old
        current, last = ~rows.rehearsed, logits.shape[1] - 1
        first = 1 if self.reads == "all" else old + 1  # what reads everything has every class labelled
        if self.options.new:
            terms["overlap"] = self.options.new * (
                _share(current) * overlap_distance(logits[current], rows.labels[current], first, last)
                + _share(rows.rehearsed) * overlap_distance(logits[rows.rehearsed], rows.labels[rows.rehearsed], 1, last)
            )
        if self.options.old and step.old is not None:
            sure, said = step.old_said.logits[current].softmax(1).max(1)
            believed = torch.where((rows.labels[current] == 0) & (sure > self.options.sure), said, 0)
            terms["old overlap"] = self.options.old * _share(current) * overlap_distance(logits[current], believed, 1, old)
        return terms


def _share(chosen: Tensor) -> Tensor:
    """Of the batch."""
    return chosen.to(torch.get_default_dtype()).mean()
