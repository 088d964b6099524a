"""`cavs-adapt status`: how a stream and its learner are, what is kept in memory, and where the lessons stand."""

import argparse
import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cavs.adapt.progress_line import learning_line
from cavs.adapt.teach_command import add_stream_options, address_of, require_stream
from cavs.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cavs.runtime.control import ControlClient
from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson import Lessons
from cavs.runtime.lesson_standing import learner_standing, newest

LOOK_NS = NS_PER_S
LESSONS_SHOWN = 10
CLEAR = "\x1b[2J\x1b[H"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `status` to cavs-adapt."""
    parser = subparsers.add_parser(
        "status",
        help="how the stream, its learner and the lessons are",
        description="Shows which model runs, what the stream keeps in memory, what the learner does, and the newest lessons.",
    )
    parser.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_stream_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, clock: Clock | None = None) -> int:
    """Runs the command; a stream that is not there is no error as long as the store can be read."""
    clock = clock or MonotonicClock()
    with ControlClient(address_of(args), keys=args.keys, timeout_ms=3000) as client:
        while True:
            status = ask(client, None if args.control is not None else args.store)
            text = json.dumps(status) if args.json else "\n".join(lines(status))
            print(f"{CLEAR}{text}" if args.watch and sys.stdout.isatty() else text, flush=True)
            if not args.watch:
                return 0
            clock.sleep_ns(LOOK_NS)


def ask(client: ControlClient, store: Path | None) -> dict[str, Any]:
    """The stream's status; without a stream what lies in the store. Raises ControlRefused if there is neither."""
    try:
        require_stream(client.address)
        return client.status()
    except ControlRefused as error:
        if store is None or not store.is_dir():
            raise
        lessons = newest(Lessons(store), LESSONS_SHOWN)
        return {"no_stream": str(error), "store": str(store), "learner": learner_standing(store), "lessons": lessons}


def lines(status: dict[str, Any]) -> list[str]:
    """The status for a person."""
    return [*_stream_lines(status), f"learner  {_learner_text(status['learner'])}", *_lesson_lines(status["lessons"])]


def _stream_lines(status: dict[str, Any]) -> list[str]:
    if "no_stream" in status:
        return [f"stream   none: {status['no_stream']}", f"store    {status['store']}"]
    health, model, recent = status["health"], status["model"], status["recent"]
    speed = f"{health.get('fps') or 0:.1f} fps, p99 {health.get('latency_p99_ms') or 0:.0f} ms"
    source = "no picture yet" if recent["source"] is None else f"picture {recent['source'][1]}x{recent['source'][0]}"
    return [
        f"stream   {status['stream']} at {status['publishes']}: {speed}, {source}",
        f"model    version {model['version']}, adapter {model['adapter'][:12]}, bundle {model['bundle'][:12]}: "
        f"{', '.join(status['classes']) or 'no classes'}",
        f"store    {status['store'] or 'none: nothing can be taught'}",
        f"memory   {recent['seconds']:.1f} s of the last {recent['most_seconds']:g} s in {recent['frames']} small pictures and "
        f"sound, {recent['mib']:g} MiB; on no disk unless it is taught",
    ]


def _learner_text(learner: dict[str, Any]) -> str:
    restarts = f"; started again {learner['restarts']} times" if learner.get("restarts") else ""
    if not learner.get("alive"):
        return f"none runs{restarts}; start the stream with --adapt, or: cavs-adapt serve STORE"
    status = learner.get("status")
    trouble = f"; {status['trouble']}" if isinstance(status, dict) and status.get("trouble") else ""
    return f"{learning_line(learner)}{restarts}{trouble}"


def _lesson_lines(lessons: list[dict[str, Any]]) -> list[str]:
    if not lessons:
        return ["lessons  none yet: cavs-adapt teach NAME"]
    told = [f"{_when(lesson['lesson'])}  {_lesson_text(lesson)}" for lesson in lessons]
    return [f"{'lessons' if k == 0 else '':<8} {line}" for k, line in enumerate(told)]


def _lesson_text(lesson: dict[str, Any]) -> str:
    outcome, proposal = lesson.get("outcome") or {}, lesson.get("proposal") or {}
    text = f"{lesson['kind']} {lesson['name'] or '(unknown)'}: {lesson['state']}"
    if lesson["state"] == "proposed":
        return f"{text}, {proposal['kept']} of {proposal['windows']} windows; cavs-adapt teach --accept {lesson['lesson']}"
    if lesson["state"] == "live" and outcome.get("version"):
        return f"{text} as version {outcome['version']}"
    reason = outcome.get("reason") or lesson.get("error")
    return f"{text}: {reason}" if reason else text


def _when(lesson: str) -> str:
    """The time of day that a lesson's id tells, here."""
    when = datetime.strptime(lesson.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    return f"{when.astimezone():%m-%d %H:%M:%S}"
