"""The maps between sample number and time: exact from stamps, fitted through noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.drift import ANCHORS, FittedTimes, StampedTimes, samples_to_ns
from cavs.stream.items import StampGrade

RATE_HZ = 16_000
START_NS = 10**15
BLOCK = 320


def stamped(*stamps: tuple[int, int]) -> StampedTimes:
    times = StampedTimes(RATE_HZ)
    for sample, t_ns in stamps:
        times.observe(sample, t_ns, StampGrade.A)
    return times


def fitted(seconds: float, ppm: float = 0.0, first: int = 0, times: FittedTimes | None = None) -> FittedTimes:
    """A line through perfect stamps of a card that is off by `ppm`."""
    if times is None:
        times = FittedTimes(RATE_HZ)
        times.restart(first, true_ns(first, ppm))
    for sample in range(first, first + round(seconds * RATE_HZ), BLOCK):
        times.observe(sample, true_ns(sample, ppm), StampGrade.B)
    return times


def true_ns(sample: int, ppm: float) -> int:
    return START_NS + round(sample / (RATE_HZ * (1 + ppm / 1e6)) * NS_PER_S)


@given(st.integers(-(10**9), 10**9), st.sampled_from([8000, 11025, 16_000, 44_100, 48_000]))
def test_a_duration_is_rounded_to_the_nearest_nanosecond(samples: int, rate_hz: int) -> None:
    assert abs(samples_to_ns(samples, rate_hz) * rate_hz - samples * NS_PER_S) * 2 <= rate_hz


@given(st.integers(0, 10**9), st.sampled_from([8000, 16_000, 44_100]))
def test_stamps_give_back_the_sample_they_were_made_from(sample: int, rate_hz: int) -> None:
    times = StampedTimes(rate_hz)
    times.observe(0, START_NS, StampGrade.A)
    t_ns = times.time_of(sample)
    assert times.sample_at(t_ns) in (sample, sample + 1)  # + 1 where the time of the sample was rounded down
    assert times.sample_at(t_ns - 1) == sample or times.sample_at(t_ns) == sample


def test_a_cut_ends_with_the_last_sample_before_its_time() -> None:
    times = stamped((0, START_NS))
    assert times.sample_at(START_NS) == 0
    assert times.sample_at(START_NS + 1) == 1
    assert times.sample_at(START_NS + 62_500) == 1
    assert times.sample_at(START_NS + 62_501) == 2
    assert times.sample_at(START_NS - 62_500) == -1


def test_stamps_rounded_to_milliseconds_are_followed_within_a_millisecond() -> None:
    exact_ns = [samples_to_ns(sample, RATE_HZ) for sample in range(0, 100 * BLOCK + 7 * 100, BLOCK + 7)]
    times = stamped(*((n * (BLOCK + 7), t // NS_PER_MS * NS_PER_MS) for n, t in enumerate(exact_ns)))
    for sample in range(0, 100 * BLOCK, 100):
        assert abs(times.sample_at(samples_to_ns(sample, RATE_HZ)) - sample) <= 17


@pytest.mark.parametrize("jitter_ms", [2, 9, 30])
def test_where_a_time_falls_does_not_depend_on_what_came_after_it(jitter_ms: int) -> None:
    """As soon as the sample of a time has arrived, its number is final. Jitter beyond a block's length included."""
    random = np.random.default_rng(3)
    jitter = random.integers(-jitter_ms, jitter_ms, 200)
    stamps = [(n * BLOCK, (n * 20 + int(jitter[n])) * NS_PER_MS) for n in range(200)]
    whole = stamped(*stamps)
    compared = 0
    for known in range(1, 200, 7):
        part = stamped(*stamps[:known])
        for t_ms in range(-50, 20 * known + 50):
            sample = part.sample_at(t_ms * NS_PER_MS)
            if sample <= known * BLOCK:
                assert whole.sample_at(t_ms * NS_PER_MS) == sample
                compared += 1
    assert compared > 10_000


