"""CrossSDC, cross-modal similarity distillation of ContAV-Sep (NeurIPS 2024, arXiv 2411.02860), equations 7 to 10.

The losses work on rows of features with an id and a label each, whatever network and task they come from: `separation` rows
of audio, object and motion as well as `segmentation` rows of audio and visual.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.layered import Layered
from cavs.adapt.methods.method import Method, Step, Terms


@dataclass(frozen=True, slots=True)
class CrossSdcOptions:
    instance: float = 0.1
    classes: float = 0.3
    temperature: float = 0.05


def contrast(one: Tensor, other: Tensor, positive: Tensor, temperature: float) -> Tensor:
    """- mean over rows i of the mean over positives j of log softmax_k(cosine(one_i, other_k) / temperature)_j.

    one, other: (R, D); positive: bool (R, R). Rows without a positive are left out.
    """
    similarity = F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / temperature
    log_share = similarity.log_softmax(1)
    count = positive.sum(1)
    per_row = (log_share * positive).sum(1) / count.clamp_min(1)
    some = count > 0
    return -(per_row * some).sum() / some.sum().clamp_min(1)


def symmetric_contrast(one: Tensor, other: Tensor, positive: Tensor, temperature: float) -> Tensor:
    """Rows and columns averaged."""
    there = contrast(one, other, positive, temperature)
    return (there + contrast(other, one, positive.T, temperature)) / 2


def same(ids: Tensor) -> Tensor:
    """bool (R, R): equal ids (R,); or, for flags (R, K), at least one flag in common."""
    if ids.ndim == 2:
        return (ids.float() @ ids.float().T) > 0
    return ids[:, None] == ids[None, :]


def cross_sdc(rows: Mapping[str, Tensor], ids: Tensor, labels: Tensor, options: CrossSdcOptions) -> Terms:
    """Both terms, weighted, averaged over all pairs of modalities.

    rows: (R, D) for each modality, row r of all of them from one clip. Memory clips come twice, from the current and from the
    old network, under one id: that is the distillation. ids: (R,). labels: (R,), or flags (R, K) for rows of several classes.
    """
    pairs = list(combinations(rows, 2))
    if not pairs:
        raise ValueError(f"modalities {', '.join(rows) or 'none'}; at least two are compared")
    positives = {"instance": (options.instance, same(ids)), "class": (options.classes, same(labels))}
    return {
        name: weight
        * torch.stack([symmetric_contrast(rows[a], rows[b], positive, options.temperature) for a, b in pairs]).mean()
        for name, (weight, positive) in positives.items()
    }


class CrossSdc(Layered):
    """Adds CrossSDC between the senses of a segmenter. A row is a frame; frames that share a sounding class are positives of
    the class term, frames of one clip of the instance term (our reading: the paper has one label and one row per clip)."""

    def __init__(self, below: Method, options: CrossSdcOptions | None = None) -> None:
        super().__init__(below)
        self.options = options or CrossSdcOptions()

    def loss(self, step: Step) -> Terms:
        terms = super().loss(step)
        rows, labels, ids = dict(step.said.senses), step.rows.classes, clip_numbers(step)
        rehearsed = step.rows.rehearsed
        if step.old is not None and rehearsed.any():
            before = step.old_said.senses
            rows = {name: torch.cat([now, before[name][rehearsed]]) for name, now in rows.items()}
            labels, ids = torch.cat([labels, labels[rehearsed]]), torch.cat([ids, ids[rehearsed]])
        for name, term in cross_sdc(rows, ids, labels, self.options).items():
            terms[f"cross_{name}"] = term
        return terms


def clip_numbers(step: Step) -> Tensor:
    """(B,), equal for frames of one clip."""
    numbers = {clip: number for number, clip in enumerate(dict.fromkeys(step.rows.clips))}
    return torch.tensor([numbers[clip] for clip in step.rows.clips], device=step.rows.labels.device)
