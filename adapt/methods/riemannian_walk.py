"""RW, Riemannian walk (Chaudhry et al., ECCV 2018, arXiv 1801.10112)."""

from dataclasses import dataclass

import torch

from cavs.adapt.methods.anchored import Anchored, Tensors, between_0_and_1, tensors
from cavs.adapt.methods.ewc import follow_fisher
from cavs.adapt.methods.method import State, Step, TaskContext


@dataclass(frozen=True, slots=True)
class RiemannianWalkOptions:
    """importance: 100 in CMR's code. every: steps between two updates of the score."""

    importance: float = 100.0
    alpha: float = 0.9
    every: int = 10
    epsilon: float = 1e-8


class RiemannianWalk(Anchored):
    """Running Fisher plus a score: the loss that a way saved, per half its length squared under the Fisher metric.

    Both are scaled to 0..1 per tensor before they are added (our reading); scores of successive tasks are averaged.
    """

    def __init__(self, options: RiemannianWalkOptions | None = None) -> None:
        self.options = options or RiemannianWalkOptions()
        super().__init__(self.options.importance)
        self.fisher: Tensors = {}
        self.score: Tensors = {}
        self._task_score: Tensors = {}
        self._saved: Tensors = {}
        self._since: Tensors = {}
        self._before: Tensors = {}
        self._gradient: Tensors = {}
        self._steps = 0

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        self._since = {name: p.detach().clone() for name, p in self.watched(context.segmenter).items()}
        self._task_score = {name: torch.zeros_like(value) for name, value in self._since.items()}
        self._saved = {name: torch.zeros_like(value) for name, value in self._since.items()}
        self._steps = 0

    def observe(self, step: Step) -> None:
        follow_fisher(self.fisher, step, self.options.alpha)
        learning = self.watched(step.segmenter).items()
        self._gradient = {name: p.grad.detach().clone() for name, p in learning if p.grad is not None}
        self._before = {name: p.detach().clone() for name, p in learning if p.grad is not None}

    def after_step(self, step: Step) -> None:
        weights = {name: p.detach() for name, p in step.segmenter.named_parameters()}
        for name, gradient in self._gradient.items():
            self._saved[name] -= gradient * (weights[name] - self._before[name])
        self._steps += 1
        if self._steps % self.options.every == 0:
            self._score(weights)

    def _score(self, weights: Tensors) -> None:
        for name, since in self._since.items():
            if name in self.fisher:
                length = 0.5 * self.fisher[name] * (weights[name] - since).square() + self.options.epsilon
                self._task_score[name] += (self._saved[name] / length).clamp_min(0)
            self._saved[name].zero_()
            self._since[name] = weights[name].clone()

    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        for name, anchor in self.anchor.items():
            new = between_0_and_1(self._task_score[name])
            self.score[name] = (self.score[name] + new) / 2 if name in self.score else new
            fisher = between_0_and_1(self.fisher[name]) if name in self.fisher else torch.zeros_like(anchor)
            self.importance[name] = fisher + self.score[name]

    def state(self) -> State:
        return {**super().state(), "fisher": dict(self.fisher), "score": dict(self.score)}

    def load(self, state: State) -> None:
        super().load(state)
        self.fisher, self.score = tensors(state, "fisher"), tensors(state, "score")
