"""The three things that flow: a frame, a block of sound, a window made of both. Each carries its time."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt


class StampGrade(str, Enum):
    """What a time stamp is worth.

    A: made by the driver or the container on the clock itself; B: fitted or converted from another clock;
    C: the moment at which we read the item.
    """

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One image, stamped when it was exposed rather than when it was read.

    pixels: uint8 (H, W, 3), RGB, upright, read-only.
    t_ns:   middle of the exposure on the monotonic clock.
    index:  the source's own counter; a jump of n means n - 1 frames were lost.
    """

    pixels: npt.NDArray[np.uint8]
    t_ns: int
    index: int
    grade: StampGrade = StampGrade.A


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Consecutive mono sound, already at the bundle's rate.

    samples: float32 (N,), in [-1, 1], read-only.
    first:   number of its first sample on the source's own line; a jump means that samples were lost there.
    t_ns:    time of the first sample on the monotonic clock, as well as the source knows it.
    """

    samples: npt.NDArray[np.float32]
    first: int
    t_ns: int
    rate_hz: int
    grade: StampGrade = StampGrade.A

    @property
    def end(self) -> int:
        """Number of the sample after its last one."""
        return self.first + len(self.samples)


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """Something a subscriber should hear of: kind is `lost`, `recovered`, `ended`, `no_sound`, `model`, `warning`, ...

    thumb: a small JPEG that goes with it, or nothing.
    """

    kind: str
    device: str
    text: str
    t_ns: int
    thumb: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The newest frame and the sound that ends at its time plus the bundle's look-ahead.

    sound:          float32 (N,), oldest sample first; zeros where no sound was received.
    sound_start_ns, sound_end_ns: the span of `sound` on the monotonic clock.
    missing:        samples of `sound` that were never received (zero-filled).
    skew_ns:        how far the cut may be from the truth: the residual of the sound line's fit.
    """

    frame: VideoFrame
    sound: npt.NDArray[np.float32]
    seq: int
    sound_start_ns: int
    sound_end_ns: int
    missing: int
    skew_ns: int
    sound_grade: StampGrade
    flags: frozenset[str] = field(default_factory=frozenset)
    """`audio_missing` (no sound at all) or `audio_partial` (part of it zero-filled)."""
