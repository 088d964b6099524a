"""LoRA pairs of successive tasks kept apart, after O-LoRA (arXiv 2310.14152) and InfLoRA (CVPR 2024).

Every task has a pair of its own, folded into the weight when the task ends. `soft`, as O-LoRA: the new A pays for overlap with
the span of earlier ones. `hard`, InfLoRA-like: the new A is made orthogonal to them and frozen, only B learns; InfLoRA designs
A from the inputs' subspace, we take a random one (our reading).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cavs.adapt.methods.anchored import Tensors, tensors
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.lra import fold_and_renew, pairs_and_classifier
from cavs.adapt.methods.method import Segmenter, State, Step, TaskContext, Terms
from cavs.adapt.model.lora import adapted_layers


@dataclass(frozen=True, slots=True)
class OrthogonalLoraOptions:
    """learns: after the first task only the `pairs` and the classifier, as in the papers, or `all`."""

    overlap: float = 0.5
    mode: Literal["soft", "hard"] = "soft"
    learns: Literal["pairs", "all"] = "pairs"


def outside_span(rows: Tensor, span: Tensor) -> Tensor:
    """(R, D) rows less their part in the span of (S, D); rows of equal length as before. Zero where the span is everything."""
    _, singular, basis = torch.linalg.svd(span.double(), full_matrices=False)
    basis = basis[singular > singular.max() * 1e-6]
    rest = rows.double() - rows.double() @ basis.T @ basis
    length = torch.linalg.vector_norm(rest, dim=1, keepdim=True)
    wide = torch.linalg.vector_norm(rows.double(), dim=1, keepdim=True)
    return torch.where(length > 1e-6 * wide, rest * wide / length, 0.0).to(rows.dtype)


class OrthogonalLora(FineTuning):
    """earlier: per layer the rows (S, in) of all former A."""

    def __init__(self, options: OrthogonalLoraOptions | None = None) -> None:
        self.options = options or OrthogonalLoraOptions()
        self.earlier: Tensors = {}

    @torch.no_grad()
    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        if context.task.index and self.options.learns == "pairs":
            pairs_and_classifier(context.segmenter)
        if self.options.mode == "hard":
            for name, layer in adapted_layers(context.segmenter).items():
                if name in self.earlier and layer.lora_down is not None:
                    layer.lora_down.copy_(outside_span(layer.lora_down, self.earlier[name]))
                    layer.lora_down.requires_grad_(False)

    def loss(self, step: Step) -> Terms:
        terms = super().loss(step)
        if self.earlier and self.options.mode == "soft":
            terms["overlap"] = self.options.overlap * self.overlap(step.segmenter)
        return terms

    def overlap(self, segmenter: Segmenter) -> Tensor:
        """Sum of |A_earlier A^T| over all layers."""
        layers = adapted_layers(segmenter).items()
        return torch.stack(
            [
                (self.earlier[name] @ layer.lora_down.T).abs().sum()
                for name, layer in layers
                if name in self.earlier and layer.lora_down is not None
            ]
        ).sum()

    def end_task(self, context: TaskContext) -> None:
        for name, layer in adapted_layers(context.segmenter).items():
            if layer.lora_down is not None:
                rows = layer.lora_down.detach().clone()
                self.earlier[name] = torch.cat([self.earlier[name], rows]) if name in self.earlier else rows
        fold_and_renew(context.segmenter, context.rng)

    def state(self) -> State:
        return {"earlier": dict(self.earlier)}

    def load(self, state: State) -> None:
        self.earlier = tensors(state, "earlier")
