"""Takes the newest release of a fleet into the local store, if it is trusted, whole and fits."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cavs.runtime.clock import Clock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import EngineError, FleetError, ReleaseRefused, StoreError
from cavs.runtime.fleet_fetch import FetchedModel, Fetcher, try_out
from cavs.runtime.fleet_keys import load_trusted
from cavs.runtime.fleet_release import RELEASE_MAX_BYTES, Release, open_release
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.fleet_state import FleetFolder, FleetMemory
from cavs.runtime.signing import TrustedKey
from cavs.runtime.store import ModelStore

LOOKED_AT_MAX = 32
"""Releases above the last one that are opened in one look: who floods a remote must not keep us busy."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A release that is now the current version of the local store."""

    number: int
    version: int
    signer: str
    is_new: bool
    """False: the store had that model already, and it was made current."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one look at a remote gave. `refused`: releases above the last one that may not be used, one line each."""

    taken: Taken | None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A release that a trusted key signed."""

    release: Release
    sha256: str
    signer: str


class Puller:
    """Follows one remote with one store. Nothing in the store changes before a release has passed every check.

    keys: directory whose `trusted` keys count; read at each look, so a key that is taken away counts no more.
    """

    def __init__(self, store: ModelStore, remote: Remote, keys: Path, clock: Clock, disk: Disk | None = None) -> None:
        self._store = store
        self._remote = remote
        self._keys = keys
        self._folder = FleetFolder(store.path, clock, disk or Disk())
        self._fetcher = Fetcher(store, remote, self._folder, disk or Disk())

    def pull(self, *, anew: bool = False) -> Pulled:
        """Takes the newest release above the last one that is trusted, whole and fits; passes over all that is not.

        anew: the fleet was begun anew: releases of any number are taken, once.
        Raises RemoteAway, StoreError (lock, full disk) and FleetError; then nothing has changed and it may be tried again.
        """
        trusted = self._trusted()
        with self._folder.locked():
            memory = FleetMemory() if anew else self._folder.memory()
            numbers = self._remote.release_numbers()
            refused: list[str] = []
            if memory.followed and (numbers[0] if numbers else 0) < memory.followed:
                shown = f"shows releases up to {numbers[0]}" if numbers else "shows no release"
                refused.append(
                    f"{self._remote} {shown}, this robot has {memory.followed}: an old copy, or somebody took releases "
                    "away; nothing was changed; if the fleet was begun anew: cavs-models pull REMOTE --anew"
                )
            newer = [number for number in numbers if number > memory.followed]
            for number in newer[:LOOKED_AT_MAX]:
                try:
                    found = self._open(number, trusted)
                    known = self._known(found)
                    version = self._commit(self._fetch(found)) if known is None else self._use(known)
                except ReleaseRefused as error:
                    refused.append(str(error))
                    continue
                self._folder.remember(memory.model_copy(update={"followed": number, "version": version}))
                return Pulled(Taken(number, version, found.signer, known is None), tuple(refused))
        return Pulled(None, tuple(refused))

    def _trusted(self) -> tuple[TrustedKey, ...]:
        if trusted := load_trusted(self._keys):
            return trusted
        raise FleetError(f"{self._keys}: no key is trusted, so no release can be taken; first: cavs-models trust KEY")

    def _open(self, number: int, trusted: tuple[TrustedKey, ...]) -> _Found:
        """Raises ReleaseRefused if it is not signed by a trusted key, or in quarantine."""
        envelope = self._remote.read_release(number, RELEASE_MAX_BYTES)
        release, signer = open_release(envelope, number, trusted)
        found = _Found(release, hashlib.sha256(envelope).hexdigest(), signer)
        if banned := self._folder.quarantined(number, found.sha256):
            raise ReleaseRefused(self._why(found, banned.reason))
        return found

    def _known(self, found: _Found) -> int | None:
        """The version of the store that is this model already; none if it must be fetched."""
        if not self._store.versions_path.is_dir():
            return None
        for version in reversed(self._store.versions()):
            try:
                record = self._store.record(version)
                if (record.bundle_id, record.adapter_id) != found.release.model:
                    continue
                if banned := self._store.quarantined(version):
                    self._refuse(found, f"it is version {version} of this store, in quarantine: {banned.reason}")
                self._store.load(version)
            except StoreError:  # damaged here: fetched anew
                continue
            return version
        return None

    def _fetch(self, found: _Found) -> FetchedModel:
        """Raises ReleaseRefused if it does not arrive whole, and for good if it does not fit."""
        try:
            model = self._fetcher.fetch(found.release)
            try_out(model)
        except EngineError as error:
            self._folder.clear_incoming()
            self._refuse(found, str(error))
        return model

    def _refuse(self, found: _Found, reason: str) -> NoReturn:
        self._folder.quarantine(found.release, found.sha256, found.signer, reason)
        raise ReleaseRefused(self._why(found, reason))

    def _why(self, found: _Found, reason: str) -> str:
        path = self._folder.quarantine_path(found.release.number, found.sha256)
        return (
            f"release {found.release.number}, signed by {found.signer}, is in quarantine: {reason} "
            f"(to try it again, remove {path})"
        )

    def _commit(self, model: FetchedModel) -> int:
        try:
            return self._store.commit(model.adapter, self._store.add_bundle(model.bundle.root))
        finally:  # also where the disk is full: what was fetched must not keep it full
            self._folder.clear_incoming()

    def _use(self, version: int) -> int:
        pointer = self._store.pointer()
        if pointer is None or pointer.version != version:
            self._store.use(version)
        return version
