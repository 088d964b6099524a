"""Reading a model store. Readers take no lock: whatever they can see is whole."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from cavs.runtime.adapter import Adapter, check_adapter, default_adapter, read_adapter
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.errors import EngineError, StoreError
from cavs.runtime.manifest import Record, Sha256, what_is_wrong

VERSION_FILE = "version.json"
REASON_FILE = "reason.json"
READ_TRIES = 3
"""How often the current version may change under a reader before it gives up."""

NUMBER = re.compile("[1-9][0-9]{0,8}")
"""Name of a version's directory; everything else there is none of ours."""

VersionNumber = Annotated[int, Field(gt=0)]


class VersionRecord(Record):
    """`versions/<n>/version.json`, written last. Without `own_adapter` it points to its bundle's default adapter."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    version: VersionNumber
    bundle_id: Sha256
    adapter_id: Sha256
    own_adapter: bool


class Pointer(Record):
    """`current`: the version that runs, and those that ran before it, oldest first."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    version: VersionNumber
    trail: tuple[VersionNumber, ...] = ()


class Quarantine(Record):
    """`quarantine/<n>/reason.json`: why a version must not be used."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    version: VersionNumber
    reason: Annotated[str, Field(min_length=1)]
    scores: dict[str, JsonValue] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StoredModel:
    """A verified version: its bundle and an adapter that fits it.

    skipped: why newer versions could not be used; empty unless this is a fallback.
    """

    version: int
    bundle: Bundle
    adapter: Adapter
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version as `cavs-models list` shows it. `problem` says why it cannot be used."""

    version: int
    current: bool
    bundle_id: str | None
    adapter_id: str | None
    written_ns: int
    """Wall time of its file, for people."""
    quarantined: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a store, in one line."""

    path: Path
    text: str


_RecordT = TypeVar("_RecordT", bound=Record)


class StoreReader:
    """Paths, records and models of a store. Raises StoreError for all that cannot be read or used."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.versions_path = self.path / "versions"
        self.bundles_path = self.path / "bundles"
        self.quarantine_path = self.path / "quarantine"
        self.pointer_path = self.path / "current"

    def require(self) -> None:
        """Raises StoreError unless there is a store."""
        if not self.versions_path.is_dir():
            raise StoreError(f"{self.path} is not a model store; make one with: cavs-models add BUNDLE --store {self.path}")

    def versions(self) -> tuple[int, ...]:
        """All version numbers, ascending."""
        self.require()
        return numbers_in(self.versions_path)

    def pointer(self) -> Pointer | None:
        """What `current` says; none if no version was ever used."""
        return self._record(self.pointer_path, Pointer, "make a version current with: cavs-models use N")

    def record(self, version: int) -> VersionRecord:
        """What a version says of itself."""
        path = self.versions_path / str(version) / VERSION_FILE
        record = self._record(path, VersionRecord, "remove that version")
        if record is None:
            there = ", ".join(map(str, self.versions())) or "none"
            raise StoreError(f"{self.path} has no version {version}; it has: {there}")
        if record.version != version:
            raise StoreError(f"{path} is of version {record.version}: moved by hand; remove that version")
        return record

    def quarantined(self, version: int) -> Quarantine | None:
        """Why a version must not be used; none if it may be."""
        return self._record(self.quarantine_path / str(version) / REASON_FILE, Quarantine, "remove it by hand")

    def bundle(self, bundle_id: str) -> Bundle:
        """A bundle of the store, verified."""
        path = self.bundles_path / bundle_id
        if not path.is_dir():
            raise StoreError(f"{self.path} has no bundle {bundle_id[:12]}; add it with: cavs-models add BUNDLE")
        with _as_store_error():
            bundle = read_bundle(path)
        if bundle.id != bundle_id:
            raise StoreError(f"{path} holds bundle {bundle.id[:12]}: moved by hand; add the right one again")
        return bundle

    def load(self, version: int) -> StoredModel:
        """A version ready for an engine, everything verified."""
        if banned := self.quarantined(version):
            raise StoreError(f"version {version} is in quarantine: {banned.reason}")
        record = self.record(version)
        bundle = self.bundle(record.bundle_id)
        with _as_store_error():
            own = record.own_adapter
            adapter = read_adapter(self.versions_path / str(version)) if own else default_adapter(bundle)
            check_adapter(adapter, bundle)
        if adapter.id != record.adapter_id:
            raise StoreError(
                f"version {version} holds adapter {adapter.id[:12]}, it was committed with {record.adapter_id[:12]}: "
                "files were exchanged by hand; use another version"
            )
        return StoredModel(version, bundle, adapter)

    def load_current(self) -> StoredModel:
        """The current version; if it cannot be used, the last one before it that can, with what was skipped and why."""
        self.require()
        for _ in range(READ_TRIES):
            pointer = self.pointer()
            if pointer is None:
                raise StoreError(f"{self.path} has no current version; choose one with: cavs-models use N")
            skipped: list[str] = []
            for version in (pointer.version, *reversed(pointer.trail)):
                try:
                    model = self.load(version)
                except StoreError as error:
                    skipped.append(f"version {version}: {error}")
                else:
                    return StoredModel(model.version, model.bundle, model.adapter, tuple(skipped))
            if self.pointer() == pointer:
                raise StoreError(f"{self.path} has no version that can be used: {'; '.join(skipped)}")
        raise StoreError(f"{self.path} changed {READ_TRIES} times while it was read; try again")

    def history(self) -> tuple[VersionLine, ...]:
        """All versions, ascending, with those in quarantine."""
        self.require()
        pointer = self.pointer()
        numbers = sorted({*self.versions(), *numbers_in(self.quarantine_path)})
        return tuple(self._line(version, pointer) for version in numbers)

    def verify(self) -> tuple[Finding, ...]:
        """Reads everything; all that is wrong, each in one line."""
        self.require()
        findings = []
        try:
            pointer = self.pointer()
            if pointer is not None and pointer.version not in self.versions():
                findings.append(Finding(self.pointer_path, f"points to version {pointer.version}, which is not there"))
        except StoreError as error:
            findings.append(Finding(self.pointer_path, str(error)))
        for version in self.versions():
            try:
                if self.quarantined(version) is None:
                    self.load(version)
            except StoreError as error:
                findings.append(Finding(self.versions_path / str(version), str(error)))
        for path in sorted(self.bundles_path.iterdir()):
            try:
                self.bundle(path.name)
            except StoreError as error:
                findings.append(Finding(path, str(error)))
        return tuple(findings)

    def _line(self, version: int, pointer: Pointer | None) -> VersionLine:
        path = self.versions_path / str(version) / VERSION_FILE
        current = pointer is not None and pointer.version == version
        quarantine = self.quarantined(version)
        banned = quarantine.reason if quarantine else None
        written_ns = path.stat().st_mtime_ns if path.exists() else 0
        try:
            record = self.record(version)
        except StoreError as error:
            return VersionLine(version, current, None, None, written_ns, banned, str(error))
        return VersionLine(version, current, record.bundle_id, record.adapter_id, written_ns, banned, None)

    def _record(self, path: Path, kind: type[_RecordT], remedy: str) -> _RecordT | None:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; a readable model store was expected") from error
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            raise StoreError(f"{path}: {what_is_wrong(error)}; torn or edited: {remedy}") from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line."""
    try:
        yield
    except OSError as error:
        remedy = {
            ENOSPC: "free some space, for instance with cavs-models gc",
            EDQUOT: "free some space, for instance with cavs-models gc",
            EACCES: "give yourself the right to write there or choose another --store",
            EPERM: "give yourself the right to write there or choose another --store",
            EROFS: "choose another --store",
        }.get(error.errno or 0, "look at that path")
        raise StoreError(f"{error.filename or path}: {error.strerror}; the current version is as it was; {remedy}") from error


@contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise StoreError(str(error)) from error


def numbers_in(path: Path) -> tuple[int, ...]:
    """The versions that a directory has entries for, ascending."""
    if not path.is_dir():
        return ()
    return tuple(sorted(int(item.name) for item in path.iterdir() if NUMBER.fullmatch(item.name) and item.is_dir()))
