"""Gives a version of the local store to the fleet: contents first, the signed release last."""

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cavs.runtime.adapter import ADAPTER_MANIFEST_FILE
from cavs.runtime.bundle import ADAPTER_FILE, MANIFEST_FILE
from cavs.runtime.clock import Clock
from cavs.runtime.disk import Disk, sha256_of_file
from cavs.runtime.errors import FleetError, ReleaseRefused, RemoteAway, StoreError
from cavs.runtime.fleet_release import NUMBER_MAX, RELEASE_MAX_BYTES, Release, open_release, sign_release, utc_now
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.fleet_state import FleetFolder
from cavs.runtime.manifest import FileEntry, to_json
from cavs.runtime.signing import SigningKey, TrustedKey
from cavs.runtime.store import ModelStore
from cavs.runtime.store_read import StoredModel

LOOKED_AT_MAX = 100
"""Releases that are opened to find the newest that counts: more of them unsigned means that somebody else writes there."""
NUMBERS_TRIED_MAX = 100
"""Other pushers may take a number before us; a hundred in a row do not."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. `files_sent` of 0: the contents lay there; `is_new` false: the newest release is this model."""

    number: int
    version: int
    is_new: bool
    files_sent: int
    bytes_sent: int


class Pusher:
    """Pushes versions of a store to a remote, signed with a key."""

    def __init__(
        self, store: ModelStore, remote: Remote, key: SigningKey, trusted: tuple[TrustedKey, ...], clock: Clock
    ) -> None:
        self._store = store
        self._remote = remote
        self._key = key
        self._trusted = (*trusted, key.public("this machine"))
        self._folder = FleetFolder(store.path, clock, Disk())

    def push(self, version: int | None = None, *, again: bool = False) -> Pushed:
        """Pushes a version, the current one if none is given.

        again: write all contents once more and make a new release, whatever lies there.
        Raises StoreError, FleetError, RemoteAway. Whatever happens, readers see the releases from before or also the new one.
        """
        self._remote.require()
        model = self._store.load(version or self._current())
        with self._folder.locked():
            newest = self._newest()
            if newest is not None and newest.model == (model.bundle.id, model.adapter.id) and not again:
                return Pushed(newest.number, model.version, False, 0, 0)
            with tempfile.TemporaryDirectory() as scratch:
                bundle, adapter = _bundle_files(model, Path(scratch)), _adapter_files(self._store, model)
                contents = {**bundle, **adapter}
                sent = [entry for entry, path in contents.items() if self._send(entry, path, again)]
            memory = self._folder.memory()
            draft = Release(
                number=max(memory.pushed, memory.followed, newest.number if newest else 0) + 1,
                made=utc_now(),
                bundle_id=model.bundle.id,
                bundle_files=tuple(bundle),
                adapter_id=model.adapter.id,
                adapter_files=tuple(adapter),
            )
            number = self._publish(draft)
            self._folder.remember(memory.model_copy(update={"pushed": number, "followed": number, "version": model.version}))
        return Pushed(number, model.version, True, len(sent), sum(entry.size_bytes for entry in sent))

    def _current(self) -> int:
        self._store.require()
        pointer = self._store.pointer()
        if pointer is None:
            raise StoreError(f"{self._store.path} has no current version to push; choose one with: --version N")
        return pointer.version

    def _newest(self) -> Release | None:
        """The highest release that we or somebody whom we trust signed. What others wrote there is passed over."""
        numbers = self._remote.release_numbers()
        for number in numbers[:LOOKED_AT_MAX]:
            with suppress(ReleaseRefused):
                envelope = self._remote.read_release(number, RELEASE_MAX_BYTES)
                return open_release(envelope, number, self._trusted)[0]
        if len(numbers) > LOOKED_AT_MAX:
            raise FleetError(
                f"{self._remote}: none of the {LOOKED_AT_MAX} highest releases is signed by this machine or a key that it "
                "trusts; trust those who push there, or choose another place"
            )
        return None

    def _send(self, entry: FileEntry, path: Path, again: bool) -> bool:
        """True if the content was sent; it is not if it lies there."""
        if not again and self._remote.has_file(entry):
            return False
        self._remote.write_file(entry, path)
        if not self._remote.has_file(entry):
            raise RemoteAway(f"{self._remote}: {entry.name} was written and is not there; push again")
        return True

    def _publish(self, draft: Release) -> int:
        """Writes the release under the first number from the draft's that nobody has; that number."""
        for number in range(draft.number, min(draft.number + NUMBERS_TRIED_MAX, NUMBER_MAX + 1)):
            release = draft.model_copy(update={"number": number})
            if self._remote.create_release(number, sign_release(release, self._key)):
                return number
        raise FleetError(
            f"{self._remote}: {NUMBERS_TRIED_MAX} numbers from {draft.number} on are taken by releases of strangers"
        )


def _bundle_files(model: StoredModel, scratch: Path) -> dict[FileEntry, Path]:
    """A bundle's files. Its plans stay here: each is for one kind of device and may run only where its key lies."""
    manifest = model.bundle.manifest.model_copy(update={"plans": ()})
    described = scratch / MANIFEST_FILE
    described.write_bytes(to_json(manifest))
    return {**{entry: model.bundle.root / entry.name for entry in manifest.files}, _entry(described): described}


def _adapter_files(store: ModelStore, model: StoredModel) -> dict[FileEntry, Path]:
    """The files of a version's own adapter; none if it runs its bundle's."""
    if not store.record(model.version).own_adapter:
        return {}
    folder = store.versions_path / str(model.version)
    return {_entry(folder / name): folder / name for name in (ADAPTER_MANIFEST_FILE, ADAPTER_FILE)}


def _entry(path: Path) -> FileEntry:
    return FileEntry(name=path.name, sha256=sha256_of_file(path), size_bytes=path.stat().st_size)
