"""MAS, memory aware synapses (Aljundi et al., ECCV 2018, arXiv 1711.09601)."""

from dataclasses import dataclass

from torch import Tensor

from cavs.adapt.methods.anchored import Anchored
from cavs.adapt.methods.method import Step, TaskContext
from cavs.adapt.methods.sensitivity import sensitivity


@dataclass(frozen=True, slots=True)
class MasOptions:
    importance: float = 1.0


def output_energy(step: Step) -> Tensor:
    """Squared length of the logits of a pixel, a mean over pixels."""
    return step.said.logits.square().sum(1).mean()


class Mas(Anchored):
    """Importance is how much the output moves with the weight: no labels are used. It adds up over tasks."""

    def __init__(self, options: MasOptions | None = None) -> None:
        self.options = options or MasOptions()
        super().__init__(self.options.importance)

    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        for name, value in sensitivity(context, self.watched(context.segmenter), output_energy, "absolute").items():
            self.importance[name] = self.importance[name] + value if name in self.importance else value
