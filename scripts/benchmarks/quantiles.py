"""Percentiles of times, and medians over repeats."""

import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.result import Value
from cavs.runtime.clock import NS_PER_MS, MonotonicClock

CLOCK = MonotonicClock()
DIGITS = 4


def percentile(values: Sequence[float], percent: float) -> float | None:
    """None if there are no values: a benchmark that measured nothing must not read as zero."""
    return round(float(np.percentile(values, percent)), DIGITS) if len(values) else None


def spread(values: Sequence[float], name: str = "ms") -> dict[str, Value]:
    """p50, p95, p99 and the largest, and how many there were."""
    points = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    return {"count": len(values), **{f"{point}_{name}": percentile(values, percent) for point, percent in points.items()}}


def median_of(repeats: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """The median over repeats of each number that all of them have."""
    names = [name for name in repeats[0] if all(isinstance(repeat.get(name), int | float) for repeat in repeats)]
    return {name: _median([repeat[name] for repeat in repeats]) for name in names}


def median_ratio(above: Sequence[Mapping[str, Value]], below: Sequence[Mapping[str, Value]], name: str) -> float | None:
    """The median over repeats of the ratio of two arms that took turns."""
    pairs = [(a.get(name), b.get(name)) for a, b in zip(above, below, strict=True)]
    ratios = [_number(a) / _number(b) for a, b in pairs if a is not None and b]
    return round(statistics.median(ratios), DIGITS) if ratios else None


def number(value: Value) -> float | None:
    """For a target: None stays None."""
    return None if value is None else _number(value)


def times_ms(count: int, call: Callable[[], object]) -> list[float]:
    """How long each of `count` calls took."""
    times = []
    for _ in range(count):
        start_ns = CLOCK.now_ns()
        call()
        times.append((CLOCK.now_ns() - start_ns) / NS_PER_MS)
    return times


def _median(values: Sequence[Value]) -> Value:
    """Of counts a count."""
    if all(isinstance(value, int) for value in values):
        return statistics.median_low([round(_number(value)) for value in values])
    return round(statistics.median(_number(value) for value in values), DIGITS)


def _number(value: Value) -> float:
    if not isinstance(value, int | float):
        raise ValueError(f"a number expected, {value!r} seen")
    return float(value)
