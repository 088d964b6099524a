"""Writing a model store: each change appears by one rename, so a crash anywhere leaves the last good version current.

versions/<n>/           adapter.safetensors, adapter.json (absent: the bundle's default adapter), version.json
bundles/<id>/           bundles, as sealed
current                 which version runs and which ran before it
quarantine/<n>/         reason.json: why version n must not be used, or why a candidate never became one
staging/                what is not finished; the next writer clears it
lock                    held by the writer
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cavs.runtime.adapter import Adapter, check_adapter, default_adapter, write_adapter_files
from cavs.runtime.bundle import MANIFEST_FILE, read_bundle
from cavs.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import BundleRejected, StoreError
from cavs.runtime.manifest import to_json
from cavs.runtime.store_lock import writing
from cavs.runtime.store_read import (
    REASON_FILE,
    VERSION_FILE,
    Pointer,
    Quarantine,
    StoreReader,
    VersionRecord,
    disk_errors,
    numbers_in,
)

LOCK_WAIT_NS = 5 * NS_PER_S
"""How long a writer waits for another: copying a bundle takes less."""

KEEP_VERSIONS = 5
"""Newest versions that `gc` keeps unless told otherwise."""


TRAIL_MAX = 100
"""Versions that `current` remembers to roll back to."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What `gc` removed."""

    versions: tuple[int, ...]
    bundles: tuple[str, ...]


