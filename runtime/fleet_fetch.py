"""Brings the files of a release here and checks all that a store would check, before the store hears of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cavs.runtime.adapter import Adapter, check_adapter, default_adapter, read_adapter
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.disk import Disk, sha256_of_file
from cavs.runtime.errors import AdapterRejected, BundleRejected, StoreError
from cavs.runtime.fleet_release import Release
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.fleet_state import FleetFolder
from cavs.runtime.manifest import FileEntry
from cavs.runtime.store_read import StoreReader

BYTES_PER_MIB = 1 << 20
COPIES = 2
"""What is fetched lies on the disk twice for a moment: where it arrived and in the store."""
TRIAL_SEED, TRIAL_LOUDNESS = 1, 0.3


@dataclass(frozen=True, slots=True, eq=False)
class FetchedModel:
    """A model that is here, whole, and fits together. adapter: none means the bundle's default adapter."""

    bundle: Bundle
    adapter: Adapter | None


class Fetcher:
    """Fetches releases from a remote into a fleet's folder; a bundle that the store has is not fetched."""

    def __init__(self, store: StoreReader, remote: Remote, folder: FleetFolder, disk: Disk) -> None:
        self._store = store
        self._remote = remote
        self._folder = folder
        self._disk = disk

    def fetch(self, release: Release) -> FetchedModel:
        """Raises ReleaseRefused for what does not arrive as it was signed, EngineError for what does not fit.

        What has arrived whole stays when the remote goes away, for the next try; it goes when the disk is full.
        """
        bundle = self._stored_bundle(release)
        folders = {self._folder.incoming / release.adapter_id: release.adapter_files}
        if bundle is None:
            folders[self._folder.incoming / release.bundle_id] = release.bundle_files
        try:
            self._forget_others({path.name for path in folders})
            missing = [(path / file.name, file) for path, files in folders.items() for file in files]
            missing = [(path, file) for path, file in missing if not _is_whole(path, file)]
            self._check_room(sum(file.size_bytes for _, file in missing))
            for path, file in missing:
                self._receive(path, file)
        except OSError:
            self._folder.clear_incoming()
            raise
        if bundle is None:
            bundle = _read_fetched(self._folder.incoming / release.bundle_id, release)
        adapter = read_adapter(self._folder.incoming / release.adapter_id) if release.adapter_files else None
        _check_fit(release, bundle, adapter)
        return FetchedModel(bundle, adapter)

    def _stored_bundle(self, release: Release) -> Bundle | None:
        try:
            return self._store.bundle(release.bundle_id)
        except StoreError:  # not there, or damaged
            return None

    def _forget_others(self, names: set[str]) -> None:
        """Removes what an earlier release left."""
        if self._folder.incoming.is_dir():
            for path in self._folder.incoming.iterdir():
                if path.name not in names:
                    self._disk.remove(path)

    def _check_room(self, size_bytes: int) -> None:
        free = shutil.disk_usage(self._folder.path).free
        if COPIES * size_bytes > free:
            raise StoreError(
                f"{self._folder.path}: {COPIES * size_bytes / BYTES_PER_MIB:.0f} MiB are needed to take the release, "
                f"{free / BYTES_PER_MIB:.0f} MiB are free; the current version is as it was; free some space, for instance "
                "with cavs-models gc"
            )

    def _receive(self, path: Path, file: FileEntry) -> None:
        """Under its name only when its last byte is here and its digest is right."""
        self._disk.make_directory(path.parent)
        part = self._folder.incoming / f"{file.sha256}.part"
        try:
            self._disk.write_pieces(part, self._remote.pieces(file))
            self._disk.rename(part, path)
        finally:
            self._disk.remove(part)


def try_out(model: FetchedModel) -> None:
    """Runs one window of noise on the CPU: raises EngineError for a model that fails, or says what is not a number."""
    from cavs.runtime.onnx_engine import OnnxEngine  # heavy: opens the engine's library, and most looks find nothing new

    engine = OnnxEngine(model.bundle, threads=1)
    try:
        manifest, rng = model.bundle.manifest, np.random.default_rng(TRIAL_SEED)
        frame = rng.integers(0, 256, (manifest.frame.height_px, manifest.frame.width_px, 3), np.uint8)
        sound = rng.normal(0, TRIAL_LOUDNESS, manifest.sound.samples).clip(-1, 1).astype(np.float32)
        engine.run(frame, sound, engine.prepare(model.adapter or default_adapter(model.bundle)))
    finally:
        engine.close()


def _is_whole(path: Path, file: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of_file(path) == file.sha256


def _read_fetched(path: Path, release: Release) -> Bundle:
    bundle = read_bundle(path)
    if bundle.id != release.bundle_id:
        raise BundleRejected(f"the release names bundle {release.bundle_id[:12]}, its files are bundle {bundle.id[:12]}")
    if bundle.manifest.plans:
        raise BundleRejected(f"bundle {bundle.id[:12]} brings compiled plans: native code of another machine is never taken")
    return bundle


def _check_fit(release: Release, bundle: Bundle, adapter: Adapter | None) -> None:
    fitting = adapter or default_adapter(bundle)
    check_adapter(fitting, bundle)
    if fitting.id != release.adapter_id:
        raise AdapterRejected(f"the release names adapter {release.adapter_id[:12]}, its files are adapter {fitting.id[:12]}")
