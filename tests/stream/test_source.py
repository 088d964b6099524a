"""Capture: a lost source comes back, a file's error and end are handed over, nothing dies in silence."""

from collections.abc import Sequence

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.errors import CameraLost, SourceError
from cavs.stream.inbox import Inbox, Item
from cavs.stream.items import SourceEvent, VideoFrame
from cavs.stream.source import Backoff, Capture, CaptureThread, EndOfSource

FRAME = VideoFrame(np.zeros((2, 2, 3), np.uint8), 0, 0)


class ScriptedSource:
    """Does at each open and step what the script says: gives an item, or raises an error."""

    name = "camera:script"
    live = True

    def __init__(self, *script: Item | Exception | str) -> None:
        self.script = list(script)
        self.opened = 0
        self.closed = 0

    def open(self) -> None:
        if self.script and self.script[0] == "unplugged":
            self.script.pop(0)
            raise CameraLost("camera:script: no such device")
        self.opened += 1

    def step(self) -> Sequence[Item]:
        if not self.script:
            raise EndOfSource
        act = self.script.pop(0)
        if isinstance(act, Exception):
            raise act
        assert not isinstance(act, str)
        return [act]

    def close(self) -> None:
        self.closed += 1


def inbox() -> Inbox:
    return Inbox("drop_oldest", frame_capacity=100, block_capacity_s=10)


def run(capture: Capture) -> None:
    for _ in range(10_000):
        if not capture.step():
            return
    pytest.fail("it never ended")


def events(taken: list[Item]) -> list[str]:
    return [item.kind for item in taken if isinstance(item, SourceEvent)]


def test_items_arrive_in_order_and_the_end_is_told() -> None:
    box = inbox()
    run(Capture(ScriptedSource(FRAME, FRAME), box, ManualClock()))
    assert box.take(0) == [FRAME, FRAME]
    assert box.ended


def test_without_reconnection_a_lost_source_is_the_main_loops_error() -> None:
    box = inbox()
    run(Capture(ScriptedSource(FRAME, CameraLost("gone")), box, ManualClock()))
    assert box.take(0) == [FRAME]
    with pytest.raises(CameraLost, match="gone"):
        box.take(0)


def test_any_other_error_reaches_the_main_loop_even_with_reconnection() -> None:
    box = inbox()
    run(Capture(ScriptedSource(ZeroDivisionError("a bug")), box, ManualClock(), Backoff()))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        box.take(0)


def test_what_cannot_be_opened_at_first_is_an_error_even_with_reconnection() -> None:
    box = inbox()
    run(Capture(ScriptedSource("unplugged"), box, ManualClock(), Backoff()))
    with pytest.raises(SourceError, match="no such device"):
        box.take(0)


def test_a_lost_source_is_opened_again_with_growing_pauses_and_says_so() -> None:
    clock, box = ManualClock(), inbox()
    source = ScriptedSource(FRAME, CameraLost("gone"), "unplugged", "unplugged", FRAME)
    run(Capture(source, box, clock, Backoff(first_ms=500, longest_ms=10_000)))
    taken = box.take(0)
    assert events(taken) == ["lost", "recovered"]
    assert isinstance(taken[1], SourceEvent)
    assert taken[1].text == "gone"
    assert isinstance(taken[2], SourceEvent)
    assert "back after 3 attempts" in taken[2].text
    assert clock.now_ns() == 500 * NS_PER_MS + 1000 * NS_PER_MS + 2000 * NS_PER_MS
    assert source.opened == 2


def test_a_source_that_opens_and_fails_again_is_lost_once_not_twice() -> None:
    clock, box = ManualClock(), inbox()
    run(Capture(ScriptedSource(FRAME, CameraLost("a"), CameraLost("b"), CameraLost("c"), FRAME), box, clock, Backoff()))
    assert events(box.take(0)) == ["lost", "recovered"]
    assert clock.now_ns() == 3500 * NS_PER_MS


def test_the_pauses_start_anew_after_a_recovery() -> None:
    clock, box = ManualClock(), inbox()
    run(Capture(ScriptedSource(FRAME, CameraLost("a"), FRAME, CameraLost("b"), FRAME), box, clock, Backoff()))
    assert clock.now_ns() == NS_PER_S


def test_it_stops_when_the_inbox_is_closed() -> None:
    box = inbox()
    box.close()
    source = ScriptedSource(*[FRAME] * 100)
    run(Capture(source, box, ManualClock()))
    assert len(source.script) == 99


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [Backoff(500, 10_000).pause_ns(attempt) // NS_PER_MS for attempt in (0, 1, 2, 3, 4, 5, 1000)]
    assert pauses == [500, 1000, 2000, 4000, 8000, 10_000, 10_000]


def test_a_pause_that_cannot_be_is_misuse() -> None:
    with pytest.raises(ValueError, match="first_ms"):
        Backoff(0, 10)


def test_the_thread_drains_a_source_to_its_end_and_closes_it() -> None:
    box = inbox()
    source = ScriptedSource(FRAME, FRAME)
    thread = CaptureThread(source, box, ManualClock())
    thread.start()
    taken: list[Item] = []
    while not box.ended:
        taken += box.take(NS_PER_S)
    assert thread.stop()
    assert len(taken) == 2
    assert source.closed == 1


def test_stopping_a_thread_that_never_started_is_fine() -> None:
    assert CaptureThread(ScriptedSource(), inbox(), ManualClock()).stop()
