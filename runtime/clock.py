"""The one clock. Every time in the product is an int of nanoseconds on it; nobody else reads the time."""

import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Monotonic time in int nanoseconds. Thread-safe."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""

    def sleep_ns(self, duration_ns: int) -> None:
        """Returns after at least `duration_ns` have passed on this clock; at once if it is not positive."""


class MonotonicClock:
    """The machine's CLOCK_MONOTONIC, the clock V4L2 and ALSA stamp with."""

    def now_ns(self) -> int:
        return time.monotonic_ns()  # noqa: TID251  the one place that reads it

    def sleep_ns(self, duration_ns: int) -> None:
        if duration_ns > 0:
            time.sleep(duration_ns / NS_PER_S)  # noqa: TID251  the one place that sleeps


class ManualClock:
    """A clock that moves only when told to, for simulation and tests. Sleeping moves it."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        with self._lock:
            return self._now_ns

    def sleep_ns(self, duration_ns: int) -> None:
        self.advance_ns(max(duration_ns, 0))

    def advance_ns(self, duration_ns: int) -> None:
        if duration_ns < 0:
            raise ValueError(f"a monotonic clock cannot go back: duration_ns={duration_ns}")
        with self._lock:
            self._now_ns += duration_ns
