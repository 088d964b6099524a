"""Finds claps in a picture and in a sound, and how far apart the two say they happened."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_MS
from cavs.runtime.errors import CavsError

MOTION_WIDTH_PX = 80
"""Movement is looked for in a picture of this width: noise of single pixels is gone, hands are not."""
HOP_MS = 1
"""Distance of the values of the sound's envelope."""
APART_MS = 250
"""Two claps are further apart; nearer peaks are one clap and its echo, or the hands going apart again."""
REACH_MS = 600
"""Picture and sound of one clap are nearer than this."""
CLUSTER_MS = 80
"""Claps that agree lie within this: two frames at 25 fps."""
MIN_CLAPS = 3
PROMINENCE = 8.0
"""A clap stands out of what is usual by this many times the usual spread."""
ONSET = 0.2
"""A sound begins where it first reaches this part of its peak."""
ONSET_BEFORE_MS = 30

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """offset_ms: stamp of the picture minus stamp of the sound, the value of --offset-ms; spread_ms: of a single clap."""

    offset_ms: float
    spread_ms: float
    claps: int


class MotionMeter:
    """How much the picture changes from frame to frame."""

    def __init__(self) -> None:
        self._before: npt.NDArray[np.float32] | None = None
        self._before_ns = 0
        self._times_ns: list[int] = []
        self._motion: list[float] = []

    def add(self, pixels: npt.NDArray[np.uint8], t_ns: int) -> None:
        """The next frame, RGB. Its change against the one before happened between the two."""
        height, width = pixels.shape[:2]
        size = (MOTION_WIDTH_PX, max(round(MOTION_WIDTH_PX * height / width), 1))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).mean(axis=2, dtype=np.float32)
        if self._before is not None and self._before.shape == small.shape:
            self._times_ns.append((self._before_ns + t_ns) // 2)
            self._motion.append(float(np.abs(small - self._before).mean()))
        self._before, self._before_ns = small, t_ns

    def peaks(self) -> Times:
        """When it changed most."""
        return _peaks(np.array(self._times_ns, np.int64), np.array(self._motion))


def onsets(sound: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.int64]:
    """Numbers of the samples at which a clap begins."""
    hop = max(rate_hz * HOP_MS // 1000, 1)
    usable = len(sound) // hop * hop
    envelope = np.abs(sound[:usable]).reshape(-1, hop).max(axis=1).astype(np.float64)
    hops = _peaks(np.arange(len(envelope), dtype=np.int64) * HOP_MS * NS_PER_MS, envelope) // (HOP_MS * NS_PER_MS)
    begins = []
    for peak in hops:
        before = max(int(peak) - ONSET_BEFORE_MS // HOP_MS, 0)
        rising = envelope[before : int(peak) + 1] >= ONSET * envelope[peak]
        begins.append((before + int(np.argmax(rising))) * hop)
    return np.array(begins, np.int64)


def compare(seen_ns: Times, heard_ns: Times) -> Measured:
    """The offset on which most claps agree. Raises CavsError if too few do."""
    differences = np.array([s - h for h in heard_ns for s in seen_ns if abs(s - h) <= REACH_MS * NS_PER_MS], np.float64)
    best = np.zeros(0)
    for low in differences:
        cluster = differences[(differences >= low) & (differences <= low + CLUSTER_MS * NS_PER_MS)]
        if len(cluster) > len(best):
            best = cluster
    if len(best) < MIN_CLAPS:
        raise CavsError(
            f"{len(best)} claps seen and heard ({len(seen_ns)} movements, {len(heard_ns)} sounds), {MIN_CLAPS} expected; "
            "clap slowly and loudly, one clap a second, hands large in the picture, nothing else moving"
        )
    offset_ns = float(np.median(best))
    spread_ns = 1.4826 * float(np.median(np.abs(best - offset_ns)))
    return Measured(offset_ns / NS_PER_MS, spread_ns / NS_PER_MS, len(best))


def _peaks(times_ns: Times, values: Values) -> Times:
    """Times of what stands out, the largest first where two are near."""
    if len(values) == 0:
        return np.zeros(0, np.int64)
    usual = float(np.median(values))
    spread = float(np.median(np.abs(values - usual)))
    limit = max(usual + PROMINENCE * 1.4826 * spread, 0.2 * float(values.max()))
    chosen: list[int] = []
    for place in np.argsort(values)[::-1]:
        if values[place] <= limit:
            break
        if all(abs(int(times_ns[place] - times_ns[other])) >= APART_MS * NS_PER_MS for other in chosen):
            chosen.append(int(place))
    return np.sort(times_ns[chosen]) if chosen else np.zeros(0, np.int64)
