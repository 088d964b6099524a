"""One labelled window: what was seen, what was heard with it, and which pixels made the sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """A frame of a lesson, in the form that training and the rehearsal memory take.

    frame:   uint8 (H, W, 3), RGB at the bundle's frame size.
    sound:   float32 (N,), the window of sound that ends with the frame.
    marks:   (class name, bool (H, W)): pixels that sound now, by class. Empty: nothing that is seen sounds; in a lesson that
             marks something elsewhere, a pause of it.
    source:  id of the lesson that it was taken from.
    wall_ns: when it was seen, wall clock.
    score:   how far sound and sight agree (`propose`), 0 .. 1; what the memory keeps first.
    """

    frame: npt.NDArray[np.uint8]
    sound: npt.NDArray[np.float32]
    marks: tuple[tuple[str, npt.NDArray[np.bool_]], ...]
    source: str
    wall_ns: int
    score: float

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that are marked."""
        return tuple(name for name, _ in self.marks)


def without_pauses(exemplars: Sequence[Exemplar]) -> tuple[tuple[Exemplar, ...], tuple[Exemplar, ...]]:
    """(all others, pauses). Of a pause only the sound is learned: the thing is still seen in it, and nobody outlined it."""
    taught = {one.source for one in exemplars if one.marks}
    pauses = tuple(one for one in exemplars if not one.marks and one.source in taught)
    return tuple(one for one in exemplars if one.marks or one.source not in taught), pauses
