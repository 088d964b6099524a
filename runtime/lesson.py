"""Lessons: what a stream was shown, on its way to the learner. `STORE/lessons/<id>/`, one directory each.

lesson.json           what was asked (`LessonRequest`), written last
windows.safetensors   the recent windows it is about (`Windows`); none for `forget` and `learn`
mask.png              the mask that a person drew, if any
proposal/             the learner's answer: proposal.json (`ProposalRecord`), labels.safetensors, preview.png, preview.mp4
decision.json         whether a person accepts the proposal (`Decision`); not needed when the request says yes
outcome.json          what became of it (`Outcome`), the last file

The directory appears whole by a rename; what is added later appears by a rename of its own.
"""

import re
import secrets
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError, model_validator

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.disk import Disk
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson_windows import WINDOWS_FILE, Windows, read_windows, windows_pieces
from cavs.runtime.manifest import Count, FileName, Record, to_json, what_is_wrong

LESSONS = "lessons"
REQUEST_FILE, MASK_FILE = "lesson.json", "mask.png"
PROPOSAL, PROPOSAL_FILE, PREVIEW_FILE = "proposal", "proposal.json", "preview.png"
DECISION_FILE, OUTCOME_FILE = "decision.json", "outcome.json"

LESSON_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{6}")
ID_PARTS = 16**3
"""Of a second that an id tells apart: lessons are learned in the order in which they were asked for."""
_STAGED = ".writing-"
STAGED_AGE_S = 3600
"""A lesson that is still unfinished after so long was left by a process that died."""

NAME_CHARS_MAX = 80
RESERVED_NAMES = frozenset({"unknown", "silent"})
"""What the label map calls its first two values."""

