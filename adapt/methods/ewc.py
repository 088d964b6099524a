"""EWC, elastic weight consolidation (Kirkpatrick et al., PNAS 2017), in its two online forms."""

from dataclasses import dataclass
from typing import Literal

import torch

from cavs.adapt.methods.anchored import Anchored, Tensors, between_0_and_1, tensors
from cavs.adapt.methods.fine_tuning import row_cross_entropy
from cavs.adapt.methods.method import State, Step, TaskContext
from cavs.adapt.methods.sensitivity import sensitivity


@dataclass(frozen=True, slots=True)
class EwcOptions:
    """importance: 500 in CMR's code, 100 in PLOP's.

    fisher: `running`, F <- alpha g^2 + (1 - alpha) F in every step, each tensor scaled to 0..1 before use (MiB's code base); or
    `after`, measured frame by frame after the task, F <- gamma F + F_task (mammoth).
    """

    importance: float = 500.0
    fisher: Literal["running", "after"] = "running"
    alpha: float = 0.9
    gamma: float = 1.0


class Ewc(Anchored):
    """Importance is the diagonal of the empirical Fisher information."""

    def __init__(self, options: EwcOptions | None = None) -> None:
        self.options = options or EwcOptions()
        super().__init__(self.options.importance)
        self.fisher: Tensors = {}

    def observe(self, step: Step) -> None:
        if self.options.fisher == "running":
            follow_fisher(self.fisher, step, self.options.alpha)

    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        if self.options.fisher == "running":
            self.importance = {
                name: between_0_and_1(self.fisher[name]) if name in self.fisher else torch.zeros_like(anchor)
                for name, anchor in self.anchor.items()
            }
            return
        measured = sensitivity(context, self.watched(context.segmenter), task_loss)
        self.importance = {
            name: self.options.gamma * self.importance[name] + value if name in self.importance else value
            for name, value in measured.items()
        }

    def state(self) -> State:
        return {**super().state(), "fisher": dict(self.fisher)}

    def load(self, state: State) -> None:
        super().load(state)
        self.fisher = tensors(state, "fisher")


def follow_fisher(fisher: Tensors, step: Step, alpha: float) -> None:
    """F <- alpha g^2 + (1 - alpha) F with the gradients there are."""
    for name, parameter in step.segmenter.named_parameters():
        if parameter.grad is not None:
            squared = parameter.grad.detach().square()
            fisher[name] = alpha * squared + (1 - alpha) * fisher[name] if name in fisher else squared


def task_loss(step: Step) -> torch.Tensor:
    """The plain loss of a step, as importance is measured by."""
    return row_cross_entropy(step.said.logits, step.rows.labels).mean()
