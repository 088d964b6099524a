"""The clocks."""

import pytest

from cavs.runtime.clock import NS_PER_MS, ManualClock, MonotonicClock


def test_the_machines_clock_never_goes_back_and_sleeps_at_least_as_long_as_asked() -> None:
    clock = MonotonicClock()
    start_ns = clock.now_ns()
    clock.sleep_ns(-5)
    clock.sleep_ns(NS_PER_MS)
    assert clock.now_ns() - start_ns >= NS_PER_MS


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(7)
    clock.sleep_ns(0)
    clock.sleep_ns(-3)
    assert clock.now_ns() == 7
    clock.sleep_ns(3)
    clock.advance_ns(2)
    assert clock.now_ns() == 12
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance_ns(-1)
