"""Which sample was recorded at which time: exactly from a container's stamps, or fitted through jittery ones."""

import bisect
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.items import StampGrade

PPM_PER_UNIT = 1e6
BIN_S = 0.5
"""Stamps of this much sound are condensed into one point: long against the jitter's period, short against a step."""
BINS = 128
"""Points in the fit, 64 s: 20 ms of jitter averages out to under 1 ms, and a warming crystal is still followed."""
SETTLED_BINS = 4
"""From 2 s of sound on the line is trusted enough to tell an outlier from a step."""
SUSPECT_BINS = 4
"""After 2 s beside the line it is the line that is wrong, whatever the points look like."""
STEP_MIN_NS = 4 * NS_PER_MS
"""Smaller disagreements are left to the fit: they are within the 5 ms that a window may be off."""
STEP_SIGMAS = 6.0
SLOPE_PRIOR_NS_PER_S = 300_000.0
"""300 ppm: wider than any sound card, narrow enough to hold the slope while there are only a few stamps."""
SLOPE_KEPT_NS_PER_S = 30_000.0
"""30 ppm: what a crystal may change while its device is away; better known than this is not carried over a restart."""
SPREAD_FLOOR_NS = 1_000.0
"""Stamps are not better than a microsecond, whatever a handful of equal ones pretends."""
SPREAD_UNKNOWN_NS = 20e6
"""What a first stamp is taken to be worth: 20 ms, the jitter of a busy machine."""
ANCHORS = 4096


class TimeMap(Protocol):
    """Sample number <-> monotonic time, learnt from the stamps of blocks."""

    @property
    def ppm(self) -> float:
        """How much faster than nominal the device runs, in parts per million of the nominal rate."""

    @property
    def locked(self) -> bool:
        """True when enough stamps agree for `error_ns` to mean something."""

    def observe(self, sample: int, t_ns: int, grade: StampGrade) -> int:
        """Learns that `sample` was recorded at `t_ns`. Returns the step in ns if the line just moved, else 0."""

    def restart(self, sample: int, t_ns: int) -> None:
        """Forgets everything but the speed: from here on the line passes through this point."""

    def sample_at(self, t_ns: int) -> int:
        """Number of the first sample recorded at this time or later."""

    def time_of(self, sample: int) -> int:
        """When this sample was recorded."""

    def residual_ns(self) -> float:
        """Standard deviation of the stamps around the line."""

    def error_ns(self) -> float:
        """How far the line itself may be off at the newest sample (one standard error)."""


def samples_to_ns(samples: int, rate_hz: int) -> int:
    """Duration of this many samples at the nominal rate, rounded to the nearest nanosecond."""
    return (samples * NS_PER_S * 2 + rate_hz) // (2 * rate_hz)