Kind = Literal["teach", "correct", "forget", "learn"]
State = Literal["live", "refused", "rejected", "failed"]
LessonId = Annotated[str, Field(pattern=f"^{LESSON_ID.pattern}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class LessonModel(Record):
    """The model that ran when the lesson was given. version: 0 if it is from no store."""

    bundle: str
    adapter: str
    version: Count


class Hint(Record):
    """Where the thing is, one of four: a box, a point, a drawn mask, or an object that was on the wire.

    box: x, y, width, height, and point: x, y, are fractions of the picture. object: its `id`; `boxes` of the windows say
    where it was in each.
    """

    box: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    point: tuple[Fraction, Fraction] | None = None
    mask: FileName | None = None
    object: Count | None = None

    @model_validator(mode="after")
    def _one(self) -> "Hint":
        given = [name for name in ("box", "point", "mask", "object") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} given, one expected")
        return self


class LessonRequest(Record):
    """`lesson.json`: what was asked.

    kind:     teach: `name` sounds here. correct: what was marked is `name`, or (sounding false) does not sound; a name of none
              is a thing of no known class. forget: `name` is to be removed. learn: clips at `path` are the next task.
    yes:      the proposal need not be accepted by a person.
    asked_wall_ns: wall time; for people and for sorting, never for measuring.
    rate_hz:  of the sound in the windows.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: LessonId
    kind: Kind
    name: str | None
    sounding: bool = True
    hint: Hint = Hint()
    yes: bool = False
    asked_wall_ns: Count
    stream: str = ""
    model: LessonModel | None = None
    rate_hz: Count = 0
    path: str | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "LessonRequest":
        if self.name is not None:
            check_class_name(self.name)
        elif self.kind in ("teach", "forget"):
            raise ValueError(f"a lesson of kind {self.kind} needs a name")
        if (self.path is not None) != (self.kind == "learn"):
            raise ValueError("path goes with kind learn, and only with it")
        return self


class WindowVerdict(Record):
    """What the learner makes of one window. frame: its place in the lesson. reason: why it was dropped."""

    frame: Count
    kept: bool
    reason: str = ""
    score: float = 0.0


class ProposalRecord(Record):
    """`proposal/proposal.json`: which windows would be learned. note: one line for a person."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str | None
    windows: tuple[WindowVerdict, ...] = ()
    note: str = ""

    @property
    def kept(self) -> int:
        """Windows that would be learned."""
        return sum(window.kept for window in self.windows)

    @property
    def dropped(self) -> dict[str, int]:
        """How many windows were dropped, by reason."""
        counts: dict[str, int] = {}
        for window in self.windows:
            if not window.kept:
                counts[window.reason] = counts.get(window.reason, 0) + 1
        return counts


class Decision(Record):
    """`decision.json`: a person has looked at the preview. by: who, for people."""

    accept: bool
    by: str = ""
    wall_ns: Count


class Outcome(Record):
    """`outcome.json`: the end of a lesson. version: in the store, if it got one. verdict: the gate's numbers."""

    state: State
    version: Count | None = None
    reason: str = ""
    verdict: dict[str, JsonValue] = Field(default_factory=dict)


_RecordT = TypeVar("_RecordT", bound=Record)


def wall_now_ns() -> int:
    """Wall time, which may jump: for people and for the order of lessons, never for measuring."""
    return time.time_ns()


def new_lesson_id(wall_ns: int) -> str:
    """`YYYYmmddTHHMMSS` in UTC and six hex digits, three of the part of the second and three at random: sorts by time."""
    when = datetime.fromtimestamp(wall_ns // NS_PER_S, timezone.utc)
    part = wall_ns % NS_PER_S * ID_PARTS // NS_PER_S
    return f"{when:%Y%m%dT%H%M%S}-{part:03x}{secrets.randbelow(ID_PARTS):03x}"


def check_class_name(name: str) -> str:
    """The name, if a class can be called so. Raises LessonRejected."""
    if not name or name != name.strip():
        raise LessonRejected(f"name {name!r}: empty, or with spaces around it; give a word, for example kettle")
    if len(name) > NAME_CHARS_MAX:
        raise LessonRejected(f"name {name[:20]!r}...: {len(name)} characters, at most {NAME_CHARS_MAX} expected")
    if "/" in name or "\\" in name or name.startswith("."):
        raise LessonRejected(f"name {name!r}: a name is no path; leave out slashes and leading dots")
    if not name.isprintable():
        raise LessonRejected(f"name {name!r}: contains a character that cannot be printed")
    if name.lower() in RESERVED_NAMES:
        raise LessonRejected(f"name {name!r} is what things without a class are called; choose another")
    return name


class Lessons:
    """The lessons of a store. Any process may write one; each file is written by one process only."""

    def __init__(self, store: Path | str, *, disk: Disk | None = None) -> None:
        self.path = Path(store) / LESSONS
        self._disk = disk or Disk()

    def directory(self, lesson: str) -> Path:
        """Where a lesson lies. Raises LessonRejected if this is no id of one."""
        if not LESSON_ID.fullmatch(lesson):
            raise LessonRejected(f"lesson {lesson[:40]!r}: an id such as 20261121T153000-a1b2c3 expected")
        return self.path / lesson

    def ids(self) -> tuple[str, ...]:
        """All lessons, oldest first."""
        try:
            return tuple(sorted(item.name for item in self.path.iterdir() if LESSON_ID.fullmatch(item.name)))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise LessonRejected(f"{self.path}: {error.strerror}; a directory that can be read was expected") from error

    def open(self) -> tuple[str, ...]:
        """Those that have not ended, oldest first."""
        return tuple(lesson for lesson in self.ids() if not (self.path / lesson / OUTCOME_FILE).exists())

    def write(self, request: LessonRequest, windows: Windows | None = None, mask: bytes | None = None) -> Path:
        """Puts a lesson in place, whole. mask: a PNG. Raises LessonRejected if the disk refuses; nothing is left then."""
        home = self.directory(request.id)
        staged = self.path / f"{_STAGED}{request.id}"
        try:
            self._disk.make_directory(staged)
            if windows is not None:
                self._disk.write_pieces(staged / WINDOWS_FILE, windows_pieces(windows))
            if mask is not None:
                self._disk.write(staged / MASK_FILE, mask)
            self._disk.write(staged / REQUEST_FILE, to_json(request))
            self._disk.sync_directory(staged)
            self._disk.rename(staged, home)
            self._disk.sync_directory(self.path)
        except OSError as error:
            with suppress(OSError):
                self._disk.remove(staged)
            raise LessonRejected(f"{self.path}: the lesson cannot be written: {error.strerror}; nothing was kept") from error
        return home

    def request(self, lesson: str) -> LessonRequest:
        """What was asked. Raises LessonRejected if there is no such lesson or it cannot be read."""
        found = self._read(self.directory(lesson) / REQUEST_FILE, LessonRequest)
        if found is None:
            raise LessonRejected(f"{self.path}: no lesson {lesson}")
        return found

    def windows(self, lesson: str) -> Windows:
        """What it is about. Raises LessonRejected if it has none or they are torn."""
        return read_windows(self.directory(lesson) / WINDOWS_FILE, rate_hz=self.request(lesson).rate_hz)

    def proposal(self, lesson: str) -> ProposalRecord | None:
        """The learner's answer, if it has given one."""
        return self._read(self.directory(lesson) / PROPOSAL / PROPOSAL_FILE, ProposalRecord)

    def decision(self, lesson: str) -> Decision | None:
        """What a person said to the proposal, if anybody did."""
        return self._read(self.directory(lesson) / DECISION_FILE, Decision)

    def outcome(self, lesson: str) -> Outcome | None:
        """How it ended, if it has."""
        return self._read(self.directory(lesson) / OUTCOME_FILE, Outcome)

    def decide(self, lesson: str, decision: Decision) -> None:
        """Writes what a person says. Raises LessonRejected if there is no such lesson or it has ended."""
        self.request(lesson)
        if (ended := self.outcome(lesson)) is not None:
            raise LessonRejected(f"lesson {lesson} has ended: {ended.state}{': ' * bool(ended.reason)}{ended.reason}")
        self._add(lesson, DECISION_FILE, decision)

    def finish(self, lesson: str, outcome: Outcome) -> None:
        """Writes the end of a lesson."""
        self._add(lesson, OUTCOME_FILE, outcome)

    def drop_windows(self, lesson: str) -> None:
        """Removes what was seen and heard, and keeps the words: when nothing more is to be learned from it."""
        for name in (WINDOWS_FILE, MASK_FILE, PROPOSAL):
            with suppress(OSError):
                self._disk.remove(self.directory(lesson) / name)

    def sweep(self) -> None:
        """Removes what a process that died while writing has left."""
        for item in self.path.glob(f"{_STAGED}*"):
            with suppress(OSError):
                if wall_now_ns() - item.stat().st_mtime_ns > STAGED_AGE_S * NS_PER_S:
                    self._disk.remove(item)

    def _add(self, lesson: str, name: str, record: Record) -> None:
        home = self.directory(lesson)
        staged = home / f"{_STAGED}{name}-{secrets.token_hex(3)}"
        try:
            self._disk.write(staged, to_json(record))
            self._disk.rename(staged, home / name)
            self._disk.sync_directory(home)
        except OSError as error:
            with suppress(OSError):
                self._disk.remove(staged)
            raise LessonRejected(f"{home / name}: cannot be written: {error.strerror}") from error

    def _read(self, path: Path, kind: type[_RecordT]) -> _RecordT | None:
        try:
            return kind.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LessonRejected(f"{path}: {error.strerror}; a lesson written by cavs was expected") from error
        except ValidationError as error:
            raise LessonRejected(f"{path}: {what_is_wrong(error)}; torn, edited or of another version") from error
