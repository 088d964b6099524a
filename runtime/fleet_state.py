"""What a robot remembers of its fleet, beside its model store: STORE/fleet.

state.json                     highest releases followed and pushed: what is lower is old, whoever shows it
quarantine/<number>-<digest>/  reason.json: a release that was signed and whole, and still must not be used
incoming/                      what is being fetched; what is whole there is not fetched again
lock                           held by the process that pushes or pulls
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import FleetError
from cavs.runtime.fleet_release import NUMBER_DIGITS, Release, utc_now
from cavs.runtime.manifest import Record, Sha256, to_json, what_is_wrong
from cavs.runtime.store_lock import writing
from cavs.runtime.store_read import REASON_FILE, disk_errors

LOCK_WAIT_NS = 2 * NS_PER_S
"""A fetch takes longer than anybody wants to wait: who holds the lock is said soon."""
DIGEST_CHARS = 12

Known = Annotated[int, Field(ge=0)]


class FleetMemory(Record):
    """`state.json`."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    followed: Known = 0
    """Highest release that this robot took, or made itself."""
    version: Known = 0
    """The version of the local store that it became."""
    pushed: Known = 0
    """Highest release that this robot made."""


class RefusedRelease(Record):
    """`quarantine/<number>-<digest>/reason.json`."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    number: int
    release_sha256: Sha256
    signer: str
    bundle_id: Sha256
    adapter_id: Sha256
    reason: str
    refused: str
    """When, in UTC, for people."""


class FleetFolder:
    """Reads and writes STORE/fleet. Everything appears by a rename."""

    def __init__(self, store: Path, clock: Clock, disk: Disk) -> None:
        self.path = store / "fleet"
        self.incoming = self.path / "incoming"
        self._state = self.path / "state.json"
        self._clock = clock
        self._disk = disk

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock. Raises StoreError if another process has it, or the disk refuses."""
        with disk_errors(self.path):
            self._disk.make_directory(self.path)
            with writing(self.path / "lock", self._clock, LOCK_WAIT_NS):
                yield

    def memory(self) -> FleetMemory:
        """What is remembered; nothing before the first release. Raises FleetError if it cannot be read: it is no small loss."""
        remedy = "remove it to take any release that a trusted key signed, old ones too"
        try:
            return FleetMemory.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            return FleetMemory()
        except OSError as error:
            raise FleetError(f"{self._state}: {error.strerror}; make it readable") from error
        except ValidationError as error:
            raise FleetError(f"{self._state}: {what_is_wrong(error)}; {remedy}") from error

    def remember(self, memory: FleetMemory) -> None:
        """Writes it down."""
        staged = self._state.with_suffix(".new")
        self._disk.write(staged, to_json(memory))
        self._disk.rename(staged, self._state)
        self._disk.sync_directory(self.path)

    def quarantined(self, number: int, release_sha256: str) -> RefusedRelease | None:
        """Why a release was refused for good; none if it was not."""
        path = self.quarantine_path(number, release_sha256) / REASON_FILE
        try:
            return RefusedRelease.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise FleetError(f"{path}: {what_is_wrong(error)}; remove it by hand") from error

    def quarantine(self, release: Release, release_sha256: str, signer: str, reason: str) -> None:
        """Refuses a release for good and writes down why."""
        path = self.quarantine_path(release.number, release_sha256)
        staged = self.path / "refusing"
        record = RefusedRelease(
            number=release.number,
            release_sha256=release_sha256,
            signer=signer,
            bundle_id=release.bundle_id,
            adapter_id=release.adapter_id,
            reason=reason,
            refused=utc_now(),
        )
        for directory in (path.parent, staged):
            self._disk.make_directory(directory)
        self._disk.write(staged / REASON_FILE, to_json(record))
        self._disk.sync_directory(staged)
        self._disk.rename(staged, path)
        self._disk.sync_directory(path.parent)

    def clear_incoming(self) -> None:
        """Forgets what was fetched."""
        self._disk.remove(self.incoming)

    def quarantine_path(self, number: int, release_sha256: str) -> Path:
        """Where the reason of a refusal lies."""
        return self.path / "quarantine" / f"{number:0{NUMBER_DIGITS}}-{release_sha256[:DIGEST_CHARS]}"
