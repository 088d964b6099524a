"""Which plan of a bundle may run here. A plan is native code, so it is trusted before it is read, and never otherwise.

It must lie where others cannot write, bear a digest under this machine's own key, and be made for this bundle, this
TensorRT and this device. Whatever is refused is refused before TensorRT sees a byte of it, with the command that rebuilds it.
"""

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import EngineError, PlanRejected
from cavs.runtime.manifest import FileEntry, PlanEntry, digest_of
from cavs.runtime.tensorrt_versions import Library, Target

KEY_FILE = "plan.key"
KEY_BYTES = 32

Form = Literal["inputs", "refit"]


@dataclass(frozen=True, slots=True)
class Device:
    """What a plan must have been made for."""

    sm: str
    cuda_version: str
    driver_version: str | None


@dataclass(frozen=True, slots=True, eq=False)
class TrustedPlan:
    """A plan whose every byte was checked; `base` holds the weights that a refit starts from."""

    entry: PlanEntry
    content: bytes
    base: bytes | None


def private_directory() -> Path:
    """`cavs/private` in the user's data directory (XDG), which nobody else can read; made when missing.

    The key, the timing caches of builds and the kernels that RTX compiles lie there. Raises EngineError if others can reach it.
    """
    data = os.environ.get("XDG_DATA_HOME")
    path = (Path(data) if data else Path.home() / ".local" / "share") / "cavs" / "private"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}; plans need a private directory there") from error
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise EngineError(f"{path}: others can reach it; plans need it private: chmod 700 {path}")
    return path


def machine_key(directory: Path | None = None) -> bytes:
    """The key of this machine (of this user), made at random the first time. Raises EngineError if others can read it."""
    path = (directory or private_directory()) / KEY_FILE
    try:
        if not path.exists():
            fresh = path.with_name(f".{KEY_FILE}.{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, path)  # fails if another process was quicker: then its key is the key
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        found = path.stat()
        key = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}; the key of this machine's plans was expected") from error
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise EngineError(f"{path}: others can read it; make it private (chmod 600) and build the plans again")
    if len(key) != KEY_BYTES:
        raise EngineError(f"{path} has {len(key)} bytes, {KEY_BYTES} were expected; remove it and build the plans again")
    return key


def keyed_digest(key: bytes, bundle_id: str, entry: PlanEntry) -> str:
    """What a plan's `keyed_digest` must be: it covers the files by their digests, and everything said about them."""
    said = digest_of({"bundle": bundle_id, "plan": entry.model_dump(mode="json", exclude={"keyed_digest"})})
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


def rebuild_command(bundle: Bundle, target: Target, form: Form = "inputs", device: Device | None = None) -> str:
    """The command that makes the plan that is missing."""
    sm = f" --sm {device.sm}" if device and target == "rtx" else ""
    return f"cavs-export tensorrt {bundle.root} --target {target}{' --refit' if form == 'refit' else ''}{sm}"


def trusted_plan(
    bundle: Bundle, library: Library, device: Device, form: Form = "inputs", key: bytes | None = None
) -> TrustedPlan:
    """The plan of this bundle for this TensorRT and this device, read and checked.

    key: that of this machine by default. Of several plans that fit, fp16 comes first: it was asked for.
    Raises PlanRejected with the reason and the command that rebuilds it.
    """
    todo = f"build it here: {rebuild_command(bundle, library.target, form, device)}"
    entries = [plan for plan in bundle.manifest.plans if plan.target == library.target and plan.form == form]
    if not entries:
        raise PlanRejected(f"{bundle.root}: has no {library.name} plan{' for refit' if form == 'refit' else ''}; {todo}")
    fitting = [entry for entry in entries if not list(_misfits(entry, library, device))]
    if not fitting:
        reason = next(_misfits(entries[0], library, device))
        raise PlanRejected(f"{bundle.root / entries[0].file.name}: {reason}; {todo}")
    entry = min(fitting, key=lambda plan: plan.precision)
    _check_place(bundle.root)
    expected = keyed_digest(key if key is not None else machine_key(), bundle.id, entry)
    if not hmac.compare_digest(expected, entry.keyed_digest):
        raise PlanRejected(
            f"{bundle.root / entry.file.name}: its keyed digest is not of this machine's key: built elsewhere or edited; {todo}"
        )
    content = _read(bundle.root / entry.file.name, entry.file, todo)
    base = None if entry.base is None else _read(bundle.root / entry.base.name, entry.base, todo)
    return TrustedPlan(entry, content, base)


def _misfits(entry: PlanEntry, library: Library, device: Device) -> Iterator[str]:
    """Why a plan cannot run here; nothing if it can."""
    if entry.tensorrt_version != library.version:
        yield f"built by {library.name} {entry.tensorrt_version}, {library.version} is installed"
    if entry.cuda_version.split(".")[0] != device.cuda_version.split(".")[0]:
        yield f"built for CUDA {entry.cuda_version}, {device.cuda_version} is here"
    if device.sm not in entry.sm:
        yield f"built for SM {', '.join(entry.sm)}, this device is SM {device.sm}"


def _check_place(directory: Path) -> None:
    """Raises PlanRejected if somebody else can put files into this directory, or exchange it."""
    path = directory.resolve()
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PlanRejected(f"{path}: others can write there, and a plan is native code; chown it and chmod go-w {path}")
    for parent in path.parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PlanRejected(
                f"{parent}: everybody can exchange what lies there, and a plan is native code; chmod o-w {parent}"
            )


def _read(path: Path, entry: FileEntry, todo: str) -> bytes:
    """The bytes themselves are checked, so what was checked is what is loaded."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlanRejected(f"{path}: {error.strerror}; {todo}") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise PlanRejected(f"{path}: its content changed since the bundle was read; {todo}")
    return content
