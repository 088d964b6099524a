#!/usr/bin/env python3
"""Lessons on a running stream, as JSON: seconds from `teach` to live, the gate's numbers, what the stream felt.

python scripts/learner_live.py --source CLIP.mp4 --loop 20 --lesson cat 83 104 56 120 9.5 --out docs/measured/learner-live.json

Starts `cavs-stream --realtime --adapt` on a store of its own, lets it run alone, then asks what `cavs-adapt teach NAME --yes`
asks, and follows the lesson to its end and a while longer; so with each lesson. Latencies are those that every published window
carries. The source repeats a clip, and each thing is taught at the moment of it at which its box is right.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cavs.adapt.serve.status import LearnerStatus, read_status
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.runtime.control import ControlClient, control_address
from cavs.runtime.lesson import Lessons
from cavs.runtime.store import ModelStore
from cavs.stream.masks import Masks
from cavs.stream.subscriber import Subscriber

CLOCK = MonotonicClock()
STARTS_S, LESSON_S, STREAM_ENDS_S = 120, 3600, 30
AROUND_SWAP = 15
"""Windows before and after the exchange that its window is compared with."""


@dataclass
class Seen:
    """Windows as a subscriber received them: when, how long they took, and with which version."""

    at_ns: list[int] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    counters: list[dict[str, int]] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    frame_ns: list[int] = field(default_factory=list)
    first: int = 0
    """Windows that were published before the subscriber was there."""

    def note(self, masks: Masks) -> None:
        self.first = self.first if self.at_ns else masks.seq
        self.at_ns.append(CLOCK.now_ns())
        self.frame_ns.append(masks.t_ns)
        self.took_ms.append(masks.latency_ms["end_to_end"])
        self.versions.append(masks.model.version or 0)
        self.counters.append(dict(masks.counters))
        self.names.append(tuple(one.cls for one in masks.objects))

    def span(self, begin_ns: int, end_ns: int) -> dict[str, Any]:
        """Rate, latency and losses between two moments."""
        inside = [n for n, at in enumerate(self.at_ns) if begin_ns <= at < end_ns]
        took = np.array([self.took_ms[n] for n in inside])
        first, last = self.counters[inside[0]], self.counters[inside[-1]]
        return {
            "seconds": round((end_ns - begin_ns) / NS_PER_S, 1),
            "windows": len(inside),
            "fps": round(len(inside) * NS_PER_S / (end_ns - begin_ns), 2),
            "p50_ms": round(float(np.percentile(took, 50)), 2),
            "p99_ms": round(float(np.percentile(took, 99)), 2),
            "max_ms": round(float(took.max()), 2),
            "counted": {name: last[name] - first.get(name, 0) for name in last if last[name] != first.get(name, 0)},
        }

    def moment_s(self, n: int, loop_s: float) -> float:
        """Where in the repeated clip a window lies."""
        apart_ns = float(np.median(np.diff(self.frame_ns))) if n else 0.0
        return float((self.frame_ns[n] - self.frame_ns[0] + self.first * apart_ns) / NS_PER_S % loop_s)

    def swap(self, version: int) -> dict[str, Any]:
        """The first window of a version beside those around it."""
        if version not in self.versions:
            return {}
        n = self.versions.index(version)
        around = [*self.took_ms[max(0, n - AROUND_SWAP) : n], *self.took_ms[n + 1 : n + 1 + AROUND_SWAP]]
        return {"first_window_ms": round(self.took_ms[n], 2), "windows_around_p50_ms": round(float(np.median(around)), 2)}


class Doings:
    """What the learner did, and for how long, as its status says."""

    def __init__(self, store: Path) -> None:
        self._store, self._last, self._since_ns = store, "", CLOCK.now_ns()
        self.phases: dict[str, float] = {}
        self.newest: LearnerStatus | None = None

    def look(self) -> None:
        """Adds the time since the last look to the phase it was spent in."""
        now_ns = CLOCK.now_ns()
        self.newest = read_status(self._store)
        doing = "none" if self.newest is None else f"{self.newest.doing}{', paused' if self.newest.paused else ''}"
        self.phases[doing] = round(self.phases.get(doing, 0.0) + (now_ns - self._since_ns) / NS_PER_S, 2)
        self._since_ns = now_ns


def follow(subscriber: Subscriber, seen: Seen, doings: Doings, until: Any) -> None:
    """Receives windows until something is true."""
    looked_ns = 0
    while not until():
        message = subscriber.receive(500)
        if isinstance(message, Masks):
            seen.note(message)
        if CLOCK.now_ns() - looked_ns > 250 * NS_PER_MS:
            looked_ns = CLOCK.now_ns()
            doings.look()


@dataclass(frozen=True)
class Taught:
    """A lesson as it is asked for. at_s: of the clip, when its box is right. kind: of a moment of the clip, where known."""

    name: str
    box: tuple[float, ...]
    at_s: float
    kind: Callable[[float], str] = lambda _: "all"


class Run:
    """A stream with a learner, and who watches it."""

    def __init__(self, args: argparse.Namespace, store: Path, subscriber: Subscriber) -> None:
        self.args, self.store, self.subscriber = args, store, subscriber
        self.seen, self.doings = Seen(), Doings(store)

    def wait(self, until: Callable[[], Any], most_s: float) -> None:
        begun_ns = CLOCK.now_ns()
        follow(self.subscriber, self.seen, self.doings, lambda: until() or CLOCK.now_ns() - begun_ns > most_s * NS_PER_S)

    def begin(self) -> None:
        """Waits for the first window, and for the learner."""
        self.wait(lambda: self.seen.at_ns, STARTS_S)
        if not self.seen.at_ns:
            raise SystemExit("no window within two minutes")
        self.wait(lambda: _ready(self.doings), STARTS_S)

    def lesson(self, taught: Taught) -> dict[str, Any]:
        """Alone, learning, afterwards."""
        args, seen, doings = self.args, self.seen, self.doings
        alone_ns = CLOCK.now_ns()
        self.wait(lambda: False, args.alone)
        self.wait(lambda: 0 <= seen.moment_s(len(seen.at_ns) - 1, args.loop) - taught.at_s < 0.1, 2 * args.loop)
        doings.phases.clear()
        taught_ns, used = CLOCK.now_ns(), _processor_s(doings)
        lessons, lesson = Lessons(self.store), teach(taught, args.seconds, self.store)
        self.wait(lambda: lessons.outcome(lesson) is not None, LESSON_S)
        done_ns, phases, spent = CLOCK.now_ns(), dict(doings.phases), _processor_s(doings) - used
        self.wait(lambda: False, args.after)
        outcome = lessons.outcome(lesson)
        return {
            "name": taught.name,
            "seconds_to_the_end": round((done_ns - taught_ns) / NS_PER_S, 1),
            "learner_processor_s": round(spent, 1),
            "phases_s": phases,
            "outcome": None if outcome is None else outcome.model_dump(),
            "alone": seen.span(alone_ns, taught_ns),
            "learning": seen.span(taught_ns, done_ns),
            "afterwards": seen.span(done_ns, CLOCK.now_ns()),
            "swap": seen.swap(outcome.version) if outcome is not None and outcome.version is not None else {},
            "windows_that_name_it": {
                "before": _share(seen, taught, args.loop, alone_ns, taught_ns),
                "after": _share(seen, taught, args.loop, done_ns, CLOCK.now_ns()),
            },
        }


def measure(args: argparse.Namespace, lessons: Sequence[Taught], home: Path) -> dict[str, Any]:
    """The whole run. Raises SystemExit with what went wrong."""
    store, address = home / "store", f"ipc://{home}/s.sock"
    tool = Path(sys.executable).parent
    command = [tool / "cavs-stream", "--source", args.source, "--realtime", "--adapt", "--store", store, "--bind", address]
    command += ["--threads", str(args.threads), "--report", home / "report.json", "--quiet"]
    stream = subprocess.Popen([str(word) for word in command], stderr=sys.stderr)
    try:
        with Subscriber(address, newest_only=False) as subscriber:
            run = Run(args, store, subscriber)
            run.begin()
            return {
                "machine": {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))},
                "note": args.note,
                "lessons": [run.lesson(one) for one in lessons],
                "bytes_on_disk": sum(path.stat().st_size for path in store.rglob("*") if path.is_file()),
                "versions": list(ModelStore(store).versions()),
                "refused": {line.version: line.quarantined for line in ModelStore(store).history() if line.quarantined},
            }
    finally:
        stream.send_signal(signal.SIGTERM)
        stream.wait(STREAM_ENDS_S)


def teach(taught: Taught, seconds: float, store: Path) -> str:
    """Gives the lesson; its id."""
    with ControlClient(control_address(store)) as client:
        reply = client.ask("teach", name=taught.name, box=taught.box, unit="px", seconds=seconds, yes=True)
    return str(reply["lesson"])


def _ready(doings: Doings) -> bool:
    """The learner has loaded what it needs and waits."""
    return doings.newest is not None and doings.newest.doing == "idle" and doings.phases.get("idle", 0.0) > 5.0


def _share(seen: Seen, taught: Taught, loop_s: float, begin_ns: int, end_ns: int) -> dict[str, float]:
    """The share that name it of the windows in which it sounds, those in which it is seen and silent, and those elsewhere."""
    named: dict[str, list[bool]] = {}
    for n, at in enumerate(seen.at_ns):
        if begin_ns <= at < end_ns:
            named.setdefault(taught.kind(seen.moment_s(n, loop_s)), []).append(taught.name in seen.names[n])
    return {kind: round(float(np.mean(several)), 3) for kind, several in named.items()}


def _processor_s(doings: Doings) -> float:
    """Processor time of the learner so far."""
    if doings.newest is None or not doings.newest.pid:
        return 0.0
    fields = Path(f"/proc/{doings.newest.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _taught(words: Sequence[str], truths: Sequence[Sequence[str]]) -> Taught:
    """words: NAME X Y W H AT. truths: NAME FILE BEGINS, the exact truth that cavs-adapt data compose wrote beside a clip."""
    name, *numbers = words
    *box, at_s = map(float, numbers)
    file = next((one[1:] for one in truths if one[0] == name), None)
    if file is None:
        return Taught(name, tuple(box), at_s)
    with np.load(file[0]) as truth:
        times_s, sounding = truth["times_s"] + float(file[1]), truth["masks"].any(axis=(1, 2))

    def kind(moment_s: float) -> str:
        if not times_s[0] <= moment_s <= times_s[-1]:
            return "elsewhere"
        return "sounding" if sounding[np.searchsorted(times_s, moment_s, "right") - 1] else "paused"

    return Taught(name, tuple(box), at_s, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument(
        "--lesson",
        nargs=6,
        action="append",
        required=True,
        metavar=("NAME", "X", "Y", "W", "H", "AT"),
        help="its box in pixels, and the second of the repeated clip at which it is there",
    )
    parser.add_argument("--truth", nargs=3, action="append", default=[], metavar=("NAME", "FILE", "BEGINS"))
    parser.add_argument("--loop", type=float, required=True, help="seconds after which the source repeats itself")
    parser.add_argument("--seconds", type=float, default=10.0, help="that are taught from")
    parser.add_argument("--alone", type=float, default=60.0, help="seconds of the stream before each lesson")
    parser.add_argument("--after", type=float, default=60.0, help="seconds of the stream after it")
    parser.add_argument("--threads", type=int, default=1, help="of the stream's engine")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        result = measure(args, [_taught(words, args.truth) for words in args.lesson], Path(home))
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    for one in result["lessons"]:
        print(json.dumps({name: one[name] for name in one if name != "outcome"}, indent=1))


if __name__ == "__main__":
    main()
