"""MiB, modelling the background (Cermelli et al., CVPR 2020, arXiv 2002.00718).

In a later task "background" may be any old class, and the old network's "background" may be any new one. Both losses say so.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.fine_tuning import FineTuning, row_cross_entropy
from cavs.adapt.methods.method import IGNORED, Step, TaskContext, Terms


@dataclass(frozen=True, slots=True)
class MibOptions:
    distillation: float = 10.0
    balanced_head: bool = True


def unbiased_cross_entropy(logits: Tensor, labels: Tensor, old: int) -> Tensor:
    """Per frame (B,). The background's probability is that of background or any of the `old` classes; labels of old classes
    count as background."""
    log_all = logits.logsumexp(1, keepdim=True)
    background = logits[:, : 1 + old].logsumexp(1, keepdim=True) - log_all
    # Outputs of old classes stay in place so that labels keep their numbers; no label points at them any more.
    log_probability = torch.cat([background, logits[:, 1:] - log_all], dim=1)
    merged = torch.where((labels <= old) & (labels != IGNORED), 0, labels)
    per_pixel = F.nll_loss(log_probability, merged, ignore_index=IGNORED, reduction="none")
    return per_pixel.sum((1, 2)) / (labels != IGNORED).sum((1, 2)).clamp_min(1)


def unbiased_distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    """Cross-entropy from the old network's probabilities; its background is matched by background or any new class. A mean
    over the old outputs and the pixels."""
    outputs = old_logits.shape[1]
    log_all = logits.logsumexp(1, keepdim=True)
    either = torch.cat([logits[:, :1], logits[:, outputs:]], dim=1).logsumexp(1, keepdim=True)
    log_probability = torch.cat([either, logits[:, 1:outputs]], dim=1) - log_all
    return -(old_logits.softmax(1) * log_probability).sum(1).mean() / outputs


class Mib(FineTuning):
    """Unbiased cross-entropy, unbiased distillation, new heads that start as shares of the background.

    MiB has no memory. Rehearsed frames, when a method above brings some, have every class labelled: they take the plain
    cross-entropy, and what the old network says of them, right or wrong, is not distilled (our reading).
    """

    def __init__(self, options: MibOptions | None = None) -> None:
        self.options = options or MibOptions()

    def begin_task(self, context: TaskContext) -> None:
        if context.task.new:
            later = context.task.index > 0
            context.segmenter.classifier.grow(context.task.new, balanced=later and self.options.balanced_head)

    def loss(self, step: Step) -> Terms:
        logits, labels = step.said.logits, step.rows.labels
        unbiased = unbiased_cross_entropy(logits, labels, step.task.old)
        plain = row_cross_entropy(logits, labels)
        terms = {"task": torch.where(step.rows.rehearsed, plain, unbiased).mean()}
        current = ~step.rows.rehearsed
        if step.old is not None and current.any():
            distance = unbiased_distillation(logits[current], step.old_said.logits[current])
            terms["distillation"] = self.options.distillation * current.float().mean() * distance
        return terms
