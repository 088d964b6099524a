"""How long each stage of a window took, as histograms that cost the same after a second and after a year."""

import math
from dataclasses import dataclass, fields

import numpy as np

from cavs.runtime.clock import NS_PER_MS

SUB_BUCKET_BITS = 6
"""64 buckets per doubling: a percentile is read at most 1.6 % too high."""
SUB_BUCKETS = 1 << SUB_BUCKET_BITS
MAX_BITS = 42
"""Values up to 2^42 ns, 73 minutes; longer ones are counted in the last bucket, and `max` still knows them."""
BUCKETS = (MAX_BITS - SUB_BUCKET_BITS + 1) * SUB_BUCKETS


class LatencyHistogram:
    """Counts of durations in buckets of equal relative width. Constant memory, one thread."""

    def __init__(self) -> None:
        self._counts = np.zeros(BUCKETS, np.int64)
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def record(self, duration_ns: int) -> None:
        """Adds one duration. A negative one, from clocks that disagree by a little, counts as 0."""
        duration_ns = max(duration_ns, 0)
        self._counts[min(_bucket(duration_ns), BUCKETS - 1)] += 1
        self.count += 1
        self.sum_ns += duration_ns
        self.max_ns = max(self.max_ns, duration_ns)

    def percentile_ns(self, percent: float) -> int:
        """The duration that `percent` of the recorded ones do not exceed, read from above; 0 if there are none."""
        if not 0 <= percent <= 100:
            raise ValueError(f"percent={percent}: 0 to 100 expected")
        if not self.count:
            return 0
        rank = max(math.ceil(self.count * percent / 100), 1)
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(_highest(bucket), self.max_ns) if bucket < BUCKETS - 1 else self.max_ns

    def merge(self, other: "LatencyHistogram") -> None:
        """Adds everything that the other recorded."""
        self._counts += other._counts
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def reset(self) -> None:
        """Forgets everything, for a histogram of the last second."""
        self._counts.fill(0)
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def to_dict(self) -> dict[str, float | int]:
        """Count, mean, p50, p95, p99 and max, in milliseconds."""
        mean_ns = self.sum_ns / self.count if self.count else 0.0
        return {
            "count": self.count,
            "mean_ms": round(mean_ns / NS_PER_MS, 4),
            "p50_ms": round(self.percentile_ns(50) / NS_PER_MS, 4),
            "p95_ms": round(self.percentile_ns(95) / NS_PER_MS, 4),
            "p99_ms": round(self.percentile_ns(99) / NS_PER_MS, 4),
            "max_ms": round(self.max_ns / NS_PER_MS, 4),
        }


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long one window spent in each stage, in ns.

    capture:    from the exposure until the main loop had the frame.
    align:      until the window was formed, at the size of the network; waiting for its sound is part of it.
    infer:      in the engine.
    decode:     from the engine's output to objects.
    publish:    until the message was handed to the socket.
    end_to_end: from the exposure until then.
    """

    capture: int
    align: int
    infer: int
    decode: int
    publish: int
    end_to_end: int


STAGES = tuple(stage.name for stage in fields(StageTimes))


class StageLatencies:
    """A histogram for each stage, over the whole run and since the last look. One thread."""

    def __init__(self) -> None:
        self._run = {stage: LatencyHistogram() for stage in STAGES}
        self._recent = {stage: LatencyHistogram() for stage in STAGES}

    def record(self, times: StageTimes) -> None:
        """Adds one window."""
        for stage in STAGES:
            self._recent[stage].record(getattr(times, stage))

    def take_recent(self) -> dict[str, dict[str, float | int]]:
        """What was recorded since the last call, by stage; the once-a-second health."""
        recent = {stage: histogram.to_dict() for stage, histogram in self._recent.items()}
        self._fold()
        return recent

    def to_dict(self) -> dict[str, dict[str, float | int]]:
        """The whole run by stage, for the report. What `take_recent` will give is left as it is."""
        whole = {}
        for stage in STAGES:
            histogram = LatencyHistogram()
            histogram.merge(self._run[stage])
            histogram.merge(self._recent[stage])
            whole[stage] = histogram.to_dict()
        return whole

    def _fold(self) -> None:
        for stage in STAGES:
            self._run[stage].merge(self._recent[stage])
            self._recent[stage].reset()


def _bucket(duration_ns: int) -> int:
    """Exact below 128 ns, then 64 buckets per doubling."""
    doublings = max(duration_ns.bit_length() - SUB_BUCKET_BITS - 1, 0)
    return doublings * SUB_BUCKETS + (duration_ns >> doublings)


def _highest(bucket: int) -> int:
    """The longest duration that falls into this bucket."""
    if bucket < 2 * SUB_BUCKETS:
        return bucket
    doublings = bucket // SUB_BUCKETS - 1
    return ((SUB_BUCKETS + bucket % SUB_BUCKETS + 1) << doublings) - 1
