"""Scores of a network in every scenario."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.adapt.causes import ONE_SOUNDS, Causes
from cavs.adapt.metrics import ClassScores, binary_iou, f_curves, lit_share, mask_mass, max_f
from cavs.adapt.model.network import Network
from cavs.adapt.scenarios import EMPTY, MARKED, Case, CaseSource
from cavs.adapt.serving import answer
from cavs.runtime.engine import LABEL_SILENT

BATCH = 16
REFERENCE_BATCH = 4  # AVSBench's test batch, for the reference-compatible MaxF
WORST = 10  # windows named of a scenario in which nothing should be marked


@dataclass(slots=True)
class ScenarioScores:
    """Collects one scenario. Everything is per frame until `summary`."""

    name: str
    class_names: tuple[str, ...]
    rows: tuple[int, ...]  # of the classes that could occur
    classes: ClassScores = field(init=False)
    iou: list[float] = field(default_factory=list)
    mass: list[float] = field(default_factory=list)
    lit: list[float] = field(default_factory=list)
    swapped_iou: list[float] = field(default_factory=list)
    causes: Causes = field(default_factory=Causes)
    curves: list[npt.NDArray[np.float64]] = field(default_factory=list)
    sources: list[tuple[str, ...]] = field(default_factory=list)  # of each frame

    def __post_init__(self) -> None:
        self.classes = ClassScores(len(self.class_names))

    def add(self, case: Case, labels: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8]) -> None:
        marked, truth = labels[None] != LABEL_SILENT, case.truth[None] != LABEL_SILENT
        self.classes.add(labels, case.truth)
        self.iou += binary_iou(marked, truth).tolist()
        self.mass += mask_mass(marked).tolist()
        self.lit.append(lit_share(marked))
        if case.silent.any() and truth.any():
            self.swapped_iou.append(float((marked[0] & case.silent).sum() / (marked[0] | case.silent).sum()))
        self.curves += list(f_curves(confidence[None], truth))
        self.sources.append(case.sources)

    def add_causes(self, case: Case, presence: npt.NDArray[np.float32], seen: npt.NDArray[np.uint8]) -> None:
        """What each sense by itself made of the case that was added last; an engine does not say what is `seen`."""
        if self.name in ONE_SOUNDS:
            self.causes.add(case.truth, presence, seen, self.iou[-1])

    def summary(self) -> dict[str, Any]:
        """JSON: the scores of the scenario by the names of metrics.py."""
        if self.name in EMPTY:
            return {
                "frames": len(self.mass),
                "mask_mass": _mean(self.mass),
                "frames_above_1_percent": _mean(self.lit),
                "worst": self._worst(),
            }
        curves = np.stack(self.curves) if self.curves else np.zeros((0, 1))
        by_class = self.classes.iou_by_class()
        return {
            "frames": len(self.iou),
            "binary_iou": _mean(self.iou),
            "binary_iou_standard_error": float(np.std(self.iou) / max(1, len(self.iou)) ** 0.5),
            "class_miou_dataset": self.classes.miou_dataset(),
            "class_miou_avss": self.classes.miou_avss(self.rows),
            "class_miou_avss_with_background": self.classes.miou_avss(self.rows, background=True),
            "max_f": max_f(curves),
            "max_f_reference_batches": max_f(curves, REFERENCE_BATCH),
            "swapped_iou": _mean(self.swapped_iou) if self.swapped_iou else None,
            **({"causes": self.causes.summary()} if self.causes.iou else {}),
            "missed_frames": _mean([float(iou < 0.1) for iou in self.iou]),
            "unknown_share_of_marked": _unknown_share(self.classes.confusion),
            "class_iou": {name: float(iou) for name, iou in zip(self.class_names, by_class, strict=True) if not np.isnan(iou)},
            "confusion": self.classes.confusion.tolist(),
        }

    def _worst(self) -> list[dict[str, Any]]:
        """The windows most of which was marked though nothing should be, and of what they were composed: what is mistaken."""
        most = np.argsort(-np.asarray(self.mass), kind="stable")[:WORST]
        return [{"mask_mass": self.mass[n], "sources": list(self.sources[n])} for n in most.tolist() if self.mass[n] > 0]


def score(
    network: Network, source: CaseSource, frames: int, seed: int, scenarios: Sequence[str] = MARKED + EMPTY
) -> dict[str, ScenarioScores]:
    """Runs the scenarios on composed cases. The network must be in evaluation mode."""
    results = {}
    for name in scenarios:
        scores = ScenarioScores(name, network.class_names, tuple(source.rows[cls] for cls in source.leading_classes(name)))
        for batch in _batches(source.cases(name, frames, seed)):
            said = answer(network, np.stack([c.frame for c in batch]), np.stack([c.sound for c in batch]))
            for n, case in enumerate(batch):
                scores.add(case, said.labels[n], said.confidence[n])
                scores.add_causes(case, said.presence[n], said.seen[n])
        if scores.mass:  # photographs with outlined objects may be lacking
            results[name] = scores
    return results


def _batches(cases: Iterator[Case]) -> Iterator[list[Case]]:
    waiting: list[Case] = []
    for case in cases:
        waiting.append(case)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _unknown_share(confusion: npt.NDArray[np.int64]) -> float:
    marked = confusion[:, 1:].sum()
    return float(confusion[:, 1].sum() / marked) if marked else 0.0
