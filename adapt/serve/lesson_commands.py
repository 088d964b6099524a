"""`cavs-adapt learn`, `forget` and `memory`: lessons that need no stream, and what the learner keeps."""

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

from cavs.adapt.data.layouts import recognise
from cavs.adapt.serve.memory import MIB, Memory
from cavs.adapt.serve.status import LEARNER
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.runtime.errors import AdaptError, DataRejected
from cavs.runtime.lesson import LessonRequest, Lessons, new_lesson_id, wall_now_ns
from cavs.runtime.store import default_store_path
from cavs.runtime.store_read import StoreReader

LOOK_NS = 500 * NS_PER_MS


def add_learn(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `learn` to cavs-adapt."""
    parser = subparsers.add_parser(
        "learn",
        help="give the learner a folder of labelled clips",
        description="Gives the learner of a store a folder of labelled clips as its next lesson: a published layout (AVSS, "
        "MS3, S4), or videos with masks: <class>/<video> and <class>/<video without ending>/<frame>.png.",
    )
    parser.add_argument("path", type=Path, metavar="PATH")
    _add_store(parser)
    _add_wait(parser)
    parser.set_defaults(run=_learn)


def add_forget(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `forget` to cavs-adapt."""
    parser = subparsers.add_parser(
        "forget",
        help="forget a class and everything kept of it",
        description="Removes a class: its exemplars, its row, and what its lessons changed, by learning again without it.",
    )
    parser.add_argument("name", metavar="NAME")
    _add_store(parser)
    _add_wait(parser)
    parser.set_defaults(run=_forget)


def add_memory(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `memory` to cavs-adapt."""
    parser = subparsers.add_parser(
        "memory", help="what the learner keeps", description="Shows or exports what a learner keeps."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("show", help="how much of what, since when, and where", description="What is kept, by class.")
    show.add_argument("--check", action="store_true", help="read every file too")
    _add_store(show)
    show.set_defaults(run=_show)
    export = commands.add_parser(
        "export", help="copy it into a new directory", description="Copies exemplars as they lie there."
    )
    export.add_argument("out", type=Path, metavar="DIR")
    export.add_argument("--class", dest="names", action="append", default=[], metavar="NAME", help="only of this class")
    _add_store(export)
    export.set_defaults(run=_export)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, default=default_store_path(), metavar="DIR", help="model store (%(default)s)")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="until the learner is done with it")


def _learn(args: argparse.Namespace) -> int:
    path = args.path.resolve()
    if not path.is_dir():
        raise DataRejected(f"{path}: {'a file' if path.exists() else 'not there'}, a folder of labelled clips expected")
    if not any(item.is_dir() for item in path.iterdir()):
        recognise(path)  # says what a folder without folders lacks
    return _give(args, kind="learn", name=None, path=str(path))


def _forget(args: argparse.Namespace) -> int:
    return _give(args, kind="forget", name=args.name, path=None)


def _give(args: argparse.Namespace, *, kind: str, name: str | None, path: str | None) -> int:
    """Writes a lesson that needs no acceptance: whoever runs the command has said so."""
    StoreReader(args.store).load_current()
    lessons, wall_ns = Lessons(args.store), wall_now_ns()
    fields = {"id": new_lesson_id(wall_ns), "kind": kind, "name": name, "path": path, "yes": True, "asked_wall_ns": wall_ns}
    request = LessonRequest.model_validate(fields)
    lessons.write(request)
    print(f"lesson {request.id} waits for the learner of {args.store}")
    return _wait(lessons, request.id) if args.wait else 0


def _wait(lessons: Lessons, lesson: str) -> int:
    clock = MonotonicClock()
    while (outcome := lessons.outcome(lesson)) is None:
        clock.sleep_ns(LOOK_NS)
    print(f"lesson {lesson}: {outcome.state}{f', version {outcome.version}' if outcome.version else ''}")
    if outcome.state != "live":
        raise AdaptError(outcome.reason or f"lesson {lesson} was {outcome.state}")
    return 0


def _show(args: argparse.Namespace) -> int:
    StoreReader(args.store).require()
    home = args.store / LEARNER
    for title, folder in (("memory", "memory"), ("anchors", "anchors")):
        memory = Memory(home / folder)
        print(f"{title}: {memory.size_bytes() / MIB:.1f} MiB in {memory.folder.path}")
        for share in memory.shares():
            since, until = (
                datetime.fromtimestamp(ns // NS_PER_S, timezone.utc).date() for ns in (share.oldest_ns, share.newest_ns)
            )
            print(f"  {share.name:<24} {share.exemplars:>5} exemplars {share.size_bytes / MIB:>8.2f} MiB  {since} to {until}")
        for line in memory.damaged_files() if args.check else memory.folder.damaged:
            print(f"  damaged: {line}", file=sys.stderr)
    lessons = Lessons(args.store)
    holding = [lesson for lesson in lessons.ids() if (lessons.directory(lesson) / "windows.safetensors").exists()]
    print(f"lessons: {len(lessons.ids())} noted in {lessons.path}; {len(holding)} still hold what was seen and heard")
    asked = home / "asked"
    print(f"questions: {len(list(asked.glob('[0-9]*')))} asked, a small picture of each in {asked}")
    return 0


def _export(args: argparse.Namespace) -> int:
    StoreReader(args.store).require()
    memory = Memory(args.store / LEARNER / "memory")
    count = memory.export(args.out, args.names)
    print(f"{count} exemplars in {args.out}")
    return 0
