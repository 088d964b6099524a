"""Labels completed by the old network: what `cavs` learns from, beside its memory.

A current clip calls every old class background. Where the old network is sure of one, its label is taken instead (as SSUL and
PLOP do, each with a rule of its own); the rest stays background and is learned as such, or as "background or any old class"
(MiB). A rehearsed clip has all labels already.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from cavs.adapt.methods.fine_tuning import FineTuning, row_cross_entropy
from cavs.adapt.methods.method import Step, TaskContext, Terms
from cavs.adapt.methods.mib import unbiased_cross_entropy, unbiased_distillation


@dataclass(frozen=True, slots=True)
class PseudoOptions:
    """sure: probability from which the old network's class is taken; above 1 none is.
    background:   what an unlabelled pixel of a current clip is, `background` or `either`: background or any old class.
    distillation: weight of MiB's unbiased distillation.
    """

    sure: float = 0.5
    background: Literal["background", "either"] = "background"
    distillation: float = 0.0
    balanced_head: bool = True


class Pseudo(FineTuning):
    """Cross-entropy on completed labels."""

    def __init__(self, options: PseudoOptions | None = None) -> None:
        self.pseudo = options or PseudoOptions()

    def begin_task(self, context: TaskContext) -> None:
        if context.task.new:
            later = context.task.index > 0
            context.segmenter.classifier.grow(context.task.new, balanced=later and self.pseudo.balanced_head)

    def prepare(self, step: Step) -> None:
        if step.old is None or step.task.old == 0 or self.pseudo.sure > 1:
            return
        probability, row = step.old_said.logits.softmax(1)[:, 1:].max(1)
        asked = (step.rows.labels == 0) & ~step.rows.rehearsed[:, None, None] & (probability >= self.pseudo.sure)
        step.rows = replace(step.rows, labels=torch.where(asked, row + 1, step.rows.labels))

    def loss(self, step: Step) -> Terms:
        logits, labels = step.said.logits, step.rows.labels
        per_row = row_cross_entropy(logits, labels)
        if self.pseudo.background == "either" and step.old is not None:
            # Labels of old classes are merged too: here they are the old network's word, and it is distilled.
            per_row = torch.where(step.rows.rehearsed, per_row, unbiased_cross_entropy(logits, labels, step.task.old))
        terms = {"task": per_row.mean()}
        if step.old is not None and self.pseudo.distillation:
            terms["distillation"] = self.pseudo.distillation * unbiased_distillation(logits, step.old_said.logits)
        return terms
