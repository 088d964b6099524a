"""What an engine is: one window in, labels out, the adapter chosen per call."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cavs.runtime import contract
from cavs.runtime.adapter import Adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import AnswerRejected, EngineError

LABEL_SILENT = 0
"""Value in `Prediction.labels` of a pixel that does not sound."""
LABEL_UNKNOWN = 1
"""Value of a pixel that sounds but is near no row of the class table."""
LABEL_FIRST_CLASS = 2
"""Value of a pixel of row 0 of the class table; row k is LABEL_FIRST_CLASS + k."""


LEAST_HEARD = 0.4
"""Probability of the class heard best below which nothing is marked by name, unless the user says otherwise: on val it halves
and more what is marked to sounds of nothing that is known, at under a point of IoU (docs/model.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the engine says of one window. The arrays are views that the next call of `run` overwrites.

    labels:     uint8 (h, w), LABEL_SILENT, LABEL_UNKNOWN or LABEL_FIRST_CLASS + row of the class table.
    confidence: uint8 (h, w), probability that the pixel sounds x 255.
    presence:   float32 (K,), for each row of the class table the probability that its sound is heard; 0 for unused rows.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    presence: npt.NDArray[np.float32]


def heard_labels(labels: npt.NDArray[np.uint8], presence: npt.NDArray[np.float32], least: float) -> npt.NDArray[np.uint8]:
    """The labels of one window, with named pixels silent if no class at all is heard with a probability of `least`.

    A pixel sounds by what is seen and heard there; whether anything known is heard is said by the sound alone. Unknown
    pixels stay: what they are nobody has learned to hear. labels, presence: as in `Prediction`; not changed.
    """
    if presence.max(initial=0.0) >= least:
        return labels
    return np.where(labels == LABEL_UNKNOWN, labels, np.uint8(LABEL_SILENT))


class PreparedAdapter(Protocol):
    """An adapter in the engine's own buffers. Immutable, may be made on any thread."""

    @property
    def adapter(self) -> Adapter:
        """What it was made from."""


class Engine(Protocol):
    """A compiled graph. `run` is called by one thread at a time; `prepare` may be called by any thread meanwhile."""

    @property
    def name(self) -> str:
        """Short name on the wire: `onnx`, `tensorrt`, `rtx`, `rtx-ort`."""

    @property
    def bundle(self) -> Bundle:
        """The bundle it was made from."""

    @property
    def reserve(self) -> "Engine | None":
        """An engine of the same bundle that can go on where this one fails, or None. Ready; it has none itself."""

    def prepare(self, adapter: Adapter) -> PreparedAdapter:
        """Puts an adapter into buffers that `run` can use. Raises AdapterRejected if names or shapes do not fit."""

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], adapter: PreparedAdapter) -> Prediction:
        """Runs one window.

        frame: uint8 (H, W, 3) RGB at the bundle's frame size.
        sound: float32 (N,) mono in [-1, 1] at the bundle's rate; its last sample is the newest.
        Raises EngineError if the engine fails, gives a value that is not a number, or the shapes are wrong.
        """

    def close(self) -> None:
        """Frees the engine; idempotent."""


def fill_window(
    engine: str,
    frame: npt.NDArray[np.uint8],
    frame_buffer: npt.NDArray[np.uint8],
    sound: npt.NDArray[np.float32],
    sound_buffer: npt.NDArray[np.float32],
) -> None:
    """Copies a window into an engine's buffers. Raises EngineError if a shape or dtype is another."""
    for name, seen, buffer in ((contract.FRAME, frame, frame_buffer), (contract.SOUND, sound, sound_buffer)):
        if seen.shape != buffer.shape or seen.dtype != buffer.dtype:
            raise EngineError(f"{engine}: {name} is {seen.dtype} {seen.shape}, expected {buffer.dtype} {buffer.shape}")
    np.copyto(frame_buffer, frame)
    np.copyto(sound_buffer, sound)


def check_prediction(engine: str, bundle: Bundle, prediction: Prediction) -> None:
    """Raises AnswerRejected if a value is not a number, or a label is of no row of the class table."""
    presence = prediction.presence
    if not np.isfinite(presence).all():
        bad = int(presence.size - np.isfinite(presence).sum())
        raise AnswerRejected(
            f"{engine}: bundle {bundle.id[:12]} gave {bad} of {presence.size} presence scores that are not numbers"
        )
    largest_possible = LABEL_FIRST_CLASS + bundle.manifest.adapter.class_capacity - 1
    if (largest := int(prediction.labels.max())) > largest_possible:
        raise AnswerRejected(
            f"{engine}: bundle {bundle.id[:12]} gave label {largest}, the largest possible is {largest_possible}"
        )
