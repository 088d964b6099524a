"""Labels completed by the old network, where the papers' drift comes from: in a current clip every old class is background.

Where the old network is sure of one, its class is taken. SSUL and PLOP do so too, SSUL with a sigmoid for each class, PLOP
with a threshold for each class, below which pixels are left out. Here the rest stays background. A rehearsed clip has all
labels already.
"""

from dataclasses import dataclass, replace

import torch

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Step, TaskContext, Terms
from cavs.adapt.methods.mib import unbiased_distillation


@dataclass(frozen=True, slots=True)
class PseudoOptions:
    """sure: probability from which the old network's class is taken. distillation: weight of MiB's unbiased distillation."""

    sure: float = 0.5
    distillation: float = 10.0


class Pseudo(FineTuning):
    """Cross-entropy on completed labels, and distillation."""

    def __init__(self, options: PseudoOptions | None = None) -> None:
        self.options = options or PseudoOptions()

    def begin_task(self, context: TaskContext) -> None:
        if context.task.new:
            context.segmenter.classifier.grow(context.task.new, balanced=context.task.index > 0)

    def prepare(self, step: Step) -> None:
        if step.old is None or step.task.old == 0:
            return
        probability, row = step.old_said.logits.softmax(1)[:, 1:].max(1)
        asked = (step.rows.labels == 0) & ~step.rows.rehearsed[:, None, None] & (probability >= self.options.sure)
        step.rows = replace(step.rows, labels=torch.where(asked, row + 1, step.rows.labels))

    def loss(self, step: Step) -> Terms:
        terms = super().loss(step)
        if step.old is not None and self.options.distillation:
            distance = unbiased_distillation(step.said.logits, step.old_said.logits)
            terms["distillation"] = self.options.distillation * distance
        return terms
