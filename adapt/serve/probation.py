"""A new version on probation: its first windows on the wire are watched, and it goes if they are worse than those before it.

What is watched: the model failing on a window (the slot's `fell_back`) or never being taken, windows without a mask, what is
marked while no sound comes, and the time in the engine; once, and again when it seems to have gone blind, both versions are run
on what the stream saw just now. The state lies on the disk, so a learner that starts again goes on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cavs.adapt.serve.listening import HeardEvent, HeardMasks
from cavs.adapt.serve.verdict import Numbers
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdaptError
from cavs.runtime.manifest import Count, Record, Sha256, to_json

PROBATION_FILE = "probation.json"
BASELINE_WINDOWS = 600
"""Windows of the version before, the newest, that the new one is compared with."""
KEEP_EVERY = 30
"""Windows between two writes of the state: about a second."""

Share = Annotated[float, Field(ge=0)]


class ProbationLimits(BaseModel):
    """When a version on probation goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: int = Field(default=300, ge=1)
    """How many it must get through."""
    emptier: float = Field(default=0.5, ge=0, le=1)
    """How much larger the share of windows without a mask may be than before; more is looked into (`inspect`)."""
    silent_mass: float = Field(default=0.01, ge=0, le=1)
    """Share of the picture that may be marked, on average, while no sound came."""
    infer_ratio: float = Field(default=1.5, ge=1)
    """Median time in the engine over that of the version before."""
    early: int = Field(default=60, ge=1)
    """It is judged from so many windows on, and again with each; a failure is noticed at once."""


class Tally(Record):
    """What was seen of one version. infer_ms: median time in the engine. silent_*: of windows without sound."""

    windows: Count = 0
    empty: Count = 0
    mass: Share = 0.0
    silent_windows: Count = 0
    silent_mass: Share = 0.0
    infer_ms: Share = 0.0

    @property
    def empty_share(self) -> float:
        return self.empty / self.windows if self.windows else 0.0


