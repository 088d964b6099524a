"""How the stream is: rates, latencies, drift, memory. Goes into the hello once a second, the metrics and the report."""

import resource
from collections import deque
from pathlib import Path
from typing import Any

import psutil

from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.slot import Slot
from cavs.stream.counters import Counters
from cavs.stream.latency import StageLatencies, StageTimes
from cavs.stream.sound_line import DriftReport

EVENTS_KEPT = 200
"""Events in the report at most, the newest: a cable that shakes for a day must not fill the memory."""
KIB_PER_MIB = 1024
PROCESS_STATUS = Path("/proc/self/status")

FlatHealth = dict[str, float | int | str | None]


class Health:
    """Collects what the live loop tells it. `snapshot` may be called by any thread, the rest by the loop's."""

    def __init__(self, clock: Clock, counters: Counters, slot: Slot) -> None:
        self._clock = clock
        self._counters = counters
        self._slot = slot
        self._process = psutil.Process()
        self._latencies = StageLatencies()
        self._started_ns = self._second_ns = clock.now_ns()
        self._windows = 0
        self._windows_before = 0
        self._objects = 0
        self._skew_ns = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._first_rss_mib: float | None = None
        self._flat: FlatHealth = {}
        self._snapshot: dict[str, Any] = {"counters": {}, "latency_ms": {}, "gauges": {}, "model": self._model()}

    @property
    def windows_published(self) -> int:
        """Since the start."""
        return self._windows

    def note_window(self, times: StageTimes, objects: int, skew_ns: int) -> None:
        """One window was published."""
        self._latencies.record(times)
        self._windows += 1
        self._objects = objects
        self._skew_ns = skew_ns

    def note_event(self, kind: str, subject: str, text: str, t_ns: int) -> None:
        """Something to be told at the end."""
        self._events.append(
            {"t_s": round((t_ns - self._started_ns) / NS_PER_S, 3), "kind": kind, "subject": subject, "text": text}
        )

    def second(self, drift: DriftReport) -> FlatHealth:
        """Closes the second that passed; flat numbers for the hello. Also renews what `snapshot` gives."""
        now_ns = self._clock.now_ns()
        passed_s = max(now_ns - self._second_ns, 1) / NS_PER_S
        fps = (self._windows - self._windows_before) / passed_s
        self._second_ns, self._windows_before = now_ns, self._windows
        recent = self._latencies.take_recent()
        rss_mib = round(self._process.memory_info().rss / 2**20, 1)
        if self._first_rss_mib is None:
            self._first_rss_mib = rss_mib
        self._flat = {
            "fps": round(fps, 2),
            "latency_p50_ms": recent["end_to_end"]["p50_ms"],
            "latency_p99_ms": recent["end_to_end"]["p99_ms"],
            "infer_p50_ms": recent["infer"]["p50_ms"],
            "windows": self._windows,
            "objects": self._objects,
            "drift_ppm": round(drift.ppm, 2),
            "drift_residual_ms": round(drift.residual_ns / 1e6, 3),
            "sound_locked": int(drift.locked),
            "skew_ms": round(self._skew_ns / 1e6, 3),
            "rss_mib": rss_mib,
            "uptime_s": round((now_ns - self._started_ns) / NS_PER_S, 1),
        }
        gauges = {name: value for name, value in self._flat.items() if name != "windows"}
        self._snapshot = {  # one assignment: a scrape sees the old or the new, never half
            "counters": {**self._counters.to_dict(), "windows_published": self._windows},
            "latency_ms": {stage: _quantiles(numbers) for stage, numbers in self._latencies.to_dict().items()},
            "gauges": gauges,
            "model": self._model(),
        }
        return self._flat

    def snapshot(self) -> dict[str, Any]:
        """What the last second left; for the metrics."""
        return self._snapshot

    def report(self, drift: DriftReport, ended: str) -> dict[str, Any]:
        """The whole run, for --report."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = (self._clock.now_ns() - self._started_ns) / NS_PER_S
        return {
            "ended": ended,
            "seconds": round(seconds, 3),
            "windows_published": self._windows,
            "fps": round(self._windows / seconds, 3) if seconds > 0 else 0.0,
            "counters": self._counters.to_dict(),
            "latency_ms": self._latencies.to_dict(),
            "sound": drift.to_dict(),
            "memory_mib": {
                "rss_after_start": self._first_rss_mib,
                "rss_at_end": round(self._process.memory_info().rss / 2**20, 1),
                "rss_peak": _peak_rss_mib(),
            },
            "cpu_s": {"user": round(usage.ru_utime, 2), "system": round(usage.ru_stime, 2)},
            "model": self._model(),
            "exchanges": self._slot.exchanges,
            "events": list(self._events),
        }

    def _model(self) -> dict[str, Any]:
        model = self._slot.model
        return {
            "bundle": model.bundle_id,
            "adapter": model.adapter_id,
            "version": model.version,
            "engine": self._slot.engine.name,
        }


def _quantiles(numbers: dict[str, float | int]) -> dict[str, float | int]:
    return {name.removesuffix("_ms"): numbers[name] for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")}


def _peak_rss_mib() -> float | None:
    """The most this process held. Not `ru_maxrss`: that starts with what the process was before exec."""
    if not PROCESS_STATUS.exists():  # not Linux
        return None
    fields = dict(line.split(":", 1) for line in PROCESS_STATUS.read_text().splitlines())
    return round(int(fields["VmHWM"].split()[0]) / KIB_PER_MIB, 1)
