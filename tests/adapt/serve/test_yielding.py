"""When the learner stands still, and when it goes on."""

import os
import subprocess
import sys

from cavs.adapt.serve.yielding import Yielding, YieldLimits, threads_for_learning
from cavs.runtime.clock import ManualClock

FREE = YieldLimits(on_battery=True, hot_c=1000)


def hear(yielding: Yielding, p99_ms: float, seconds: int, working: bool = True) -> str:
    for _ in range(seconds):
        yielding.hear(p99_ms, working)
    return yielding.reason()


def test_the_budget_is_taken_from_the_stream_while_the_learner_rests() -> None:
    yielding = Yielding(ManualClock(), FREE)
    assert yielding.budget_ms() is None
    assert hear(yielding, 500.0, 10) == ""  # nothing to compare with yet
    hear(yielding, 20.0, 10, working=False)
    assert yielding.budget_ms() == 20.0 * 1.3 + 3.0


def test_two_slow_seconds_stop_it_and_three_good_ones_let_it_go_on() -> None:
    yielding = Yielding(ManualClock(), YieldLimits(p99_ms=30.0, on_battery=True, hot_c=1000))
    assert hear(yielding, 31.0, 1) == ""
    assert hear(yielding, 29.0, 1) == ""
    assert hear(yielding, 31.0, 2) == "the stream's p99 is 31 ms, its budget 30 ms"
    assert hear(yielding, 29.0, 2, working=False) != ""
    assert hear(yielding, 29.0, 1, working=False) == ""


def test_a_stream_that_is_slow_by_itself_does_not_stop_it_for_ever() -> None:
    yielding = Yielding(ManualClock(), FREE)
    hear(yielding, 20.0, 10, working=False)
    assert hear(yielding, 60.0, 3) != ""
    assert hear(yielding, 60.0, 70, working=False) == ""


def test_a_stream_that_is_gone_holds_nothing_up() -> None:
    yielding = Yielding(ManualClock(), YieldLimits(p99_ms=30.0, on_battery=True, hot_c=1000))
    assert hear(yielding, 31.0, 5) != ""
    yielding.lost()
    assert yielding.reason() == ""


def test_the_process_steps_aside_for_good() -> None:
    code = (
        "import os; from cavs.adapt.serve.yielding import step_aside; how = step_aside();"
        "print(how, os.sched_getscheduler(0) == os.SCHED_IDLE or os.nice(0) == 19)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip().endswith("True")


def test_it_takes_two_threads_at_most() -> None:
    assert 1 <= threads_for_learning() <= min(2, len(os.sched_getaffinity(0)))
