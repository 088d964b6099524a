"""Runs a candidate and the model it would replace on the same windows, each on its engine, and keeps what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.metrics import ClassScores
from cavs.runtime.adapter import Adapter
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN, Engine, PreparedAdapter
from cavs.runtime.manifest import CAPACITY_MAX

UNKNOWN = "unknown"
"""Name under which an exemplar marks what sounds and is of no class."""

Labels = npt.NDArray[np.uint8]
Frame = npt.NDArray[np.uint8]
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """A model on an engine."""

    engine: Engine
    adapter: Adapter
    prepared: PreparedAdapter = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prepared", self.engine.prepare(self.adapter))

    @property
    def rows(self) -> dict[str, int]:
        """Row of each class that it knows."""
        return {name: row for row, name in self.adapter.classes}

    def say(self, frame: Frame, sound: Sound) -> Labels:
        """Labels of one window, a copy. Raises EngineError."""
        return self.engine.run(frame, sound, self.prepared).labels.copy()

    def say_all(self, exemplars: Sequence[Exemplar], between: Callable[[], None]) -> list[Labels]:
        """Labels of many; `between` is called after each, so that a long trial gives way."""
        said = []
        for one in exemplars:
            said.append(self.say(one.frame, one.sound))
            between()
        return said


def iou_by_class(contender: Contender, exemplars: Sequence[Exemplar], said: Sequence[Labels]) -> dict[str, float]:
    """IoU of each class that the contender knows and the truth holds, over all windows: what it marks elsewhere counts."""
    rows = contender.rows
    scores = ClassScores(CAPACITY_MAX)
    truths = set()
    for one, labels in zip(exemplars, said, strict=True):
        truth = np.full(labels.shape, LABEL_SILENT, np.uint8)
        ignored = np.zeros(labels.shape, bool)
        for name, mark in one.marks:
            if name in rows:
                truth[mark] = LABEL_FIRST_CLASS + rows[name]
                truths.add(name)
            elif name == UNKNOWN:
                truth[mark] = LABEL_UNKNOWN
            else:  # neither right nor wrong of a contender that does not know the class: its pixels are left out
                ignored |= mark
        scores.add(np.where(ignored, LABEL_SILENT, labels).astype(np.uint8), truth)
    iou = scores.iou_by_class()
    return {name: float(iou[rows[name]]) for name in sorted(truths)}


def mean(values: Sequence[float]) -> float:
    """Rounded for a report; 0 of nothing."""
    return round(float(np.mean(values)), 5) if len(values) else 0.0