def test_stamps_of_an_endless_file_are_forgotten_from_the_old_end() -> None:
    jitter_ns = [0, 3 * NS_PER_MS]
    count = 3 * ANCHORS
    times = stamped(*((n * BLOCK, n * 20 * NS_PER_MS + jitter_ns[n % 2]) for n in range(count)))
    last_ns = (count - 1) * 20 * NS_PER_MS + 3 * NS_PER_MS
    assert times.sample_at(last_ns) == (count - 1) * BLOCK
    assert times.time_of((count - 2) * BLOCK) == (count - 2) * 20 * NS_PER_MS
    assert times.sample_at((count - 2) * 20 * NS_PER_MS + 10 * NS_PER_MS) == (count - 2) * BLOCK + 160


@pytest.mark.parametrize("ppm", [-500.0, -20.0, 0.0, 20.0, 500.0])
def test_perfect_stamps_give_the_exact_speed_and_place(ppm: float) -> None:
    times = fitted(60, ppm)
    assert times.ppm == pytest.approx(ppm, abs=0.01)
    assert times.locked
    for sample in (59 * RATE_HZ, 61 * RATE_HZ):
        assert abs(times.time_of(sample) - true_ns(sample, ppm)) < 1000
        assert times.sample_at(true_ns(sample, ppm) - 30_000) == sample


def test_before_two_seconds_it_is_not_locked_and_says_how_little_it_knows() -> None:
    times = FittedTimes(RATE_HZ)
    times.restart(0, START_NS)
    assert times.error_ns() >= 20 * NS_PER_MS
    fitted(1.9, times=times)
    assert not times.locked
    assert fitted(3).locked


def test_times_a_year_after_the_start_are_as_exact() -> None:
    year = 365 * 24 * 3600 * RATE_HZ
    times = fitted(30, ppm=40, first=year)
    sample = year + 31 * RATE_HZ
    assert abs(times.time_of(sample) - true_ns(sample, 40)) < 2000


def test_half_a_second_of_bad_stamps_is_passed_over() -> None:
    times = fitted(20)
    late = 20 * RATE_HZ
    for sample in range(late, late + RATE_HZ // 2, BLOCK):
        assert times.observe(sample, true_ns(sample, 0) + 80 * NS_PER_MS, StampGrade.B) == 0
    for sample in range(late + RATE_HZ // 2, late + 5 * RATE_HZ, BLOCK):
        assert times.observe(sample, true_ns(sample, 0), StampGrade.B) == 0
        assert abs(times.time_of(sample) - true_ns(sample, 0)) < 1000
    assert times.locked


def test_after_a_step_the_crystal_is_remembered() -> None:
    random = np.random.default_rng(11)
    times = FittedTimes(RATE_HZ)
    times.restart(0, true_ns(0, 400))
    for sample in range(0, 104 * RATE_HZ, BLOCK):
        step_ns = 300 * NS_PER_MS if sample > 100 * RATE_HZ else 0
        jitter_ns = round(random.uniform(-20, 20) * NS_PER_MS)
        times.observe(sample, true_ns(sample, 400) + step_ns + jitter_ns, StampGrade.B)
    assert times.ppm == pytest.approx(400, abs=60)
    sample = 104 * RATE_HZ
    assert abs(times.time_of(sample) - true_ns(sample, 400) - 300 * NS_PER_MS) < 5 * NS_PER_MS


@pytest.mark.parametrize("step_ms", [-200, -30, 10, 30, 400])
def test_a_step_that_stays_is_followed_within_two_seconds_and_reported_once(step_ms: int) -> None:
    times = fitted(20)
    steps = []
    for sample in range(20 * RATE_HZ, 22 * RATE_HZ, BLOCK):
        steps.append(times.observe(sample, true_ns(sample, 0) + step_ms * NS_PER_MS, StampGrade.B))
    sample = 22 * RATE_HZ
    assert abs(times.time_of(sample) - true_ns(sample, 0) - step_ms * NS_PER_MS) < NS_PER_MS
    assert [round(step / NS_PER_MS) for step in steps if step] == [step_ms]


def test_blocks_of_a_second_are_enough() -> None:
    times = FittedTimes(RATE_HZ)
    times.restart(0, true_ns(0, 120))
    random = np.random.default_rng(5)
    for second in range(100):
        sample = second * RATE_HZ
        times.observe(sample, true_ns(sample, 120) + round(random.normal(0, 2 * NS_PER_MS)), StampGrade.B)
    assert times.ppm == pytest.approx(120, abs=40)
    sample = 100 * RATE_HZ
    assert abs(times.time_of(sample) - true_ns(sample, 120)) < 2 * NS_PER_MS
