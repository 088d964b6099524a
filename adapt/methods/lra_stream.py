"""LRA without task boundaries, for the task-free protocol of ATLAS (arXiv 2603.08967). Our reading throughout.

Importance is a running mean of squared gradients. The anchor is a running mean of the weights, or where the weights were when
the loss last stood still (the detector of Aljundi et al., "Task-free continual learning", CVPR 2019).
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from cavs.adapt.methods.anchored import Anchored, Tensors, tensors
from cavs.adapt.methods.lra import mean_one_per_layer
from cavs.adapt.methods.method import Segmenter, State, Step, TaskContext
from cavs.adapt.model.lora import DOWN, UP


@dataclass(frozen=True, slots=True)
class LraStreamOptions:
    """still_mean, still_deviation: a window of losses below both is a plateau. The next one counts only after a peak."""

    strength: float = 1.0
    importance_decay: float = 0.99
    anchor: Literal["mean", "plateau"] = "mean"
    anchor_decay: float = 0.999
    window: int = 5
    still_mean: float = 0.2
    still_deviation: float = 0.05


class PlateauDetector:
    """Says once for every plateau of a loss that it was reached."""

    def __init__(self, window: int, mean_below: float, deviation_below: float) -> None:
        self.losses: deque[float] = deque(maxlen=window)
        self.mean_below = mean_below
        self.deviation_below = deviation_below
        self._peak_above: float | None = None

    def add(self, loss: float) -> bool:
        self.losses.append(loss)
        if len(self.losses) < (self.losses.maxlen or 0):
            return False
        values = torch.tensor(list(self.losses))
        mean, deviation = float(values.mean()), float(values.std(correction=0))
        if self._peak_above is not None:
            if mean <= self._peak_above:
                return False
            self._peak_above = None
        if mean < self.mean_below and deviation < self.deviation_below:
            self._peak_above = mean + deviation
            return True
        return False


class LraStream(Anchored):
    """Anchors the LoRA weights while a stream is learned in a single pass."""

    def __init__(self, options: LraStreamOptions | None = None) -> None:
        self.options = options or LraStreamOptions()
        super().__init__(self.options.strength / 2)
        self.squared: Tensors = {}
        self.plateaus = PlateauDetector(self.options.window, self.options.still_mean, self.options.still_deviation)

    def watched(self, segmenter: Segmenter) -> dict[str, nn.Parameter]:
        return {name: p for name, p in segmenter.named_parameters() if name.endswith((DOWN, UP))}

    def observe(self, step: Step) -> None:
        decay = self.options.importance_decay
        for name, parameter in self.watched(step.segmenter).items():
            if parameter.grad is not None:
                squared = parameter.grad.detach().square()
                self.squared[name] = decay * self.squared[name] + (1 - decay) * squared if name in self.squared else squared
        if self.options.anchor == "mean":
            self.importance = mean_one_per_layer(self.squared)
            self.anchor = {name: value for name, value in self.anchor.items() if name in self.importance}

    def after_step(self, step: Step) -> None:
        decay = self.options.anchor_decay
        weights = {name: p.detach() for name, p in self.watched(step.segmenter).items() if name in self.squared}
        if self.options.anchor == "mean":
            for name, weight in weights.items():
                former = self.anchor.get(name, weight)
                self.anchor[name] = decay * former + (1 - decay) * weight
        elif self.plateaus.add(float(sum(term.detach() for term in self.loss(step).values()))):
            self.importance = mean_one_per_layer(self.squared)
            self.anchor = {name: weight.clone() for name, weight in weights.items()}

    def end_task(self, context: TaskContext) -> None:
        """A stream has no boundaries, so nothing happens at one."""

    def state(self) -> State:
        return {**super().state(), "squared": dict(self.squared)}

    def load(self, state: State) -> None:
        super().load(state)
        self.squared = tensors(state, "squared")
