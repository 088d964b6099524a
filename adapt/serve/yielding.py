"""The stream comes first: what the learner's process gives up at its start, and when it stands still."""

import os
from collections import deque
from statistics import median

import psutil
from pydantic import BaseModel, ConfigDict, Field

from cavs.runtime.clock import NS_PER_S, Clock

THREADS_MAX = 2
"""Threads of torch: under SCHED_IDLE two of them did not lengthen the stream's p99 on two cores."""
LOOK_NS = 5 * NS_PER_S
"""Between two looks at battery and temperature."""
IDLE_SECONDS = 60
"""Seconds of the stream without the learner's work that its own p99 is taken from."""
RESTED_SECONDS = 2
"""A second in which the learner still worked at its beginning is not one without its work."""
SECONDS_OVER, SECONDS_UNDER = 2, 3
"""So many hellos in a row over the budget stop the learner, and so many under it let it go on."""
HOT_C = 85.0
"""Where a sensor does not say what is hot for it."""
COOLER_C = 5.0
"""It goes on when it is so much cooler."""
KERNEL_KILLS_FIRST = 800
"""oom_score_adj of the learner: when memory runs out, the stream must not be the one to die."""


class YieldLimits(BaseModel):
    """When the learner stands still. p99_ms: the stream's budget; by default p99_ratio x its p99 without the learner's work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    p99_ms: float | None = Field(default=None, gt=0)
    p99_ratio: float = Field(default=1.3, gt=1)
    p99_slack_ms: float = Field(default=3.0, ge=0)
    """Added to the budget that was taken from the stream: a hello's p99 is the worst of some thirty windows."""
    on_battery: bool = False
    """Learn on battery too."""
    hot_c: float = Field(default=HOT_C, gt=0)


def step_aside() -> str:
    """Gives this process the lowest priority that the system has; how, in words."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(KERNEL_KILLS_FIRST))
    except OSError:  # not Linux, or not allowed: the rest matters more
        pass
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        os.nice(max(0, 19 - os.nice(0)))
        return "nice 19 (SCHED_IDLE is not to be had here)"
    return "SCHED_IDLE"


def threads_for_learning() -> int:
    """As many as may be used, at most two."""
    return min(len(os.sched_getaffinity(0)), THREADS_MAX)


class Yielding:
    """Says why the learner must stand still. One thread."""

    def __init__(self, clock: Clock, limits: YieldLimits | None = None) -> None:
        self.limits = limits or YieldLimits()
        self._clock = clock
        self._idle_p99: deque[float] = deque(maxlen=IDLE_SECONDS)
        self._over = self._under = self._rested = 0
        self._slow = ""
        self._machine = ""
        self._look_ns = clock.now_ns() - LOOK_NS

    def budget_ms(self) -> float | None:
        """p99 that the stream may have; none before it is known."""
        if self.limits.p99_ms is not None:
            return self.limits.p99_ms
        if not self._idle_p99:
            return None
        return median(self._idle_p99) * self.limits.p99_ratio + self.limits.p99_slack_ms

    def hear(self, p99_ms: float | None, working: bool) -> None:
        """A hello's p99. working: the learner computed during that second."""
        if p99_ms is None or p99_ms <= 0:
            return
        self._rested = 0 if working else self._rested + 1
        if self._rested >= RESTED_SECONDS:  # slow without our work too: then that is how the stream is
            self._idle_p99.append(p99_ms)
        budget = self.budget_ms()
        if budget is None:
            return
        self._over, self._under = (self._over + 1, 0) if p99_ms > budget else (0, self._under + 1)
        if self._over >= SECONDS_OVER:
            self._slow = f"the stream's p99 is {p99_ms:.0f} ms, its budget {budget:.0f} ms"
        elif self._under >= SECONDS_UNDER:
            self._slow = ""

    def lost(self) -> None:
        """No hello any more: nothing is known of the stream, so nothing of it holds the learner up."""
        self._over = self._under = 0
        self._slow = ""

    def reason(self) -> str:
        """Why it must stand still, one line; empty if it may work."""
        now_ns = self._clock.now_ns()
        if now_ns - self._look_ns >= LOOK_NS:
            self._look_ns = now_ns
            self._machine = self._power() or self._heat()
        return self._slow or self._machine

    def _power(self) -> str:
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        if battery is None or battery.power_plugged is not False or self.limits.on_battery:
            return ""
        return f"on battery ({battery.percent:.0f} %)"

    def _heat(self) -> str:
        sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
        margin = COOLER_C if self._machine.startswith("hot") else 0.0
        for name, readings in sensors.items():
            for reading in readings:
                limit = min(self.limits.hot_c, reading.high or self.limits.hot_c) - margin
                if reading.current is not None and reading.current > limit:
                    return f"hot: {reading.label or name} is at {reading.current:.0f} C, {limit:.0f} C at most"
        return ""
