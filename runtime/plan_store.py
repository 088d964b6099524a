"""Adds a built plan to its bundle. At each instant the bundle lists whole plans only; a failed build changes nothing."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cavs.runtime.bundle import MANIFEST_FILE, PLAN_PREFIX, Bundle, read_bundle
from cavs.runtime.disk import Disk, sha256_of_file
from cavs.runtime.errors import PlanRejected
from cavs.runtime.manifest import FileEntry, PlanEntry, to_json
from cavs.runtime.plan import keyed_digest

NAME_DIGEST_CHARS = 12
"""Of a file's digest in its name: another plan never has the name of one that is listed."""


def plan_file(path: Path, purpose: str, suffix: str) -> FileEntry:
    """The entry of a built file; its name tells what it is for."""
    digest = sha256_of_file(path)
    name = f"{PLAN_PREFIX}{purpose}-{digest[:NAME_DIGEST_CHARS]}{suffix}"
    return FileEntry(name=name, sha256=digest, size_bytes=path.stat().st_size)


@contextmanager
def building(bundle: Bundle) -> Iterator[Path]:
    """One build at a time for a bundle: an empty directory on its file system, removed at the end. Sweeps up first.

    Raises PlanRejected if another process builds for this bundle, or nothing can be written there.
    """
    try:
        handle = os.open(bundle.root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise PlanRejected(f"{bundle.root}: {error.strerror}; no plan was built") from error
    files = bundle.root / f"{PLAN_PREFIX}building"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sweep(bundle)
        files.mkdir()
        yield files
    except BlockingIOError:
        raise PlanRejected(f"{bundle.root}: another process builds a plan for it; wait for that one") from None
    except OSError as error:
        raise PlanRejected(
            f"{error.filename or bundle.root}: {error.strerror}; no plan was built. A bundle that cannot be written to can be "
            "copied: cavs-export tensorrt BUNDLE --out NEW"
        ) from error
    finally:
        shutil.rmtree(files, ignore_errors=True)
        os.close(handle)


def _sweep(bundle: Bundle) -> None:
    """Removes what a build that was killed left behind: what nobody lists."""
    listed = _names(read_bundle(bundle.root).manifest.plans)
    for path in bundle.root.glob(f"{PLAN_PREFIX}*"):
        if path.name not in listed:
            Disk().remove(path)


def add_plan(
    bundle: Bundle, entry: PlanEntry, built: Path, base: Path | None, *, key: bytes, disk: Disk | None = None
) -> Bundle:
    """Moves the built files into the bundle and lists the plan, in place of one for the same purpose; the bundle then.

    built, base: in the directory that `building` gave. The manifest is replaced by a rename when the files are there; what only
    the old one listed is removed last. Others lose the right to write into the bundle: a plan is native code.
    Raises PlanRejected if the disk refuses; the plans that were there stay.
    """
    disk = disk or Disk()
    signed = entry.model_copy(update={"keyed_digest": keyed_digest(key, bundle.id, entry)})
    current = read_bundle(bundle.root).manifest  # another build may have ended since `bundle` was read
    kept = tuple(plan for plan in current.plans if _purpose(plan) != _purpose(signed))
    manifest = current.model_copy(update={"plans": (*kept, signed)})
    fresh = bundle.root / f"{PLAN_PREFIX}manifest"
    try:
        bundle.root.chmod(stat.S_IMODE(bundle.root.stat().st_mode) & ~0o022)
        for source, file in ((built, entry.file), (base, entry.base)):
            if source is not None and file is not None:
                disk.rename(source, bundle.root / file.name)
        disk.write(fresh, to_json(manifest))
        disk.sync_directory(bundle.root)
        disk.rename(fresh, bundle.root / MANIFEST_FILE)
        disk.sync_directory(bundle.root)
        for name in _names(current.plans) - _names(manifest.plans):
            disk.remove(bundle.root / name)
    except OSError as error:
        raise PlanRejected(f"{error.filename or bundle.root}: {error.strerror}; the plan was not added") from error
    finally:
        disk.remove(fresh)
    return read_bundle(bundle.root)


def _purpose(plan: PlanEntry) -> tuple[object, ...]:
    return plan.target, plan.form, plan.precision, plan.sm


def _names(plans: tuple[PlanEntry, ...]) -> set[str]:
    return {file.name for plan in plans for file in plan.files}
