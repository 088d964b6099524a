"""Histograms of durations: close enough, constant in memory, mergeable."""

import numpy as np
import pytest

from cavs.stream.latency import STAGES, LatencyHistogram, StageLatencies, StageTimes


def filled(durations_ns: list[int]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for duration_ns in durations_ns:
        histogram.record(duration_ns)
    return histogram


def test_percentiles_are_never_below_the_truth_and_at_most_two_percent_above() -> None:
    durations = np.random.default_rng(1).lognormal(17, 1.5, 4987).astype(int)
    histogram = filled(durations.tolist())
    for percent in (1, 50, 90, 95, 99, 99.9, 100):
        truth = np.percentile(durations, percent, method="inverted_cdf")
        assert truth <= histogram.percentile_ns(percent) <= truth * 1.02


def test_small_durations_are_exact() -> None:
    assert filled([0]).percentile_ns(50) == 0
    assert filled([1, 2, 3]).percentile_ns(50) == 2
    assert filled([127]).percentile_ns(99) == 127


def test_a_percentile_is_never_above_the_longest_duration() -> None:
    assert filled([1_000_003] * 10).percentile_ns(99) == 1_000_003


def test_an_empty_histogram_reads_zero() -> None:
    empty = LatencyHistogram()
    assert empty.percentile_ns(99) == 0
    assert empty.to_dict() == {"count": 0, "mean_ms": 0, "p50_ms": 0, "p95_ms": 0, "p99_ms": 0, "max_ms": 0}


def test_a_duration_beyond_the_last_bucket_is_still_counted_and_known_as_the_longest() -> None:
    histogram = filled([10, 1 << 60])
    assert histogram.count == 2
    assert histogram.percentile_ns(100) == histogram.max_ns == 1 << 60


def test_a_negative_duration_counts_as_zero() -> None:
    histogram = filled([-5])
    assert (histogram.count, histogram.sum_ns, histogram.max_ns) == (1, 0, 0)


def test_merging_equals_recording_everything_in_one() -> None:
    first, second = [5_000, 80_000_000, 3], [7_000_000, 9]
    merged = filled(first)
    merged.merge(filled(second))
    assert merged.to_dict() == filled(first + second).to_dict()


def test_resetting_forgets_everything() -> None:
    histogram = filled([5, 6])
    histogram.reset()
    assert histogram.to_dict() == LatencyHistogram().to_dict()


def test_a_percentile_outside_0_to_100_is_refused() -> None:
    with pytest.raises(ValueError, match="percent=101"):
        LatencyHistogram().percentile_ns(101)


def times(milliseconds: int) -> StageTimes:
    return StageTimes(*[milliseconds * 1_000_000] * len(STAGES))


def test_recent_times_are_those_since_the_last_look_and_the_run_keeps_all() -> None:
    latencies = StageLatencies()
    latencies.record(times(10))
    assert latencies.take_recent()["infer"]["count"] == 1
    latencies.record(times(30))
    latencies.record(times(50))
    recent = latencies.to_dict()["infer"], latencies.take_recent()["infer"]
    assert recent[0]["count"] == 3
    assert recent[1]["count"] == 2
    assert recent[1]["max_ms"] == 50
    assert latencies.take_recent()["infer"]["count"] == 0
    assert latencies.to_dict()["end_to_end"]["count"] == 3
