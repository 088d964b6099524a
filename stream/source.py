"""What a source is, and the thread that drains one into the inbox, again after it was lost."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cavs.runtime.clock import NS_PER_MS, Clock
from cavs.runtime.errors import SourceError
from cavs.stream.inbox import Inbox, Item
from cavs.stream.items import SourceEvent

CAPTURE_THREAD = "capture "
"""What the names of capture threads begin with."""
STOP_S = 1.0
"""How long stop() waits for a source that is inside a blocking read."""
NAP_NS = 50 * NS_PER_MS
"""Longest sleep between two looks at the stop flag."""


class EndOfSource(Exception):  # not an error: the normal end of a file
    """Raised by `step` after the last item; no item comes after it."""


class Source(Protocol):
    """A camera, a microphone, a file, a network stream. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """Kind and place, for people: `camera:/dev/video0`, `microphone:vmic`, `file:talk.mp4`."""

    @property
    def live(self) -> bool:
        """True: it goes on while nobody listens, so queues drop the oldest. False: it waits for its reader."""

    def open(self) -> None:
        """Opens or re-opens it. Raises a SourceError that says what was seen and what to do."""

    def step(self) -> Sequence[Item]:
        """What arrived since the last call, in order; blocks for about 100 ms at most, empty if nothing came.

        A network read may block for its read time-out. Raises EndOfSource after the last item, SourceError when lost.
        """

    def close(self) -> None:
        """Frees the device; idempotent."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts to get a lost source back: doubling from the first to the longest."""

    first_ms: int = 500
    longest_ms: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.first_ms <= self.longest_ms:
            raise ValueError(f"0 < first_ms <= longest_ms expected, seen {self.first_ms} and {self.longest_ms}")

    def pause_ns(self, attempt: int) -> int:
        """The pause before attempt 0, 1, 2, ..."""
        return min(self.first_ms << min(attempt, 30), self.longest_ms) * NS_PER_MS


class Capture:
    """Drains a source into an inbox. `step` is one round of the loop; tests call it by hand.

    With `reconnect`, a source that is lost is closed and opened again until it is back; its loss and return are events. What
    cannot be opened the first time is an error in any case: a wrong name never comes back.
    """

    def __init__(self, source: Source, inbox: Inbox, clock: Clock, reconnect: Backoff | None = None) -> None:
        self._source = source
        self._inbox = inbox
        self._clock = clock
        self._reconnect = reconnect
        self._opened = False
        self._lost = False
        self._attempt = 0
        self._retry_ns = 0

    def step(self) -> bool:
        """Opens, reads or waits, once. False when the source has ended or failed for good, or the inbox is closed."""
        try:
            if not self._opened:
                if self._wait_for_retry():
                    return True
                self._source.open()
                self._opened = True
                return True
            items = self._source.step()
        except EndOfSource:
            self._inbox.end(self._source.name)
            return False
        except SourceError as error:
            return self._on_lost(error)
        except Exception as error:  # noqa: BLE001  a dead thread takes the program with it, whatever killed it
            self._inbox.fail(error)
            return False
        return self._hand_over(items)

    def close(self) -> None:
        """Closes the source."""
        self._opened = False
        self._source.close()

    def _wait_for_retry(self) -> bool:
        left_ns = self._retry_ns - self._clock.now_ns() if self._lost else 0
        if left_ns > 0:
            self._clock.sleep_ns(min(left_ns, NAP_NS))
        return left_ns > 0

    def _on_lost(self, error: SourceError) -> bool:
        never_open = not self._opened and not self._lost
        if self._reconnect is None or never_open:
            self._inbox.fail(error)
            return False
        self.close()
        now_ns = self._clock.now_ns()
        if not self._lost:
            self._inbox.put(SourceEvent("lost", self._source.name, str(error), now_ns))
        self._lost = True
        self._retry_ns = now_ns + self._reconnect.pause_ns(self._attempt)
        self._attempt += 1
        return True

    def _hand_over(self, items: Sequence[Item]) -> bool:
        for item in items:
            if self._lost and not isinstance(item, SourceEvent):  # opening it proves nothing, an item does
                text = f"{self._source.name}: back after {self._attempt} attempt{'s' if self._attempt > 1 else ''}"
                self._inbox.put(SourceEvent("recovered", self._source.name, text, self._clock.now_ns()))
                self._lost = False
                self._attempt = 0
            if not self._inbox.put(item):
                return False
        return True


class CaptureThread:
    """The thread around `Capture.step`."""

    def __init__(self, source: Source, inbox: Inbox, clock: Clock, reconnect: Backoff | None = None) -> None:
        self._capture = Capture(source, inbox, clock, reconnect)
        self._inbox = inbox
        self._stopping = threading.Event()
        # A daemon: a read that hangs in a driver must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=CAPTURE_THREAD + source.name, daemon=True)

    def start(self) -> None:
        """Opens the source and begins to read, both in the thread."""
        self._thread.start()

    def stop(self) -> bool:
        """Asks the thread to end and waits for at most a second. False if it still hangs in a read; it dies with that."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and self._capture.step():
                pass
            self._capture.close()
        except Exception as error:  # noqa: BLE001  closing or handing over failed: the main loop must know
            self._inbox.fail(error)
