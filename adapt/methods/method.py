"""What a method is told and what it may do: the one protocol between the trainer and every algorithm.

For every task the trainer

    1. keeps a frozen copy of the segmenter (`old`, none in the first task) and calls `begin_task`, in which the method grows
       the classifier and says what learns; only then does it make its optimiser;
    2. for every epoch asks `rehearsal` which clips of the memory to mix in, and for every batch calls `prepare` (labels and
       inputs may change), `loss`, backward, `after_backward` (gradients may change), the optimiser, `after_step`;
    3. calls `end_task`, in which the method measures importances, chooses exemplars, fuses weights.

Labels are int64: 0 background, 1 .. V classes of earlier tasks in the order they came, V + 1 .. V + N the classes of this one,
255 ignored. In current clips only the N classes of the task are labelled, the rest is background; in rehearsed clips all are.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cavs.adapt.methods.classifier import GrowingClassifier

IGNORED = 255
"""Label of pixels that no loss looks at."""

Terms = dict[str, Tensor]
"""Weighted parts of a loss by name, each a scalar; their sum is minimised."""
State = dict[str, object]
"""Tensors, numbers, strings, lists and dictionaries of them: what a safe reader can read back."""
Reads = Literal["current", "memory", "all"]
"""Which clips the data layer hands out in a task: only its own, those of the method's memory too, or all seen so far."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Task `index` from 0: `old` classes are known before it (V), `new` come with it (N)."""

    index: int
    old: int
    new: int


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """B frames with the sound around each.

    Raw: one tensor of pictures (B, 3, H, W) in 0..255 and one of waves (B, N). encoded: what the frozen encoders make of them.
    """

    pictures: tuple[Tensor, ...]
    sounds: tuple[Tensor, ...]
    encoded: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a segmenter makes of B frames.

    logits: (B, 1 + V + N, h, w). features: maps (B, C, h, w) on the way there, coarse to fine.
    senses: a row (B, D) for each modality, `audio` and `visual`. attention: (B, n) each, where sound looks; rows sum to 1.
    """

    logits: Tensor
    features: tuple[Tensor, ...]
    senses: Mapping[str, Tensor]
    attention: tuple[Tensor, ...] = ()


class Segmenter(nn.Module, ABC):
    """A network with a growing classifier."""

    classifier: GrowingClassifier

    @abstractmethod
    def forward(self, inputs: Inputs) -> Said: ...

    @abstractmethod
    def muted(self, inputs: Inputs) -> Inputs:
        """The same pictures with digital silence."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """B annotated frames of training data.

    labels: (B, h, w) at the size of the logits. clips, frames: the clip of each frame and its number in it.
    rehearsed: bool (B,), drawn from the memory.
    classes: bool (B, 1 + V + N), the classes known so far that are said to sound somewhere in the clip; column 0 unused.
    """

    inputs: Inputs
    labels: Tensor
    clips: tuple[str, ...]
    frames: tuple[int, ...]
    rehearsed: Tensor
    classes: Tensor

    def only(self, index: int) -> "Rows":
        """One of the frames."""
        one = slice(index, index + 1)
        pictures = tuple(tensor[one] for tensor in self.inputs.pictures)
        sounds = tuple(tensor[one] for tensor in self.inputs.sounds)
        return Rows(
            Inputs(pictures, sounds, self.inputs.encoded),
            self.labels[one],
            self.clips[one],
            self.frames[one],
            self.rehearsed[one],
            self.classes[one],
        )


class Step:
    """One batch under way. What the networks say is computed once, when first asked for."""

    def __init__(self, rows: Rows, task: Task, segmenter: Segmenter, old: Segmenter | None) -> None:
        self.rows = rows
        self.task = task
        self.segmenter = segmenter
        self.old = old

    @cached_property
    def said(self) -> Said:
        out: Said = self.segmenter(self.rows.inputs)
        return out

    @cached_property
    def old_said(self) -> Said:
        """What the network of the previous task says. ValueError in the first task, which has none."""
        if self.old is None:
            raise ValueError(f"task {self.task.index} has no previous network")
        with torch.no_grad():
            out: Said = self.old(self.rows.inputs)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class TaskContext:
    """What a method is told about a task.

    rows:    one pass over the training clips of the task in a fixed order, without memory, the frames of a clip together.
    old:     the frozen network of the previous task.
    rng:     for every random choice of the method in this task.
    train_uni_modal: trains a copy of the segmenter on muted inputs of this task and gives it; None where nobody can.
    """

    task: Task
    segmenter: Segmenter
    old: Segmenter | None
    rows: Callable[[], Iterable[Rows]]
    rng: np.random.Generator
    train_uni_modal: Callable[[], Segmenter] | None = None

    def steps(self) -> Iterable[Step]:
        return (Step(rows, self.task, self.segmenter, self.old) for rows in self.rows())


class Method(Protocol):
    """One algorithm. See the module for the order of the calls."""

    reads: Reads

    def begin_task(self, context: TaskContext) -> None: ...

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        """Memory clips to mix into an epoch of `clips` current ones; a clip may appear more than once."""

    def prepare(self, step: Step) -> None:
        """May replace `step.rows`; called before anything was said."""

    def loss(self, step: Step) -> Terms: ...

    def after_backward(self, step: Step) -> None:
        """Gradients of the loss, unscaled, lie in `.grad`: to be read, changed or added to."""

    def after_step(self, step: Step) -> None: ...

    def end_task(self, context: TaskContext) -> None: ...

    def memory_clips(self) -> tuple[str, ...]:
        """Every clip that later tasks may still read; empty for exemplar-free methods."""

    def collisions(self) -> list[tuple[int, int, int]]:
        """(old class, new class, pixels) of every clip of the task that the old network mistook; of methods that look."""

    def state(self) -> State:
        """What a resumed run needs besides the weights."""

    def load(self, state: State) -> None: ...
