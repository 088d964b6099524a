"""Lines between a container's time and ours."""

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.pacing import MediaLine, SenderLine, Straightener

HOUR_NS = 3600 * NS_PER_S


def test_a_file_keeps_its_distance() -> None:
    line = MediaLine(origin_ns=100, base_ns=40)
    line.observe(41, 10**12)
    assert line.t_ns(50) == 110


def test_a_jump_is_taken_out_for_picture_and_sound_alike() -> None:
    straightener = Straightener()
    times = [(k * 40 * NS_PER_MS, True) for k in range(5)] + [(k * 20 * NS_PER_MS, False) for k in range(10)]
    assert {straightener.shift_ns(t, picture) for t, picture in times} == {0}
    jump_ns = 26 * HOUR_NS
    picture_shift = straightener.shift_ns(jump_ns + 200 * NS_PER_MS, True)
    sound_shift = straightener.shift_ns(jump_ns + 180 * NS_PER_MS, False)
    assert picture_shift == sound_shift
    assert abs(picture_shift + jump_ns) < 50 * NS_PER_MS
    assert straightener.jumps == 1
    assert straightener.shift_ns(jump_ns + 240 * NS_PER_MS, True) == picture_shift


def test_a_counter_that_wraps_is_followed() -> None:
    straightener = Straightener()
    straightener.shift_ns(26 * HOUR_NS, True)
    assert straightener.shift_ns(0, True) == 26 * HOUR_NS


def test_a_pause_is_no_jump() -> None:
    straightener = Straightener()
    assert [straightener.shift_ns(t * NS_PER_S, True) for t in (0, 1, 9, 10)] == [0] * 4


def late_by(ppm: float, seconds: int, jitter_ms: float, base_ms: float = 50) -> tuple[list[int], list[int], list[int]]:
    """(sender's times, arrivals, true times on our clock) of 25 packets a second over a network with jitter."""
    noise = np.random.default_rng(5).exponential(jitter_ms, seconds * 25)
    sent_ns = [k * 40 * NS_PER_MS for k in range(seconds * 25)]
    true_ns = [round(t * (1 + ppm * 1e-6)) for t in sent_ns]
    arrived = [t + round((base_ms + wait) * NS_PER_MS) for t, wait in zip(true_ns, noise, strict=True)]
    return sent_ns, arrived, true_ns


@pytest.mark.parametrize("ppm", [-200.0, 0.0, 200.0])
def test_a_sender_is_followed_through_jitter_and_drift(ppm: float) -> None:
    line = SenderLine()
    sent, arrived, true = late_by(ppm, 600, jitter_ms=20)
    errors_ms = []
    for media_ns, now_ns, true_ns in zip(sent, arrived, true, strict=True):
        line.observe(media_ns, now_ns)
        errors_ms.append((line.t_ns(media_ns) - true_ns) / NS_PER_MS - 50)
    settled = np.array(errors_ms[25 * 10 :])
    assert np.abs(settled).max() < 20  # the constant 50 ms of the way is unknowable
    assert np.abs(np.diff(settled)).max() < 15


def test_a_burst_after_a_stall_keeps_its_times() -> None:
    line = SenderLine()
    for k in range(100):
        line.observe(k * 40 * NS_PER_MS, k * 40 * NS_PER_MS)
    line.observe(100 * 40 * NS_PER_MS, 110 * 40 * NS_PER_MS)
    assert line.t_ns(101 * 40 * NS_PER_MS) == pytest.approx(101 * 40 * NS_PER_MS, abs=NS_PER_MS)


def test_a_clock_that_was_set_back_is_found_again_where_that_is_wanted() -> None:
    line = SenderLine(reanchor_ns=NS_PER_S)
    line.observe(HOUR_NS, 0)
    line.observe(NS_PER_S, NS_PER_S)
    assert line.t_ns(2 * NS_PER_S) == 2 * NS_PER_S


def test_asking_before_anything_arrived_is_misuse() -> None:
    with pytest.raises(ValueError, match="before"):
        SenderLine().t_ns(0)
