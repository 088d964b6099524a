"""SSUL (Cha et al., NeurIPS 2021): a frozen network, new heads with a sigmoid each, pseudo-labels; SSUL-M adds a memory.

As CMR's code base ports it. The authors also split an "unknown" class off the background with a saliency detector; there is
none here, so it is left out. Which head of the background learns is our reading, hence an option.
"""

from dataclasses import dataclass, replace

import torch

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.layered import substate
from cavs.adapt.methods.lwf_mc import binary_distillation
from cavs.adapt.methods.memory import Exemplars
from cavs.adapt.methods.method import Reads, State, Step, TaskContext, Terms


@dataclass(frozen=True, slots=True)
class SsulOptions:
    """memory: clips kept in all, shared equally by the classes; 0 is SSUL, the authors' SSUL-M keeps 100 (VOC) or 300 (ADE)."""

    sure: float = 0.7
    memory: int = 0
    background_learns: bool = True


class Ssul(FineTuning):
    """From the second task on only the new heads learn; pixels that the old network is sure of get its label."""

    def __init__(self, options: SsulOptions | None = None) -> None:
        self.options = options or SsulOptions()
        self.memory = Exemplars()
        self.reads: Reads = "memory" if self.options.memory else "current"

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        if context.task.index > 0:
            for parameter in context.segmenter.parameters():
                parameter.requires_grad_(False)
            classifier = context.segmenter.classifier
            classifier.heads[-1].requires_grad_(True)
            classifier.heads[0].requires_grad_(self.options.background_learns)

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        return list(self.memory.clips())

    def prepare(self, step: Step) -> None:
        if step.old is None or step.task.old == 0:
            return
        probability, row = step.old_said.logits[:, 1:].sigmoid().max(1)
        asked = (step.rows.labels == 0) & ~step.rows.rehearsed[:, None, None] & (probability >= self.options.sure)
        step.rows = replace(step.rows, labels=torch.where(asked, row + 1, step.rows.labels))

    def loss(self, step: Step) -> Terms:
        return {"task": binary_distillation(step.said.logits, step.rows.labels, None)}

    def end_task(self, context: TaskContext) -> None:
        if self.options.memory:
            self.memory.rebalance(context, self.options.memory)

    def memory_clips(self) -> tuple[str, ...]:
        return self.memory.clips()

    def state(self) -> State:
        return {"memory": self.memory.state()}

    def load(self, state: State) -> None:
        self.memory.load(substate(state, "memory"))
