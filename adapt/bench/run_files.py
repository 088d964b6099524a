"""The files of a run's folder: whole or not there, one run at a time, one plan for ever."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from cavs.adapt.bench.plan import RunPlan
from cavs.runtime.errors import TrainingStopped

PLAN_FILE = "plan.json"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder, which is made if need be. TrainingStopped if one is at work there."""
    try:
        (folder / "tasks").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise TrainingStopped(f"{folder}: cannot be written to ({error.strerror}); give another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingStopped(f"{folder}: another run is at work there; wait for it or give another --out") from None
        yield


def pin(folder: Path, plan: RunPlan) -> None:
    """Writes the plan, or checks that the one there is the same. TrainingStopped names what differs."""
    file = folder / PLAN_FILE
    if not file.exists():
        write_whole(file, plan.model_dump_json(indent=1))
        return
    there, wanted = read_plan(folder).model_dump(), plan.model_dump()
    differing = sorted(key for key in wanted if there[key] != wanted[key])
    if differing:
        raise TrainingStopped(f"{folder}: holds a run that differs in {', '.join(differing)}; give another --out")


def read_plan(folder: Path) -> RunPlan:
    """TrainingStopped if the folder has none that can be read."""
    file = folder / PLAN_FILE
    try:
        return RunPlan.model_validate(json.loads(file.read_text()))
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingStopped(f"{file}: no plan of a run ({reason}); give another --out") from None


def write_whole(file: Path, text: str) -> None:
    """By a rename. TrainingStopped if the disk refuses; what was there before is untouched."""
    partial = file.with_name(f".{file.name}.part")
    try:
        partial.write_text(text + "\n")
        partial.rename(file)
    except OSError as error:
        raise TrainingStopped(f"{file}: not written ({error.strerror}); finished tasks are kept, run again") from error
