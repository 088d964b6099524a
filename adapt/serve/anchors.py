"""The anchors: labelled windows that nothing is trained on, by which the gate sees what a candidate forgot.

They begin with composed scenes of the drawn classes that the bundle knows, and with a folder of the user's; each lesson that
is learned leaves those of its windows that were held out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cavs.adapt.data.ingredients import Split
from cavs.adapt.data.procedural import CLASSES, procedural_ingredients
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.scenarios import CaseSource
from cavs.adapt.serve.exemplar_files import Kept
from cavs.adapt.serve.memory import Bounds, Memory
from cavs.runtime.bundle import Bundle
from cavs.runtime.disk import Disk
from cavs.runtime.engine import LABEL_FIRST_CLASS

PER_CLASS = 24
"""Anchors of one class at most: a trial runs them all, twice."""
DRAWN = "procedural"
"""Source of the composed ones."""
DRAWN_SPLIT: Split = "val"
"""Of the drawn things: the shipped network was trained on those of `train`."""
DRAWN_SCENARIOS = ("alone", "one_silent", "two_sound")
DRAWN_EACH = 4
"""Composed anchors of each class in each scenario."""
DRAWN_SEED = 5
LEAST_CLASSES = 3
"""A scenario shows up to three classes at once."""


class Anchors:
    """The anchors of a store. One writer."""

    def __init__(self, path: Path, *, disk: Disk | None = None) -> None:
        self._memory = Memory(path, Bounds(), disk=disk)
        self.folder = self._memory.folder

    def read(self, size: tuple[int, int], samples: int) -> tuple[Exemplar, ...]:
        """All that fit windows of this size."""
        return tuple(self._memory.read(self.folder.kept(), size, samples).values())

    def grow(self, kept: Sequence[Kept]) -> None:
        """Takes over the held-out exemplars of a lesson; of a class with more than its share the oldest go."""
        for one in kept:
            self.folder.adopt(one)
        counts: dict[tuple[str, ...], int] = {}
        for one in reversed(self.folder.kept()):
            counts[one.record.names] = counts.get(one.record.names, 0) + 1
            if counts[one.record.names] > PER_CLASS and one.record.source != DRAWN:
                self.folder.remove(one.id)

    def take(self, exemplars: Iterator[Exemplar], rate_hz: int) -> int:
        """Adds a user's own; how many. The same ones are kept once, however often they are given."""
        return len({self.folder.add(one, rate_hz) for one in exemplars})

    def forget(self, name: str) -> int:
        """Removes every anchor in which a class sounds; how many."""
        return self._memory.forget(name)

    def lacks_drawn(self, bundle: Bundle, known: Sequence[str]) -> bool:
        """Whether composed scenes can be had for classes that the model knows, and are not there."""
        classes = [name for name in known if name in CLASSES]
        if len(classes) < LEAST_CLASSES or bundle.manifest.sound.rate_hz != 16_000:
            return False
        size = (bundle.manifest.frame.height_px, bundle.manifest.frame.width_px)
        samples = bundle.manifest.sound.samples
        there = sum(
            one.record.source == DRAWN and (one.record.height_px, one.record.width_px, one.record.samples) == (*size, samples)
            for one in self.folder.kept()
        )
        return there < DRAWN_EACH * len(classes) * len(DRAWN_SCENARIOS)


def drawn_anchors(bundle: Bundle, known: Sequence[str]) -> Iterator[Exemplar]:
    """Composed windows of the drawn classes that the model knows, one at a time; the same ones each time."""
    classes = tuple(name for name in known if name in CLASSES)
    frame, sound = bundle.manifest.frame, bundle.manifest.sound
    source = CaseSource(
        procedural_ingredients(DRAWN_SPLIT, per_class=8, sounds_per_class=8, places=12),
        classes,
        {name: row for row, name in enumerate(classes)},
        (frame.height_px, frame.width_px),
        sound.samples,
    )
    for scenario in DRAWN_SCENARIOS:
        for case in source.cases(scenario, DRAWN_EACH * len(classes), DRAWN_SEED):
            marks = tuple(
                (name, case.truth == LABEL_FIRST_CLASS + row)
                for row, name in enumerate(classes)
                if np.any(case.truth == LABEL_FIRST_CLASS + row)
            )
            yield Exemplar(case.frame, case.sound.astype(np.float32), marks, DRAWN, 0, 1.0)