class ProbationRecord(Record):
    """`probation.json`. fault: why it must go; written before anything is done about it. adapter: finds the version."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    lesson: str
    adapter: Sha256
    bundle: Sha256
    version: Count | None = None
    taken: bool = False
    before: Tally = Tally()
    seen: Tally = Tally()
    fault: str = ""
    wall_ns: Count = 0


class WindowTally:
    """Counts windows; the newest `most` of them."""

    def __init__(self, most: int = BASELINE_WINDOWS) -> None:
        self._most = most
        self._rows: list[tuple[float, bool, float]] = []  # mass, no sound came, ms in the engine

    def add(self, masks: HeardMasks) -> None:
        silent = masks.sound.missing > 0 and "audio_missing" in masks.flags
        self._rows.append((masks.mass, silent, masks.latency_ms.get("infer", 0.0)))
        del self._rows[: -self._most]

    def __len__(self) -> int:
        return len(self._rows)

    def tally(self) -> Tally:
        rows = self._rows
        mass, silent = [row[0] for row in rows], [row[0] for row in rows if row[1]]
        return Tally(
            windows=len(rows),
            empty=sum(one == 0 for one in mass),
            mass=_mean(mass),
            silent_windows=len(silent),
            silent_mass=_mean(silent),
            infer_ms=float(np.median([row[2] for row in rows])) if rows else 0.0,
        )

    def clear(self) -> None:
        self._rows.clear()


class Probation:
    """The version on probation, if there is one. One thread."""

    def __init__(
        self, path: Path, inspect: Callable[[], str], limits: ProbationLimits | None = None, *, disk: Disk | None = None
    ) -> None:
        """inspect: runs both versions on the stream's last windows; what is wrong with the new one, empty if nothing."""
        self._path = path / PROBATION_FILE
        self._disk = disk or Disk()
        self._inspect = inspect
        self.limits = limits or ProbationLimits()
        self._before = WindowTally()
        self._seen = WindowTally(self.limits.windows)
        self._resumed = Tally()
        self._inspections = 0
        self.record = self._read()
        if self.record is not None:
            self._resumed = self.record.seen

    def begin(self, lesson: str, adapter: str, bundle: str, wall_ns: int) -> None:
        """Written before the version is committed, so that a kill between the two is seen."""
        self._seen.clear()
        self._resumed = Tally()
        self._inspections = 0
        self._note(ProbationRecord(lesson=lesson, adapter=adapter, bundle=bundle, before=self._before.tally(), wall_ns=wall_ns))

    def committed(self, version: int) -> None:
        """The number that it got."""
        if self.record is not None and self.record.version != version:
            self._note(self.record.model_copy(update={"version": version}))

    def end(self) -> None:
        """It is over, one way or the other; what was seen is what the next one is compared with."""
        self.record = None
        self._disk.remove(self._path)
        self._before, self._seen = self._seen, WindowTally(self.limits.windows)

    def hear_masks(self, masks: HeardMasks) -> None:
        """One window on the wire."""
        record = self.record
        if record is None or record.version is None:
            self._before.add(masks)
        elif masks.model.version == record.version:
            self._seen.add(masks)
            if not record.taken or self.count % KEEP_EVERY == 0:
                self._note(record.model_copy(update={"taken": True, "seen": self._tally()}))

    def hear_event(self, event: HeardEvent) -> None:
        """An exchange that went wrong."""
        record = self.record
        if record is None or record.version is None or event.kind != "model":
            return
        own = f"version {record.version} "
        if event.subject == "fell_back" and event.text.startswith(own):
            self._fail(f"the stream fell back: {event.text}")
        elif event.subject == "refused" and not record.taken:
            self._fail(f"the stream refused it: {event.text}")

    @property
    def count(self) -> int:
        """Windows that it got through."""
        return self._resumed.windows + len(self._seen)

    def fault(self) -> str:
        """Why it must go; empty while nothing is known against it."""
        record = self.record
        if record is None or record.version is None:
            return ""
        if not record.fault:
            self._judge(record)
        return self.record.fault if self.record is not None else ""

    def proven(self) -> bool:
        """It got through its windows."""
        return self.record is not None and not self.record.fault and self.count >= self.limits.windows

    def numbers(self) -> Numbers:
        """What was seen, for the store."""
        if self.record is None:
            return {}
        return {"before": self.record.before.model_dump(mode="json"), "seen": self._tally().model_dump(mode="json")}

    def _judge(self, record: ProbationRecord) -> None:
        seen, before, limits = self._tally(), record.before, self.limits
        if seen.windows < min(limits.early, limits.windows):
            return
        if seen.silent_windows and seen.silent_mass > max(limits.silent_mass, before.silent_mass):
            self._fail(f"it marks {seen.silent_mass:.1%} of the picture while no sound comes, {before.silent_mass:.1%} before")
            return
        if before.windows and seen.infer_ms > limits.infer_ratio * before.infer_ms > 0:
            self._fail(f"the engine takes {seen.infer_ms:.1f} ms a window, {before.infer_ms:.1f} ms before")
            return
        emptier = before.windows > 0 and seen.empty_share > before.empty_share + limits.emptier
        # A scene may simply have fallen silent, so the windows themselves are looked at: once anyway, once more if it seems so.
        if not self._inspections or (emptier and self._inspections == 1):
            self._inspections += 1
            if fault := self._inspect():
                self._fail(fault)

    def _tally(self) -> Tally:
        """With what was seen before a restart."""
        new, old = self._seen.tally(), self._resumed
        windows, silent = new.windows + old.windows, new.silent_windows + old.silent_windows
        return Tally(
            windows=windows,
            empty=new.empty + old.empty,
            mass=_joined((new.mass, new.windows), (old.mass, old.windows)),
            silent_windows=silent,
            silent_mass=_joined((new.silent_mass, new.silent_windows), (old.silent_mass, old.silent_windows)),
            infer_ms=_joined((new.infer_ms, new.windows), (old.infer_ms, old.windows)),
        )

    def _fail(self, fault: str) -> None:
        if self.record is not None and not self.record.fault:
            self._note(self.record.model_copy(update={"fault": fault, "seen": self._tally()}))

    def _note(self, record: ProbationRecord) -> None:
        self.record = record
        staged = self._path.with_name(f".{PROBATION_FILE}.writing")
        try:
            self._disk.write(staged, to_json(record))
            self._disk.rename(staged, self._path)
            self._disk.sync_directory(self._path.parent)
        except OSError as error:
            raise AdaptError(f"{self._path}: {error.strerror}; the version stays as it is, free some space") from error

    def _read(self) -> ProbationRecord | None:
        try:
            return ProbationRecord.model_validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):  # exchanged by a rename: a torn one was edited by hand
            return None


def _joined(*parts: tuple[float, int]) -> float:
    """The mean of means."""
    windows = sum(count for _, count in parts)
    return sum(value * count for value, count in parts) / windows if windows else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
