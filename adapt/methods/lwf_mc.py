"""LwF-MC: the loss of iCaRL (arXiv 1611.07725) without its exemplars, every class a yes or no of its own."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import IGNORED, Step, Terms


@dataclass(frozen=True, slots=True)
class LwfMcOptions:
    """importance: 1 in CMR's code, 10 in PLOP's. combined: cross-entropy on the labels, and beside it the yes-or-no loss on the
    old outputs, times their number."""

    importance: float = 1.0
    combined: bool = False


def one_hot_labels(labels: Tensor, outputs: int) -> Tensor:
    """(B, outputs, h, w); ignored pixels are zero everywhere."""
    known = labels != IGNORED
    hot = F.one_hot(torch.where(known, labels, 0), outputs).movedim(-1, 1).float()
    return hot * known[:, None]


def binary_distillation(logits: Tensor, labels: Tensor, old_logits: Tensor | None) -> Tensor:
    """Binary cross-entropy, summed over outputs, a mean over labelled pixels; the old network sets the old outputs' targets."""
    targets = one_hot_labels(labels, logits.shape[1])
    if old_logits is not None:
        targets = torch.cat([old_logits.sigmoid(), targets[:, old_logits.shape[1] :]], dim=1)
    per_pixel = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    known = labels != IGNORED
    return (per_pixel * known).sum() / known.sum().clamp_min(1)


class LwfMc(FineTuning):
    """Targets of old outputs are what the old network says, those of new outputs the labels."""

    def __init__(self, options: LwfMcOptions | None = None) -> None:
        self.options = options or LwfMcOptions()

    def loss(self, step: Step) -> Terms:
        old = step.old_said.logits if step.old is not None else None
        if not self.options.combined:
            return {"task": self.options.importance * binary_distillation(step.said.logits, step.rows.labels, old)}
        terms = super().loss(step)
        if old is not None:
            shared = step.said.logits[:, : old.shape[1]]
            per_output = F.binary_cross_entropy_with_logits(shared, old.sigmoid())
            terms["distillation"] = self.options.importance * old.shape[1] * per_output
        return terms
