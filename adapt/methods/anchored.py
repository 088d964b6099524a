"""What EWC, PI, RW, MAS and LRA share: weights are held near where they were, each as firmly as it was important."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.layered import substate
from cavs.adapt.methods.method import Segmenter, State, Step, TaskContext

Tensors = dict[str, Tensor]
NOISE = 1e-8
"""Of importances before they are normalised."""


def quadratic_penalty(weights: Mapping[str, Tensor], anchor: Mapping[str, Tensor], importance: Mapping[str, Tensor]) -> Tensor:
    """sum importance (weight - anchor)^2 over the weights that have an anchor."""
    parts = [(importance[name] * (weights[name] - anchor[name]).square()).sum() for name in anchor if name in weights]
    return torch.stack(parts).sum() if parts else torch.zeros(())


def between_0_and_1(values: Tensor) -> Tensor:
    """Min-max normalised, as in MiB's code base; a spread that is small against NOISE counts for little.

    A value alone in its tensor is near 1: MiB has the background's bias in one tensor with others, here it is by itself, and
    must not be free to move.
    """
    low = values.min() if values.numel() > 1 else 0.0
    return (values - low) / (values.max() - low + NOISE)


class Anchored(FineTuning):
    """Fine-tuning with a quadratic penalty; what is important is for the methods to say.

    The penalty's gradient is added after that of the loss, so that `observe` sees the loss alone, as in MiB's code base.
    """

    def __init__(self, strength: float) -> None:
        if strength < 0:
            raise ValueError(f"strength {strength}; a penalty is not negative")
        self.strength = strength
        self.anchor: Tensors = {}
        self.importance: Tensors = {}

    def watched(self, segmenter: Segmenter) -> dict[str, nn.Parameter]:
        """The weights that importance is measured for."""
        return {name: parameter for name, parameter in segmenter.named_parameters() if parameter.requires_grad}

    def penalty(self, segmenter: Segmenter) -> Tensor:
        return self.strength * quadratic_penalty(dict(segmenter.named_parameters()), self.anchor, self.importance)

    def observe(self, step: Step) -> None:
        """Reads the gradients of the loss."""

    def after_backward(self, step: Step) -> None:
        self.observe(step)
        penalty = self.penalty(step.segmenter)
        if penalty.requires_grad:
            penalty.backward()  # type: ignore[no-untyped-call]

    def anchor_here(self, segmenter: Segmenter) -> None:
        self.anchor = {name: parameter.detach().clone() for name, parameter in self.watched(segmenter).items()}

    def end_task(self, context: TaskContext) -> None:
        self.anchor_here(context.segmenter)

    def state(self) -> State:
        return {"anchor": dict(self.anchor), "importance": dict(self.importance)}

    def load(self, state: State) -> None:
        self.anchor, self.importance = tensors(state, "anchor"), tensors(state, "importance")


def tensors(state: State, name: str) -> Tensors:
    """A dictionary of tensors inside a state."""
    found = {key: value for key, value in substate(state, name).items() if isinstance(value, Tensor)}
    if len(found) != len(substate(state, name)):
        raise ValueError(f"state {name}: expected tensors only")
    return found
