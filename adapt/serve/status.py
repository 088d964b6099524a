"""How the learner is, for people and programs: `STORE/learner/status.json`, exchanged about once a second while it works."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from cavs.runtime.errors import AdaptError
from cavs.runtime.manifest import Count, Record, to_json, what_is_wrong

STATUS_FILE = "status.json"
LEARNER = "learner"
"""The learner's own directory in a store."""

Doing = Literal["idle", "labelling", "training", "gate", "consolidating", "stopped"]


class LearnerStatus(Record):
    """`status.json`. loss: of the last step. seconds_left: of the training, by its pace so far.

    paused:  why it does nothing just now; empty while it works or has nothing to do.
    waiting: lessons that wait for their turn, asking: those whose proposal waits for a person.
    proving: version in probation. verdict: of the last trial.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    pid: Count
    doing: Doing
    lesson: str | None = None
    name: str | None = None
    step: Count = 0
    steps: Count = 0
    loss: float | None = None
    seconds_left: float | None = None
    paused: str = ""
    waiting: Count = 0
    asking: tuple[str, ...] = ()
    version: Count = 0
    proving: Count | None = None
    verdict: dict[str, JsonValue] | None = None
    trouble: str = ""
    """The last thing that went wrong, one line."""
    wall_ns: Count = 0


def write_status(store: Path, status: LearnerStatus) -> None:
    """Exchanges the file. It is news, not a record: it is not flushed, and a disk that refuses it stops nothing."""
    path = store / LEARNER / STATUS_FILE
    staged = path.with_name(f".{STATUS_FILE}.writing")
    try:
        staged.write_bytes(to_json(status))
        os.replace(staged, path)
    except OSError:  # a full disk is said where something is lost by it
        return


def read_status(store: Path) -> LearnerStatus | None:
    """What a learner last said of itself; none if there never was one. Raises AdaptError if it cannot be read."""
    path = store / LEARNER / STATUS_FILE
    try:
        return LearnerStatus.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AdaptError(f"{path}: {error.strerror}; a learner's status was expected") from error
    except ValidationError as error:
        raise AdaptError(f"{path}: {what_is_wrong(error)}; was it written by another version?") from error
