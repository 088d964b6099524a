"""PI, the path integral of synaptic intelligence (Zenke et al., ICML 2017)."""

from dataclasses import dataclass

import torch

from cavs.adapt.methods.anchored import Anchored, Tensors, between_0_and_1, tensors
from cavs.adapt.methods.method import State, Step, TaskContext


@dataclass(frozen=True, slots=True)
class PathIntegralOptions:
    """importance: 500 in CMR's code, 100 in PLOP's. damping: added to the squared way, .1 in the authors' experiments.
    normalised: scores are scaled to 0..1 per tensor before use, as in MiB's code base, where those strengths are from."""

    importance: float = 500.0
    damping: float = 0.1
    normalised: bool = True


class PathIntegral(Anchored):
    """A weight is as important as the loss that its way through the task saved, per squared length of the way."""

    def __init__(self, options: PathIntegralOptions | None = None) -> None:
        self.options = options or PathIntegralOptions()
        super().__init__(self.options.importance)
        self.score: Tensors = {}
        self.saved: Tensors = {}
        self._start: Tensors = {}
        self._before: Tensors = {}
        self._gradient: Tensors = {}

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        self._start = {name: p.detach().clone() for name, p in self.watched(context.segmenter).items()}
        self.saved = {name: torch.zeros_like(value) for name, value in self._start.items()}

    def observe(self, step: Step) -> None:
        learning = {name: p for name, p in self.watched(step.segmenter).items() if p.grad is not None}
        self._gradient = {name: p.grad.detach().clone() for name, p in learning.items() if p.grad is not None}
        self._before = {name: p.detach().clone() for name, p in learning.items()}

    def after_step(self, step: Step) -> None:
        weights = dict(step.segmenter.named_parameters())
        for name, gradient in self._gradient.items():
            self.saved[name] -= gradient * (weights[name].detach() - self._before[name])

    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        for name, end in self.anchor.items():
            way = (end - self._start[name]).square() + self.options.damping
            found = (self.saved[name] / way).clamp_min(0)
            score = self.score[name] = self.score[name] + found if name in self.score else found
            self.importance[name] = between_0_and_1(score) if self.options.normalised else score

    def state(self) -> State:
        return {**super().state(), "score": dict(self.score)}

    def load(self, state: State) -> None:
        super().load(state)
        self.score = tensors(state, "score")
