"""One step of a method, in the order that `method.py` promises."""

import copy
from typing import TypeVar

import torch
from torch import nn

from cavs.adapt.methods.method import Method, Segmenter, Step, Terms

Copied = TypeVar("Copied", bound=Segmenter)


def frozen_copy(segmenter: Copied) -> Copied:
    """A copy that never learns: evaluation mode, no gradients."""
    frozen = copy.deepcopy(segmenter)
    frozen.eval()
    frozen.requires_grad_(False)
    return frozen


def learn_step(method: Method, step: Step, optimiser: torch.optim.Optimizer, clip_norm: float | None = None) -> Terms:
    """Learns from one batch and gives the terms of its loss, detached."""
    optimiser.zero_grad(set_to_none=True)
    method.prepare(step)
    terms = method.loss(step)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    method.after_backward(step)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(step.segmenter.parameters(), clip_norm)
    optimiser.step()
    method.after_step(step)
    return {name: term.detach() for name, term in terms.items()}
