"""What is learned in which order: tasks, the clips of each, and what a label means.

A protocol is made for a list of classes and picks clips by what sounds in them, so it works on the papers' metadata and on
composed data alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from cavs.runtime.errors import DataRejected

Scenario = Literal["ci", "cis", "cim"]
"""Clips of any number of sounding classes; of at most one; of two and more."""
Setting = Literal["overlapped", "disjoint", "sequential"]
Outputs = Literal["classes", "sounding", "task"]
"""What a label is: a class; that something sounds; that something sounds, a label for each task."""
Scored = Literal["test", "val"]
"""The split that scores are taken on; `val` while anything is still being chosen."""
SETTINGS: tuple[Setting, ...] = ("overlapped", "disjoint", "sequential")


class ListedClip(Protocol):
    """A clip as metadata list it."""

    @property
    def split(self) -> str: ...

    @property
    def sounding(self) -> tuple[str, ...]: ...


Clip = TypeVar("Clip", bound=ListedClip)


@dataclass(frozen=True, slots=True)
class ProtocolTask:
    """Some classes that are learned together."""

    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassProtocol:
    """Disjoint sets of classes, one after another.

    scenario, setting: which clips take part. `overlapped`, a task learns from every clip in which one of its classes sounds;
    `disjoint`, not from those in which a class of a later task sounds as well; `sequential`, the same clips, old classes
    labelled too.
    task_known: the task is told at test time.
    """

    name: str
    tasks: tuple[ProtocolTask, ...]
    scenario: Scenario = "ci"
    setting: Setting = "overlapped"
    outputs: Outputs = "classes"
    task_known: bool = False

    def __post_init__(self) -> None:
        order = self.class_order
        twice = sorted({name for name in order if order.count(name) > 1})
        if twice or not all(task.classes for task in self.tasks):
            raise ValueError(f"{self.name}: {', '.join(twice) + ' in two tasks' if twice else 'a task without classes'}")

    @property
    def class_order(self) -> tuple[str, ...]:
        """All classes in the order they are learned."""
        return tuple(name for task in self.tasks for name in task.classes)

    def new_labels(self, task: int) -> int:
        """How many labels a task adds."""
        if self.outputs == "classes":
            return len(self.tasks[task].classes)
        return 1 if self.outputs == "task" or task == 0 else 0

    def in_scenario(self, clip: ListedClip) -> bool:
        return {"ci": True, "cis": len(clip.sounding) <= 1, "cim": len(clip.sounding) >= 2}[self.scenario]

    def train_clips(self, clips: Iterable[Clip], task: int) -> list[Clip]:
        """What task `task` learns from."""
        now = set(self.tasks[task].classes)
        later = {name for after in self.tasks[task + 1 :] for name in after.classes} if self.setting != "overlapped" else set()
        return [
            clip
            for clip in clips
            if clip.split == "train" and self.in_scenario(clip) and now & set(clip.sounding) and not later & set(clip.sounding)
        ]

    def clips_with(self, clips: Iterable[Clip], task: int, split: str) -> list[Clip]:
        """Clips of a split in which a class of the task sounds."""
        now = set(self.tasks[task].classes)
        return [clip for clip in clips if clip.split == split and self.in_scenario(clip) and now & set(clip.sounding)]

    def scored_clips(self, clips: Iterable[Clip], split: Scored = "test") -> list[Clip]:
        """All clips of the split and the scenario: what was not learned yet is ignored pixel by pixel."""
        return [clip for clip in clips if clip.split == split and self.in_scenario(clip)]


def split_classes(order: Sequence[str], base: int, step: int) -> tuple[ProtocolTask, ...]:
    """X-Y: `base` classes, then `step` at a time. ValueError if they do not come out even."""
    rest = len(order) - base
    if base < 1 or step < 1 or rest < 0 or rest % step:
        raise ValueError(f"{base}-{step} does not divide {len(order)} classes")
    parts = [tuple(order[:base]), *(tuple(order[start : start + step]) for start in range(base, len(order), step))]
    return tuple(ProtocolTask(f"task {number}", part) for number, part in enumerate(parts))


def check_clips(protocol: ClassProtocol, clips: Sequence[ListedClip]) -> list[str]:
    """One line for each task that lacks training clips of a class, or clips to validate or test on; published splits do.

    DataRejected for a task that has no training clip at all.
    """
    lines = []
    for number, task in enumerate(protocol.tasks):
        heard = {name for clip in protocol.train_clips(clips, number) for name in clip.sounding}
        missed = [name for name in task.classes if name not in heard]
        if len(missed) == len(task.classes):
            raise DataRejected(f"{protocol.name}, {task.name}: no training clip of {', '.join(missed)}; compose or add some")
        if missed:
            lines.append(f"{task.name}: no training clip of {', '.join(missed)}: they cannot be learned")
        for split in ("val", "test"):
            if not protocol.clips_with(clips, number, split):
                lines.append(f"{task.name}: no {split} clip of its classes: no score of its own")
    return lines
