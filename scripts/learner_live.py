#!/usr/bin/env python3
"""A lesson on a running stream, as JSON: seconds from `teach` to live, the gate's numbers, what the stream felt.

python scripts/learner_live.py --source CLIP.mp4 --name cat --box 83 104 56 120 --out docs/measured/learner_live.json

Starts `cavs-stream --realtime --adapt` on a store of its own, lets it run alone, then asks what `cavs-adapt teach NAME --yes`
asks, and follows the lesson to its end and a while longer. Latencies are those that every published window carries.
A clip that is repeated in the source is taught at its end, where the box is known: --loop and --at.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
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

    def note(self, masks: Masks) -> None:
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


def measure(args: argparse.Namespace, home: Path) -> dict[str, Any]:
    """The whole run. Raises SystemExit with what went wrong."""
    store, address = home / "store", f"ipc://{home}/s.sock"
    tool = Path(sys.executable).parent
    command = [tool / "cavs-stream", "--source", args.source, "--realtime", "--adapt", "--store", store, "--bind", address]
    command += ["--threads", str(args.threads), "--report", home / "report.json", "--quiet"]
    stream = subprocess.Popen([str(word) for word in command], stderr=sys.stderr)
    seen, doings = Seen(), Doings(store)
    try:
        with Subscriber(address, newest_only=False) as subscriber:
            begun_ns = CLOCK.now_ns()
            follow(subscriber, seen, doings, lambda: seen.at_ns or CLOCK.now_ns() - begun_ns > STARTS_S * NS_PER_S)
            if not seen.at_ns:
                raise SystemExit("no window within two minutes")
            follow(subscriber, seen, doings, lambda: _ready(doings) or CLOCK.now_ns() - begun_ns > STARTS_S * NS_PER_S)
            alone_ns = CLOCK.now_ns()
            follow(subscriber, seen, doings, lambda: CLOCK.now_ns() - alone_ns > args.alone * NS_PER_S and _is_time(args, seen))
            doings.phases.clear()
            taught_ns, used = CLOCK.now_ns(), _processor_s(doings)
            lessons, lesson = Lessons(store), teach(args, store)
            follow(
                subscriber,
                seen,
                doings,
                lambda: lessons.outcome(lesson) is not None or CLOCK.now_ns() - taught_ns > LESSON_S * NS_PER_S,
            )
            done_ns, phases, spent = CLOCK.now_ns(), dict(doings.phases), _processor_s(doings) - used
            follow(subscriber, seen, doings, lambda: CLOCK.now_ns() - done_ns > args.after * NS_PER_S)
        outcome = lessons.outcome(lesson)
        result = {
            "machine": {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))},
            "note": args.note,
            "seconds_to_the_end": round((done_ns - taught_ns) / NS_PER_S, 1),
            "learner_processor_s": round(spent, 1),
            "phases_s": phases,
            "outcome": None if outcome is None else outcome.model_dump(),
            "alone": seen.span(alone_ns, taught_ns),
            "learning": seen.span(taught_ns, done_ns),
            "afterwards": seen.span(done_ns, CLOCK.now_ns()),
            "swap": seen.swap(outcome.version) if outcome is not None and outcome.version is not None else {},
            "windows_that_name_it": {
                "before": _share(seen, args.name, alone_ns, taught_ns),
                "after": _share(seen, args.name, done_ns, CLOCK.now_ns()),
            },
            "bytes_on_disk": sum(path.stat().st_size for path in store.rglob("*") if path.is_file()),
            "versions": list(ModelStore(store).versions()),
        }
    finally:
        stream.send_signal(signal.SIGTERM)
        stream.wait(STREAM_ENDS_S)
    return result


def teach(args: argparse.Namespace, store: Path) -> str:
    """Gives the lesson; its id."""
    with ControlClient(control_address(store)) as client:
        reply = client.ask("teach", name=args.name, box=args.box, unit="px", seconds=args.seconds, yes=True)
    return str(reply["lesson"])


def _is_time(args: argparse.Namespace, seen: Seen) -> bool:
    """Whether the newest window lies at the moment of the clip at which the box is right."""
    if args.loop is None:
        return True
    since_s = (seen.frame_ns[-1] - seen.frame_ns[0]) / NS_PER_S
    return bool(0 <= since_s % args.loop - args.at < 0.1)


def _ready(doings: Doings) -> bool:
    """The learner has loaded what it needs and waits."""
    return doings.newest is not None and doings.newest.doing == "idle" and doings.phases.get("idle", 0.0) > 5.0


def _share(seen: Seen, name: str, begin_ns: int, end_ns: int) -> float:
    inside = [names for at, names in zip(seen.at_ns, seen.names, strict=True) if begin_ns <= at < end_ns]
    return round(sum(name in names for names in inside) / max(1, len(inside)), 3)


def _processor_s(doings: Doings) -> float:
    """Processor time of the learner so far."""
    if doings.newest is None or not doings.newest.pid:
        return 0.0
    fields = Path(f"/proc/{doings.newest.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument(
        "--box", type=float, nargs=4, required=True, help="x, y, width, height in pixels: where it is when it is taught"
    )
    parser.add_argument("--loop", type=float, help="seconds after which the source repeats itself")
    parser.add_argument("--at", type=float, default=0.0, help="seconds into it at which the box is right")
    parser.add_argument("--seconds", type=float, default=10.0, help="that are taught from")
    parser.add_argument("--alone", type=float, default=60.0, help="seconds of the stream before it is taught")
    parser.add_argument("--after", type=float, default=60.0, help="seconds of the stream afterwards")
    parser.add_argument("--threads", type=int, default=1, help="of the stream's engine")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        result = measure(args, Path(home))
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(
        json.dumps({name: result[name] for name in ("seconds_to_the_end", "phases_s", "alone", "learning", "swap")}, indent=1)
    )


if __name__ == "__main__":
    main()
