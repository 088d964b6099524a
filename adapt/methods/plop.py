"""PLOP (Douillard et al., CVPR 2021, arXiv 2011.11390): local POD, and pseudo-labels where the old network is sure.

The options also hold the two places where CMR's released code does otherwise: see `PlopOptions.reference`.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.fine_tuning import FineTuning, row_cross_entropy
from cavs.adapt.methods.layered import substate
from cavs.adapt.methods.method import IGNORED, Segmenter, State, Step, TaskContext, Terms

BINS = 100
"""Of the entropy histograms that the medians are read from."""


@dataclass(frozen=True, slots=True)
class PlopOptions:
    """features, logits: factors of local POD. entropy_floor: least threshold of a class, of normalised entropy 0..1.

    schedule:        POD times sqrt(classes / new classes).
    adaptive_factor: a frame's cross-entropy counts by the share of its background that got a sure pseudo-label.
    trust_memory:    rehearsed frames keep their labels. The released code of CMR overwrites them.
    """

    features: float = 0.01
    logits: float = 0.0005
    scales: tuple[int, ...] = (1, 2, 4)
    entropy_floor: float = 0.001
    balanced_head: bool = True
    schedule: bool = True
    adaptive_factor: bool = True
    trust_memory: bool = True

    def reference(self) -> "PlopOptions":
        """As the released code of CMR runs it: no schedule, an adaptive factor without effect, memory labels overwritten."""
        return replace(self, schedule=False, adaptive_factor=False, trust_memory=False)


def local_pod(features: Tensor, scales: tuple[int, ...] = (1, 2, 4)) -> Tensor:
    """(B, C, h, w) -> (B, n): means of the squared features over the width and over the height of each tile of each scale."""
    squared = features.square()
    parts = []
    for scale in scales:
        for band in squared.tensor_split(scale, dim=2):
            for tile in band.tensor_split(scale, dim=3):
                parts += [tile.mean(3).flatten(1), tile.mean(2).flatten(1)]
    return torch.cat(parts, dim=1)


def pod_distance(new: Tensor, old: Tensor, scales: tuple[int, ...], *, unit: bool) -> Tensor:
    """Mean over frames of the L2 distance of two maps' local POD, 0 to 2 if they are made unit vectors before."""
    pods = [local_pod(features, scales) for features in (new, old)]
    if unit:
        pods = [F.normalize(pod, dim=1) for pod in pods]
    # vector_norm, not the root of a sum: its gradient at 0, where every task begins, is 0 and not NaN.
    distances: Tensor = torch.linalg.vector_norm(pods[0] - pods[1], dim=1)
    return distances.mean()


def fold_new_outputs(logits: Tensor, old_outputs: int) -> Tensor:
    """The logits of the old outputs, those of the new classes added to the background."""
    background = logits[:, :1] + logits[:, old_outputs:].sum(1, keepdim=True)
    return torch.cat([background, logits[:, 1:old_outputs]], dim=1)


def normalised_entropy(logits: Tensor) -> Tensor:
    """(B, h, w) in 0..1."""
    log_probability = logits.log_softmax(1)
    return -(log_probability.exp() * log_probability).sum(1) / math.log(logits.shape[1])


def entropy_thresholds(context: TaskContext, floor: float) -> Tensor:
    """Median entropy of the old network on the background pixels that it gives to each of its outputs, (1 + V,).

    Read from a histogram: the middle of the bin that holds the median; the floor for an output that no pixel is given to.
    """
    outputs = 1 + context.task.old
    counts = torch.zeros(outputs, BINS)
    for step in context.steps():
        logits = step.old_said.logits
        row, which = logits.argmax(1), step.rows.labels == 0
        cell = (normalised_entropy(logits)[which] * BINS).long().clamp(0, BINS - 1)
        counts += torch.bincount(row[which] * BINS + cell, minlength=outputs * BINS).reshape(outputs, BINS).cpu()
    reached = counts.cumsum(1) >= counts.sum(1, keepdim=True) / 2
    medians = (reached.float().argmax(1) + 0.5) / BINS * (counts.sum(1) > 0)
    return medians.clamp_min(floor)


class Plop(FineTuning):
    """Cross-entropy on labels that the old network completed, and local POD on features and logits."""

    def __init__(self, options: PlopOptions | None = None) -> None:
        self.options = options or PlopOptions()
        self.thresholds: Tensor | None = None
        self._sure_share: Tensor | None = None

    def begin_task(self, context: TaskContext) -> None:
        self.thresholds = entropy_thresholds(context, self.options.entropy_floor) if context.old is not None else None
        if context.task.new:
            later = context.task.index > 0
            context.segmenter.classifier.grow(context.task.new, balanced=later and self.options.balanced_head)

    def prepare(self, step: Step) -> None:
        if self.thresholds is None:
            self._sure_share = None
            return
        rows, logits = step.rows, step.old_said.logits
        if self.options.trust_memory:
            asked = (rows.labels == 0) & ~rows.rehearsed[:, None, None]
        else:
            asked = rows.labels <= step.task.old
        row = logits.argmax(1)
        sure = asked & (normalised_entropy(logits) < self.thresholds.to(logits.device)[row])
        labels = torch.where(sure, row, torch.where(asked, IGNORED, rows.labels))
        step.rows = replace(rows, labels=labels)
        some = asked.any((1, 2))
        share = sure.sum((1, 2)) / asked.sum((1, 2)).clamp_min(1)
        self._sure_share = torch.where(some, share, 1.0)

    def loss(self, step: Step) -> Terms:
        per_row = row_cross_entropy(step.said.logits, step.rows.labels)
        if step.old is None:
            return {"task": per_row.mean()}
        if self.options.adaptive_factor and self._sure_share is not None:
            per_row = per_row * self._sure_share
        return {"task": per_row.mean(), "pod": self._pod(step, step.old)}

    def _pod(self, step: Step, old: Segmenter) -> Tensor:
        new_logits, scales = fold_new_outputs(step.said.logits, 1 + old.classifier.classes), self.options.scales
        # The released code scales the POD of features to unit length, not that of logits; its factors are for that.
        distances = [
            self.options.features * pod_distance(new, before, scales, unit=True)
            for new, before in zip(step.said.features, step.old_said.features, strict=True)
        ]
        distances.append(self.options.logits * pod_distance(new_logits, step.old_said.logits, scales, unit=False))
        task = step.task
        growth = math.sqrt((1 + task.old + task.new) / task.new) if self.options.schedule and task.new else 1.0
        return growth * torch.stack(distances).mean()

    def state(self) -> State:
        return {"plop": {} if self.thresholds is None else {"thresholds": self.thresholds}}

    def load(self, state: State) -> None:
        thresholds = substate(state, "plop").get("thresholds")
        self.thresholds = thresholds if isinstance(thresholds, Tensor) else None
