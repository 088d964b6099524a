"""MSS, multi-modal sample selection of CMR (arXiv 2510.17234): clips that picture and sound agree on are kept.

contribution = how well the network segments a clip, minus how well a network without sound does. The k clips of a class with
the smallest absolute contribution are its exemplars. A second network, trained without sound, is what the paper takes; the same
network with its ears shut is a cheap stand-in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cavs.adapt.methods.memory import Exemplar
from cavs.adapt.methods.method import IGNORED, Rows, Segmenter, TaskContext

Criterion = Literal["abs_min", "max", "min", "random"]
REFERENCE_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class ClipScore:
    """multi, uni: how well a clip was segmented with and without sound."""

    multi: float
    uni: float

    @property
    def contribution(self) -> float:
        return self.multi - self.uni


def frame_iou(predicted: Tensor, labels: Tensor, outputs: int, reference: bool) -> float:
    """IoU of one frame, (h, w) each: a mean over the classes of its truth without the background.

    reference: the sum over all outputs, background too and whether they occur or not, as the released code has it.
    """
    known = labels != IGNORED
    total, present = 0.0, 0
    for k in range(outputs):
        truth, marked = (labels == k) & known, (predicted == k) & known
        shared, joined = int((truth & marked).sum()), int((truth | marked).sum())
        if reference:
            total += shared / (joined + REFERENCE_EPS)
        elif k > 0 and truth.any():
            total += shared / joined
            present += 1
    return total if reference or not present else total / present


@torch.no_grad()
def score_clips(context: TaskContext, uni_modal: Segmenter | None, reference: bool = False) -> dict[str, ClipScore]:
    """The score of every clip of a task. uni_modal: the network trained without sound; None shuts the ears of the task's own.

    Frames are averaged, so a clip's length and padding do not count (our reading); `reference` sums them.
    """
    segmenter = context.segmenter
    blind = segmenter if uni_modal is None else uni_modal
    was_training = segmenter.training
    segmenter.eval()
    blind.eval()
    found: dict[str, list[tuple[float, float]]] = {}
    for rows in context.rows():
        both = (
            _iou(segmenter(rows.inputs).logits, rows, reference),
            _iou(blind(segmenter.muted(rows.inputs)).logits, rows, reference),
        )
        for index, clip in enumerate(rows.clips):
            found.setdefault(clip, []).append((both[0][index], both[1][index]))
    segmenter.train(was_training)
    fold = np.sum if reference else np.mean
    return {clip: ClipScore(float(fold([m for m, _ in v])), float(fold([u for _, u in v]))) for clip, v in found.items()}


def _iou(logits: Tensor, rows: Rows, reference: bool) -> list[float]:
    predicted = logits.argmax(1)
    return [frame_iou(predicted[n], rows.labels[n], logits.shape[1], reference) for n in range(len(rows.clips))]


def choose(
    clips: Sequence[Exemplar], scores: Mapping[str, ClipScore], k: int, criterion: Criterion, rng: np.random.Generator
) -> list[Exemplar]:
    """k of the clips, or all if there are fewer. Of equal ones those segmented better, so that "both fail" comes last."""
    if criterion == "random":
        return [clips[int(i)] for i in sorted(rng.permutation(len(clips))[:k])]

    def rank(one: Exemplar) -> tuple[float, float, str]:
        contribution = scores[one.clip].contribution
        by = {"abs_min": abs(contribution), "max": -contribution, "min": contribution}[criterion]
        return by, -scores[one.clip].multi, one.clip

    return sorted(clips, key=rank)[:k]
