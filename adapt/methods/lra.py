"""LRA, the low-rank anchoring of ATLAS (arXiv 2603.08967): LoRA weights are held by how much the loss feels them.

The paper's public parts say that adapted weights are stabilised "based on loss sensitivity"; every formula here is our
reading, so every choice is an option. The space `delta` follows EWC-LoRA (ICLR 2026): A and B apart misjudge what their
product means, so the product is anchored at zero, and folded into the frozen weight after every task.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cavs.adapt.methods.anchored import Anchored, Tensors, quadratic_penalty
from cavs.adapt.methods.ewc import task_loss
from cavs.adapt.methods.exchange import Exchange
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Method, Segmenter, Step, TaskContext, Terms
from cavs.adapt.methods.mib import Mib, MibOptions
from cavs.adapt.methods.overlap import Overlap, OverlapOptions
from cavs.adapt.methods.pseudo import Pseudo, PseudoOptions
from cavs.adapt.methods.sensitivity import Power, sensitivity
from cavs.adapt.model.lora import DOWN, UP, adapted_layers, attach_lora, fold_lora


@dataclass(frozen=True, slots=True)
class LraOptions:
    """strength:  lambda of the penalty lambda / 2 sum Omega (theta - theta*)^2.
    power:     Omega from squared or absolute gradients, scaled to a mean of 1 in every layer.
    mode:      `penalty`, or `grad_scale`: gradients times 1 / (1 + beta Omega).
    space:     `factors`, A and B each with its anchor; `delta`, their product.
    frames:    that Omega is measured on, at most; None takes all of the task.
    gamma:     Omega <- gamma Omega + Omega of the task.
    objective: what is anchored. `plain` cross-entropy trains old classes down, wherever they are background now; `unbiased` and
               `completed` (see `pseudo.Pseudo`) do not. ATLAS marks sounding pixels of no class and needs neither.
    distillation: weight of MiB's, with an objective that is not plain.
    overlap, old_overlap: weights of `overlap.Overlap` on top of the objective; 0 and 0 leave it out.
    exchange:  sounds change places between frames of the same labels (`exchange.Exchange`).
    learns:    after the first task only the `pairs` and the classifier, or `all` that learned before.
    """

    strength: float = 1.0
    power: Power = "squared"
    mode: Literal["penalty", "grad_scale"] = "penalty"
    space: Literal["factors", "delta"] = "factors"
    frames: int | None = 128
    gamma: float = 0.95
    beta: float = 10.0
    objective: Literal["plain", "unbiased", "completed"] = "unbiased"
    distillation: float = 10.0
    overlap: float = 0.3
    old_overlap: float = 0.3
    exchange: bool = True
    learns: Literal["pairs", "all"] = "all"

    def __post_init__(self) -> None:
        if self.mode == "grad_scale" and self.space == "delta":
            raise ValueError("grad_scale needs space factors: only A and B have gradients to scale")


def layer_of(name: str) -> str:
    """The layer that a weight belongs to, by name."""
    return name.rpartition(".")[0]


def mean_one_per_layer(values: Mapping[str, Tensor]) -> Tensors:
    """Scaled so that the values of each layer, all its tensors together, have a mean of 1; a layer of zeros stays."""
    layers: dict[str, list[Tensor]] = {}
    for name, value in values.items():
        layers.setdefault(layer_of(name), []).append(value.flatten())
    means = {layer: torch.cat(parts).mean() for layer, parts in layers.items()}
    return {name: value / means[layer_of(name)] if means[layer_of(name)] > 0 else value for name, value in values.items()}


def make_objective(options: LraOptions) -> Method:
    """The method whose loss is anchored."""
    if options.objective == "plain":
        losses: Method = FineTuning()
    elif options.objective == "unbiased":
        losses = Mib(MibOptions(distillation=options.distillation))
    else:
        losses = Pseudo(PseudoOptions(distillation=options.distillation))
    if options.overlap or options.old_overlap:
        losses = Overlap(losses, OverlapOptions(new=options.overlap, old=options.old_overlap))
    return Exchange(losses) if options.exchange else losses


class Lra(Anchored):
    """Loss-sensitivity anchoring of the LoRA weights. What else learns is not held."""

    def __init__(self, options: LraOptions | None = None) -> None:
        self.options = options or LraOptions()
        self.objective = make_objective(self.options)
        super().__init__(self.options.strength / 2)

    def begin_task(self, context: TaskContext) -> None:
        self.objective.begin_task(context)
        if context.task.index and self.options.learns == "pairs":
            pairs_and_classifier(context.segmenter)

    def prepare(self, step: Step) -> None:
        self.objective.prepare(step)

    def loss(self, step: Step) -> Terms:
        return self.objective.loss(step)

    def watched(self, segmenter: Segmenter) -> dict[str, nn.Parameter]:
        return {name: p for name, p in segmenter.named_parameters() if name.endswith((DOWN, UP))}

    def penalty(self, segmenter: Segmenter) -> Tensor:
        if self.options.mode == "grad_scale":
            return torch.zeros(())
        if self.options.space == "factors":
            return super().penalty(segmenter)
        return self.strength * quadratic_penalty(products(segmenter), self.anchor, self.importance)

    def after_backward(self, step: Step) -> None:
        super().after_backward(step)
        if self.options.mode == "grad_scale":
            for name, parameter in self.watched(step.segmenter).items():
                if parameter.grad is not None and name in self.importance:
                    parameter.grad /= 1 + self.options.beta * self.importance[name]

    def end_task(self, context: TaskContext) -> None:
        if self.options.space == "factors":
            super().end_task(context)
            measured = sensitivity(context, self.watched(context.segmenter), task_loss, self.options.power, self.options.frames)
        else:
            measured = self._end_in_delta(context)
        for name, value in mean_one_per_layer(measured).items():
            former = self.importance.get(name)
            self.importance[name] = value if former is None else self.options.gamma * former + value

    def _end_in_delta(self, context: TaskContext) -> Tensors:
        # The gradient on a layer's weight W is the one on W + B A, hence that on the product.
        pair_rank(context.segmenter)
        layers = adapted_layers(context.segmenter)
        weights = {f"{name}.weight": layer.weight for name, layer in layers.items()}
        learned = {name: weight.requires_grad for name, weight in weights.items()}
        for weight in weights.values():
            weight.requires_grad_(True)
        measured = sensitivity(context, weights, task_loss, self.options.power, self.options.frames)
        for name, weight in weights.items():
            weight.requires_grad_(learned[name])
        fold_and_renew(context.segmenter, context.rng)
        self.anchor = {name: torch.zeros_like(weight).flatten(1) for name, weight in weights.items()}
        return {name: value.flatten(1) for name, value in measured.items()}


def pairs_and_classifier(segmenter: Segmenter) -> None:
    """From now on nothing else learns."""
    for name, parameter in segmenter.named_parameters():
        parameter.requires_grad_(name.endswith((DOWN, UP)) or name.startswith("classifier."))


def fold_and_renew(segmenter: Segmenter, rng: np.random.Generator) -> None:
    """Adds every B A to its weight; fresh pairs, which change nothing, take their place, other ones in every task.

    Layers without a pair, as in frozen encoders, get none.
    """
    rank, carrying = pair_rank(segmenter), adapted_layers(segmenter)
    fold_lora(segmenter)
    attach_lora(nn.ModuleList(carrying.values()), rank, int(rng.integers(2**31)))


def pair_rank(segmenter: Segmenter) -> int:
    """The rank of all pairs. ValueError if there are none or they differ."""
    ranks = {int(layer.lora_down.shape[0]) for layer in adapted_layers(segmenter).values() if layer.lora_down is not None}
    if len(ranks) != 1:
        raise ValueError(f"LoRA pairs of ranks {sorted(ranks)}; the segmenter needs pairs of one rank (attach_lora)")
    return ranks.pop()


def products(segmenter: nn.Module) -> Tensors:
    """B A of every adapted layer under the name of the weight that it adds to."""
    return {
        f"{name}.weight": layer.lora_up @ layer.lora_down
        for name, layer in adapted_layers(segmenter).items()
        if layer.lora_up is not None and layer.lora_down is not None
    }
