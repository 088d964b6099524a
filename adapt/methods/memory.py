"""Clips kept for rehearsal: a list per class, and a reservoir for streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cavs.adapt.methods.method import State, TaskContext


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A clip and the classes (labels, 1 and up) that sound in it."""

    clip: str
    classes: tuple[int, ...]


@dataclass(slots=True)
class Exemplars:
    """Clips kept for each class. One that was chosen for two classes is kept once and counts for both."""

    by_class: dict[int, list[Exemplar]] = field(default_factory=dict)

    def add(self, cls: int, chosen: Sequence[Exemplar]) -> None:
        self.by_class.setdefault(cls, []).extend(chosen)

    def rebalance(self, context: TaskContext, total: int) -> None:
        """Shares room for `total` clips equally among the classes; clips of new classes are drawn at random."""
        per_class = max(1, total // max(1, context.task.old + context.task.new))
        for kept in self.by_class.values():
            del kept[per_class:]
        for cls, clips in clips_by_class(context).items():
            chosen = context.rng.permutation(len(clips))[:per_class]
            self.add(cls, [clips[int(i)] for i in chosen])

    def all(self) -> tuple[Exemplar, ...]:
        """Every clip once, in the order they were chosen."""
        unique = {one.clip: one for kept in self.by_class.values() for one in kept}
        return tuple(unique.values())

    def clips(self) -> tuple[str, ...]:
        return tuple(one.clip for one in self.all())

    def holding(self, cls: int) -> tuple[Exemplar, ...]:
        """Clips in which the class sounds, whatever they were chosen for."""
        return tuple(one for one in self.all() if cls in one.classes)

    def state(self) -> State:
        return {str(cls): [[one.clip, list(one.classes)] for one in kept] for cls, kept in self.by_class.items()}

    def load(self, state: Mapping[str, object]) -> None:
        self.by_class = {int(cls): [_exemplar(entry) for entry in _list(kept)] for cls, kept in state.items()}


def clips_by_class(context: TaskContext) -> dict[int, list[Exemplar]]:
    """The clips of a task under each of its new classes that sounds in them, in the order of the data."""
    classes_of: dict[str, tuple[int, ...]] = {}
    for rows in context.rows():
        for clip, flags in zip(rows.clips, rows.classes.tolist(), strict=True):
            classes_of[clip] = tuple(k for k, sounds in enumerate(flags) if sounds and k > 0)
    new = range(context.task.old + 1, context.task.old + context.task.new + 1)
    return {cls: [Exemplar(clip, classes) for clip, classes in classes_of.items() if cls in classes] for cls in new}


class Reservoir:
    """A uniform sample of fixed size of a stream of unknown length (Vitter's algorithm R)."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}; a reservoir holds at least one")
        self.capacity = capacity
        self.offered = 0
        self.kept: list[str] = []

    def place(self, clip: str, rng: np.random.Generator) -> str | None:
        """Offers a clip; gives the clip that left for it, the clip itself if it was refused, None if there was room."""
        self.offered += 1
        if len(self.kept) < self.capacity:
            self.kept.append(clip)
            return None
        index = int(rng.integers(self.offered))
        if index >= self.capacity:
            return clip
        gone, self.kept[index] = self.kept[index], clip
        return gone

    def state(self) -> State:
        return {"kept": list(self.kept), "offered": self.offered}

    def load(self, state: Mapping[str, object]) -> None:
        self.kept = [str(clip) for clip in _list(state["kept"])]
        self.offered = int(str(state["offered"]))


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{type(value).__name__}, expected a list")
    return value


def _exemplar(entry: object) -> Exemplar:
    clip, classes = _list(entry)
    return Exemplar(str(clip), tuple(int(str(cls)) for cls in _list(classes)))
