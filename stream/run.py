"""One run of cavs-stream: opens what the settings name, runs the live loop, closes everything, writes the report."""

import gc
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from cavs.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cavs.runtime.errors import CavsError, ConfigError
from cavs.stream.assembly import assemble, open_slot, open_sources
from cavs.stream.beside import prepare, start_beside
from cavs.stream.counters import Counters
from cavs.stream.metrics import MetricsServer
from cavs.stream.pipeline import LiveLoop, Parts
from cavs.stream.publisher import Publisher
from cavs.stream.settings import StreamSettings
from cavs.stream.source import Backoff, CaptureThread
from cavs.stream.supervise import LearnerCommand, learner_command

STATUS_NS = 2 * NS_PER_S
SWITCH_S = 0.0005
"""How long one thread may hold Python while another waits; the 5 ms of Python's own default are a third of a window."""
WATCHER_LOOK_MS = 100
"""A signal is noticed within this time while nobody watches yet."""
SIGNAL_EXIT = 128


class _Stop:
    """The first signal ends the run cleanly, the second at once."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.reason = ""

    def install(self) -> None:
        """Only in the main thread, where Python delivers signals."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.wanted.is_set():
            os._exit(SIGNAL_EXIT + number)
        self.reason = f"stopped by {signal.Signals(number).name}"
        self.wanted.set()


def run(
    settings: StreamSettings, *, quiet: bool = False, clock: Clock | None = None, learner: LearnerCommand = learner_command
) -> int:
    """Runs until the sources end, a limit is reached or a signal comes. Raises CavsError for what the world does wrong.

    learner: what --adapt starts.
    """
    clock = clock or MonotonicClock()
    stop = _Stop()
    stop.install()
    sys.setswitchinterval(SWITCH_S)
    _check_report(settings.report)
    for line in prepare(settings):
        _say(False, f"cavs-stream: {line}")
    with ExitStack() as closing:
        slot, why = open_slot(settings, clock, closing)
        _say(quiet, f"cavs-stream: engine {why}")
        counters = Counters()
        sources = open_sources(settings, slot.engine.bundle, clock, counters)
        parts = assemble(settings, slot, sources, clock=clock, counters=counters, closing=closing)
        if settings.metrics_port is not None:
            closing.callback(MetricsServer(settings.metrics_host, settings.metrics_port, parts.health.snapshot).close)
        loop = LiveLoop(parts, windows=settings.windows)
        loop.start()
        for line in start_beside(settings, parts, closing, learner):
            _say(quiet, f"cavs-stream: {line}")
        if settings.wait_for_watcher_s is not None:
            _await_watcher(parts.publisher, settings.wait_for_watcher_s, stop)
        reconnect = Backoff() if settings.comes_back else None
        gc.freeze()  # what is loaded stays; walking through it again and again would cost a window now and then
        threads = [CaptureThread(source, parts.inbox, clock, reconnect) for source in sources]
        for thread in threads:
            closing.callback(thread.stop)
            thread.start()
        closing.callback(parts.inbox.close)  # runs first: wakes producers that wait for room
        _say(quiet, f"cavs-stream: {', '.join(source.name for source in sources)} -> {parts.publisher.address}")
        ended = "failed"
        try:
            ended = _until_end(loop, parts, stop, settings, quiet)
            loop.settle()
        except CavsError as error:
            ended = f"failed: {error}"
            raise
        finally:
            loop.finish(ended)
            _write_report(settings, parts, ended)
    _say(quiet, f"cavs-stream: {ended}; {parts.health.windows_published} windows published")
    return 0


def _until_end(loop: LiveLoop, parts: Parts, stop: _Stop, settings: StreamSettings, quiet: bool) -> str:
    clock = parts.clock
    end_ns = None if settings.seconds is None else clock.now_ns() + round(settings.seconds * NS_PER_S)
    status_ns = clock.now_ns() + STATUS_NS
    while loop.step():
        if stop.wanted.is_set():
            return stop.reason
        now_ns = clock.now_ns()
        if end_ns is not None and now_ns >= end_ns:
            return f"{settings.seconds:g} seconds are over"
        if now_ns >= status_ns:
            status_ns = now_ns + STATUS_NS
            _say(quiet, _status(parts))
    return "end of the source" if parts.inbox.ended else f"{settings.windows} windows published"


def _status(parts: Parts) -> str:
    seen = parts.health.snapshot()
    gauges, drops = (
        seen["gauges"],
        {k: n for k, n in seen["counters"].items() if n and k not in ("windows_formed", "windows_published")},
    )
    text = ", ".join(f"{cause} {count}" for cause, count in drops.items()) or "nothing dropped"
    return (
        f"{gauges['fps']:6.1f} fps  p99 {gauges['latency_p99_ms']:.1f} ms  objects {gauges['objects']}  "
        f"sound {gauges['drift_ppm']:+.0f} ppm  {gauges['rss_mib']:.0f} MiB  {text}"
    )


def _await_watcher(publisher: Publisher, seconds: float, stop: _Stop) -> None:
    """Until somebody subscribes to the masks; so a watcher started beside the stream misses nothing."""
    for _ in range(max(1, round(seconds * 1000 / WATCHER_LOOK_MS))):
        if stop.wanted.is_set() or publisher.wait_for_watcher(WATCHER_LOOK_MS):
            return


def _check_report(path: Path | None) -> None:
    """An hour of running must not end with a report that cannot be written."""
    if path is None:
        return
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise ConfigError(f"--report {path}: {error.strerror}; give a file that can be written") from None


def _write_report(settings: StreamSettings, parts: Parts, ended: str) -> None:
    if settings.report is None:
        return
    report: dict[str, Any] = {
        "software": f"cavs-stream {version('cavs-stream')}",
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **parts.health.report(parts.aligner.drift(), ended),
        "settings": json.loads(settings.to_json()),
    }
    staged = settings.report.with_name(f".{settings.report.name}.writing")
    try:
        staged.write_text(json.dumps(report, indent=2) + "\n")
        staged.replace(settings.report)
    except OSError as error:
        print(f"cavs-stream: --report {settings.report}: {error.strerror}; it was not written", file=sys.stderr)


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)
