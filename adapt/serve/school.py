"""What the learner process needs of a method of learning. `cavs.adapt.serve.torch_school` is the real one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.recalled import Recalled
from cavs.runtime.adapter import Adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.lesson import LessonRequest, ProposalRecord
from cavs.runtime.lesson_windows import Windows

Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """What a lesson would teach.

    exemplars: of the windows that are kept, oldest first. record: what became of each window.
    """

    exemplars: tuple[Exemplar, ...]
    record: ProposalRecord


class Training(Protocol):
    """The training of one candidate, step by step. Equal inputs and states give equal candidates."""

    @property
    def steps(self) -> int:
        """How many it takes in all."""

    @property
    def done(self) -> int:
        """How many were made."""

    def step(self) -> float | None:
        """Makes one; the loss, none if it only prepared. Raises TrainingStopped if it cannot go on."""

    def state(self) -> Arrays:
        """Everything that `load` needs to go on exactly here."""

    def load(self, state: Arrays) -> None:
        """Goes on from a state. Raises TrainingStopped if it is of another training."""

    def adapter(self, bundle: Bundle) -> Adapter:
        """The candidate as it is now."""


class School(Protocol):
    """A method of learning for the bundles that it understands."""

    def propose(  # noqa: PLR0917  a lesson, the model that it is given to, and where the answer goes
        self, bundle: Bundle, adapter: Adapter, request: LessonRequest, windows: Windows, mask: Path | None, out: Path
    ) -> Proposed:
        """Labels the windows of a lesson; writes labels.safetensors and the previews into the directory `out`.

        mask: the file that a person drew. Raises LessonRejected if the lesson teaches nothing, and says why.
        """

    def training(  # noqa: PLR0917  what a candidate is made of
        self,
        bundle: Bundle,
        parent: Adapter,
        new: Sequence[Exemplar],
        memory: Sequence[Exemplar],
        seed: int,
        forgot: Sequence[str] = (),
    ) -> Training:
        """Starts a training from `parent`. memory: in it an exemplar may stand more than once, to be rehearsed more often.

        forgot: what an earlier candidate of the same lesson forgot; it is to be held better now.
        """

    def labels(
        self, bundle: Bundle, adapter: Adapter, frames: npt.NDArray[np.uint8], sounds: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """What the method's own network says, (N, H, W) labels of the graph contract: the engine must say the same."""

    def recalled(self, bundle: Bundle, adapter: Adapter) -> Mapping[str, Recalled]:
        """How much is left of classes of which there are statistics, but no pictures; empty where there are none."""

    def embedding(
        self, bundle: Bundle, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """What the pixels of a mask look like to the bundle, a unit vector (D,)."""

    def without(self, bundle: Bundle, adapter: Adapter, name: str) -> Adapter:
        """The adapter with a class's row given up; the rows of the others stay."""

    def folded(self, bundle: Bundle, adapter: Adapter, out: Path, class_capacity: int, between: Callable[[], None]) -> Bundle:
        """A new bundle at `out` with the adapter folded into its weights; its default adapter knows the same classes.

        between: called several times a second while it is made; what it raises ends the making. Raises AdaptError.
        """