class StampedTimes:
    """The stamps are the truth: files. Between stamps the nominal rate holds, so nothing is fitted and nothing drifts.

    A stamp that continues the line within half a sample adds nothing; any other begins a new piece of it. Which piece
    a time falls on does not depend on what arrived after it, so any interleaving of blocks and frames gives equal cuts.
    """

    ppm = 0.0
    locked = True

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._samples: deque[int] = deque(maxlen=ANCHORS)
        self._times: deque[int] = deque(maxlen=ANCHORS)
        self._piece_ends: deque[int] = deque(maxlen=ANCHORS - 1)
        """Time at which piece k hands over to piece k + 1; never falls, though stamps may."""

    def observe(self, sample: int, t_ns: int, grade: StampGrade) -> int:
        half_sample_ns = NS_PER_S // (2 * self._rate_hz)
        if not self._samples:
            self.restart(sample, t_ns)
        elif sample > self._samples[-1] and abs(t_ns - self.time_of(sample)) > half_sample_ns:
            end_ns = self.time_of(sample)
            self._piece_ends.append(max(end_ns, self._piece_ends[-1]) if self._piece_ends else end_ns)
            self._samples.append(sample)
            self._times.append(t_ns)
        return 0

    def restart(self, sample: int, t_ns: int) -> None:
        self._samples.clear()
        self._times.clear()
        self._piece_ends.clear()
        self._samples.append(sample)
        self._times.append(t_ns)

    def sample_at(self, t_ns: int) -> int:
        piece = bisect.bisect_left(self._piece_ends, t_ns)
        elapsed_ns = t_ns - self._times[piece]
        sample = self._samples[piece] - (-elapsed_ns * self._rate_hz) // NS_PER_S
        return sample if piece == 0 else max(sample, self._samples[piece])

    def time_of(self, sample: int) -> int:
        piece = max(bisect.bisect_right(self._samples, sample) - 1, 0)
        return self._times[piece] + samples_to_ns(sample - self._samples[piece], self._rate_hz)

    def residual_ns(self) -> float:
        return 0.0

    def error_ns(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class _Bin:
    """Half a second of stamps as one point: seconds since the origin, ns beside the nominal line, and their spread."""

    x_s: float
    beside_ns: float
    spread_ns: float
    stamps: int


class FittedTimes:
    """A robust line through the stamps of a live device whose crystal is not ours.

    Each half second of stamps is condensed into one point: their trimmed mean, or for grade C their earliest, because
    a moment of reading can only be late. The line is a reweighted least-squares fit through the last 64 s of points.
    Points that leave the line together and agree are a step of the device's clock: the line restarts through them.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._slope = 0.0  # ns per second of sound, beside the nominal rate
        self._prior_width = SLOPE_PRIOR_NS_PER_S
        self._standard_error = (SPREAD_UNKNOWN_NS, SLOPE_PRIOR_NS_PER_S)
        self._spread_ns = SPREAD_UNKNOWN_NS
        self._point_noise_ns = SPREAD_UNKNOWN_NS
        self.restart(0, 0)

    def restart(self, sample: int, t_ns: int) -> None:
        self._origin_sample = sample
        self._origin_ns = t_ns
        self._keep_slope()
        self._level = 0.0  # ns beside the nominal line at `_center_s`
        self._center_s = 0.0
        self._newest_s = 0.0
        self._bins: deque[_Bin] = deque(maxlen=BINS)
        self._suspects: list[_Bin] = []
        self._open: list[tuple[float, float]] = []
        self._standard_error = (self._spread_ns, self._prior_width)

    @property
    def ppm(self) -> float:
        return (NS_PER_S / (NS_PER_S + self._slope) - 1) * PPM_PER_UNIT

    @property
    def locked(self) -> bool:
        return len(self._bins) >= SETTLED_BINS and not self._suspects

    def observe(self, sample: int, t_ns: int, grade: StampGrade) -> int:
        x_s = (sample - self._origin_sample) / self._rate_hz
        beside_ns = float(t_ns - self._origin_ns - samples_to_ns(sample - self._origin_sample, self._rate_hz))
        self._newest_s = x_s
        step_ns = 0
        if self._open and x_s - self._open[0][0] >= BIN_S:
            step_ns = self._close_bin(grade)
        self._open.append((x_s, beside_ns))
        if len(self._bins) < SETTLED_BINS:
            self._fit([*self._bins, self._condense(grade)])
        return step_ns

    def sample_at(self, t_ns: int) -> int:
        elapsed_ns = (t_ns - self._origin_ns) - self._level + self._slope * self._center_s
        x_s = elapsed_ns / (NS_PER_S + self._slope)
        return self._origin_sample + math.ceil(round(x_s * self._rate_hz, 3))

    def time_of(self, sample: int) -> int:
        samples = sample - self._origin_sample
        beside_ns = self._beside_at(samples / self._rate_hz)
        return self._origin_ns + samples_to_ns(samples, self._rate_hz) + round(beside_ns)

    def residual_ns(self) -> float:
        return max(self._spread_ns, self._point_noise_ns)

    def error_ns(self) -> float:
        level_error, slope_error = self._standard_error
        return math.hypot(level_error, slope_error * (self._newest_s - self._center_s))

    def _keep_slope(self) -> None:
        """What is known of the crystal becomes the prior of the next fit."""
        self._prior_slope = self._slope
        self._prior_width = min(max(self._standard_error[1], SLOPE_KEPT_NS_PER_S), SLOPE_PRIOR_NS_PER_S)

    def _beside_at(self, x_s: float) -> float:
        return self._level + self._slope * (x_s - self._center_s)

    def _condense(self, grade: StampGrade) -> _Bin:
        points = np.array(self._open)
        x_s, beside_ns = points[:, 0], points[:, 1]
        level = beside_ns - self._slope * (x_s - x_s.mean())
        spread_ns = float(level.std()) if len(level) > 1 else self._spread_ns
        if grade is StampGrade.C:
            earliest = int(level.argmin())
            return _Bin(float(x_s[earliest]), float(beside_ns[earliest]), spread_ns, len(level))
        order = level.argsort()
        outer = len(order) // 8
        inner = order[outer : len(order) - outer]
        return _Bin(float(x_s[inner].mean()), float(beside_ns[inner].mean()), spread_ns, len(level))

    def _close_bin(self, grade: StampGrade) -> int:
        """Condenses the open bin; returns the step if it and its forerunners show that the clock has moved."""
        point = self._condense(grade)
        self._open.clear()
        beside_ns = point.beside_ns - self._beside_at(point.x_s)
        if len(self._bins) < SETTLED_BINS or abs(beside_ns) <= self._step_limit_ns():
            self._suspects.clear()
            self._bins.append(point)
            self._fit(self._bins)
            return 0
        self._suspects.append(point)
        if not self._suspects_agree():
            return 0
        self._keep_slope()
        self._bins.clear()
        self._bins.extend(self._suspects)
        self._suspects.clear()
        self._fit(self._bins)
        return round(beside_ns)

    def _step_limit_ns(self) -> float:
        return max(STEP_MIN_NS, STEP_SIGMAS * math.hypot(self._point_noise_ns, self.error_ns()))

    def _suspects_agree(self) -> bool:
        if len(self._suspects) >= SUSPECT_BINS:
            return True
        beside = [point.beside_ns - self._beside_at(point.x_s) for point in self._suspects]
        return len(beside) >= 2 and max(beside) - min(beside) <= max(self._step_limit_ns(), abs(beside[-1]) / 8)

    def _fit(self, points: Iterable[_Bin]) -> None:
        """Weighted least squares, reweighted so that far points do not count (bisquare), the slope held by a prior."""
        table = np.array([(point.x_s, point.beside_ns, point.spread_ns, point.stamps) for point in points])
        x_s, beside_ns, spread_ns, stamps = table.T
        self._spread_ns = max(float(np.median(spread_ns)), SPREAD_FLOOR_NS)
        noise_ns = self._spread_ns / float(np.sqrt(np.median(stamps)))
        weight = np.ones(len(x_s))
        scale_ns = noise_ns
        for _ in range(3):
            center_s = float(weight @ x_s / weight.sum())
            apart_s = x_s - center_s
            held = (min(noise_ns, scale_ns) / self._prior_width) ** 2
            steepness = float(weight @ apart_s**2) + held
            level = float(weight @ beside_ns / weight.sum())
            slope = float((weight * apart_s) @ (beside_ns - level) + held * self._prior_slope) / steepness
            residual_ns = np.abs(beside_ns - level - slope * apart_s)
            scale_ns = max(1.4826 * float(np.median(residual_ns)), noise_ns / 4, SPREAD_FLOOR_NS)
            weight = np.clip(1 - (residual_ns / (6 * scale_ns)) ** 2, 0, None) ** 2 + 1e-6
        self._level, self._slope, self._center_s = level, slope, center_s
        # A few points may agree by chance; until there are enough, the spread within them says what they are worth.
        self._point_noise_ns = scale_ns if len(x_s) > 2 * SETTLED_BINS else max(noise_ns, scale_ns)
        self._standard_error = (
            self._point_noise_ns / math.sqrt(weight.sum()),
            self._point_noise_ns / math.sqrt(steepness),
        )