def default_store_path() -> Path:
    """`cavs/models` in the user's data directory (XDG)."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "cavs" / "models"


class ModelStore(StoreReader):
    """A store that may be written. Makes the directory with the first bundle. One writer at a time, of any process."""

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Clock | None = None,
        disk: Disk | None = None,
        lock_wait_ns: int = LOCK_WAIT_NS,
    ) -> None:
        super().__init__(path)
        self.staging_path = self.path / "staging"
        self._lock_path = self.path / "lock"
        self._clock = clock or MonotonicClock()
        self._disk = disk or Disk()
        self._lock_wait_ns = lock_wait_ns

    def add_bundle(self, path: Path | str) -> str:
        """Copies a verified bundle into the store; its id. One that is there is kept, a damaged one is replaced."""
        source = read_bundle(path)
        target = self.bundles_path / source.id
        with self._writing(create=True):
            if target.exists():
                with suppress(BundleRejected):
                    return read_bundle(target).id
            staged = self.staging_path / "bundle"
            self._disk.make_directory(staged)
            plans = (file for plan in source.manifest.plans for file in plan.files)
            names = sorted(file.name for file in (*source.manifest.files, *plans))
            for name in (*names, MANIFEST_FILE):
                self._disk.copy(source.root / name, staged / name)
            self._disk.sync_directory(staged)
            read_bundle(staged)
            if target.exists():
                self._disk.rename(target, self.staging_path / "damaged")
            self._publish(staged, target)
        return source.id

    def commit(self, adapter: Adapter | None, bundle_id: str, *, make_current: bool = True) -> int:
        """Writes a new version, its number; by default it becomes the current one.

        adapter: none means the bundle's default adapter. Raises AdapterRejected if it does not fit the bundle.
        """
        bundle = self.bundle(bundle_id)
        if adapter is not None:
            check_adapter(adapter, bundle)
        with self._writing():
            version = max((*self.versions(), *numbers_in(self.quarantine_path)), default=0) + 1
            record = VersionRecord(
                version=version,
                bundle_id=bundle_id,
                adapter_id=(adapter or default_adapter(bundle)).id,
                own_adapter=adapter is not None,
            )
            staged = self.staging_path / "version"
            self._disk.make_directory(staged)
            if adapter is not None:
                write_adapter_files(adapter, staged, self._disk)
            self._disk.write(staged / VERSION_FILE, to_json(record))
            self._disk.sync_directory(staged)
            self._publish(staged, self.versions_path / str(version))
            if make_current:
                self._point_to(version)
        return version

    def use(self, version: int) -> None:
        """Makes a version current after verifying it."""
        self.require()
        with self._writing():
            self.load(version)
            self._point_to(version)

    def rollback(self) -> int:
        """Makes the version current that was so before, or the last before it that can be used; its number."""
        self.require()
        with self._writing():
            pointer = self.pointer()
            trail = pointer.trail if pointer else ()
            reasons = []
            for index in range(len(trail) - 1, -1, -1):
                try:
                    self.load(trail[index])
                except StoreError as error:
                    reasons.append(f"version {trail[index]}: {error}")
                    continue
                self._write_pointer(Pointer(version=trail[index], trail=trail[:index]))
                return trail[index]
        now = f"version {pointer.version} is current" if pointer else "no version is current"
        raise StoreError(f"nothing to roll back to, {now}{'; '.join(['', *reasons])}; choose one with: cavs-models use N")

    def quarantine(self, version: int, reason: str, scores: dict[str, JsonValue] | None = None) -> None:
        """Forbids a version for good and writes down why. The current one must be rolled back first."""
        self.record(version)
        with self._writing():
            pointer = self.pointer()
            if pointer is not None and pointer.version == version:
                raise StoreError(f"version {version} is current; roll back before it goes into quarantine")
            if self.quarantined(version) is not None:
                raise StoreError(f"version {version} is in quarantine already")
            self._put_in_quarantine(Quarantine(version=version, reason=reason, scores=scores or {}))

    def refuse(self, reason: str, scores: dict[str, JsonValue] | None = None) -> int:
        """Writes down why a candidate never became a version; the number in quarantine that stands for it."""
        with self._writing():
            number = max((*self.versions(), *numbers_in(self.quarantine_path)), default=0) + 1
            self._put_in_quarantine(Quarantine(version=number, reason=reason, scores=scores or {}))
        return number

    def gc(self, keep: int = KEEP_VERSIONS) -> Swept:
        """Removes all but the newest `keep` versions, the current one and the one it would roll back to.

        Bundles that no version needs go too; of a version in quarantine the reason stays.
        """
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}: numbers of versions are never used twice")
        self.require()
        with self._writing():
            pointer = self.pointer()
            allowed = [version for version in self.versions() if self.quarantined(version) is None]
            kept = set(allowed[-keep:])
            if pointer is not None:
                kept |= {pointer.version, *[version for version in pointer.trail if version in allowed][-1:]}
            needed = {self.record(version).bundle_id for version in self.versions() if version in kept}
            if pointer is not None and not kept.issuperset(pointer.trail):
                trail = tuple(version for version in pointer.trail if version in kept)
                self._write_pointer(Pointer(version=pointer.version, trail=trail))
            dropped = tuple(version for version in self.versions() if version not in kept)
            loose = tuple(path for path in sorted(self.bundles_path.iterdir()) if path.name not in needed)
            for path in (*(self.versions_path / str(version) for version in dropped), *loose):
                self._drop(path)
        return Swept(dropped, tuple(path.name for path in loose))

    def _put_in_quarantine(self, record: Quarantine) -> None:
        staged = self.staging_path / "quarantine"
        self._disk.make_directory(staged)
        self._disk.write(staged / REASON_FILE, to_json(record))
        self._disk.sync_directory(staged)
        self._publish(staged, self.quarantine_path / str(record.version))

    def _point_to(self, version: int) -> None:
        try:
            pointer = self.pointer()
        except StoreError:  # a damaged pointer is replaced; where it led to cannot be known
            pointer = None
        before = () if pointer is None else (*pointer.trail, pointer.version)
        trail = tuple(old for old in before if old != version)[-TRAIL_MAX:]
        self._write_pointer(Pointer(version=version, trail=trail))

    def _write_pointer(self, pointer: Pointer) -> None:
        staged = self.staging_path / "current"
        self._disk.write(staged, to_json(pointer))
        self._disk.rename(staged, self.pointer_path)
        self._disk.sync_directory(self.path)

    def _publish(self, staged: Path, target: Path) -> None:
        self._disk.rename(staged, target)
        self._disk.sync_directory(target.parent)

    def _drop(self, path: Path) -> None:
        trash = self.staging_path / f"dropped-{path.name}"
        self._disk.rename(path, trash)
        self._disk.sync_directory(path.parent)
        self._disk.remove(trash)

    @contextmanager
    def _writing(self, *, create: bool = False) -> Iterator[None]:
        """Holds the lock, with an empty staging directory before and after."""
        if not create:
            self.require()
        with disk_errors(self.path):
            for path in (self.versions_path, self.bundles_path, self.quarantine_path):
                self._disk.make_directory(path)
            with writing(self._lock_path, self._clock, self._lock_wait_ns):
                self._disk.remove(self.staging_path)
                self._disk.make_directory(self.staging_path)
                try:
                    yield
                finally:
                    with suppress(OSError):
                        self._disk.remove(self.staging_path)
