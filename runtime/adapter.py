"""What learning changes: named tensors that the graph takes as inputs, and the class names of its table's rows."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from cavs.runtime import contract
from cavs.runtime.bundle import ADAPTER_FILE, Bundle
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdapterRejected
from cavs.runtime.manifest import AdapterManifest, ClassRow, adapter_id, to_json, what_is_wrong

ADAPTER_MANIFEST_FILE = "adapter.json"
DEFAULT_METHOD = "bundle"
"""`method` of the adapter that a bundle ships with."""

UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a class row may be: what float16 training leaves, far below what changes a label."""

Tensors = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """One state of what was learned, for one bundle. Immutable.

    tensors: name -> float32 array, read-only, one for each slot of the bundle.
    classes: (row of the class table, name), ordered by row.
    """

    tensors: Tensors
    manifest: AdapterManifest

    @property
    def id(self) -> str:
        """sha256 over the bundle's id, the classes and the tensors."""
        return self.manifest.id

    @property
    def bundle_id(self) -> str:
        """The bundle that it belongs to."""
        return self.manifest.bundle_id

    @property
    def classes(self) -> tuple[ClassRow, ...]:
        """(row, name), ordered by row."""
        return self.manifest.classes


def make_adapter(
    tensors: Mapping[str, npt.NDArray[np.float32]],
    *,
    bundle: Bundle,
    classes: tuple[tuple[int, str], ...],
    method: str,
    parent: str | None = None,
    data_ids: tuple[str, ...] = (),
    scores: dict[str, JsonValue] | None = None,
) -> Adapter:
    """An adapter of `bundle` from a copy of `tensors`, checked. Raises AdapterRejected if it does not fit."""
    frozen = _freeze({name: np.array(value, np.float32, order="C") for name, value in tensors.items()})
    digest = tensors_digest(frozen)
    try:
        rows = tuple(sorted(ClassRow(*row) for row in classes))
        manifest = AdapterManifest(
            id=adapter_id(bundle.id, rows, digest),
            bundle_id=bundle.id,
            tensors_sha256=digest,
            classes=rows,
            parent=parent,
            method=method,
            data_ids=data_ids,
            scores=scores or {},
        )
    except ValidationError as error:
        raise AdapterRejected(f"an adapter of bundle {bundle.id[:12]}: {what_is_wrong(error)}") from error
    adapter = Adapter(frozen, manifest)
    check_adapter(adapter, bundle)
    return adapter


def default_adapter(bundle: Bundle) -> Adapter:
    """The adapter that lies in the bundle itself, checked."""
    tensors = _read_tensors(bundle.adapter_path)
    return make_adapter(tensors, bundle=bundle, classes=bundle.manifest.classes, method=DEFAULT_METHOD)


def read_adapter(path: str | os.PathLike[str]) -> Adapter:
    """Reads `adapter.json` and `adapter.safetensors` from a directory and verifies the id over both.

    Whether it fits a bundle is another question: `check_adapter`. Raises AdapterRejected with one line.
    """
    directory = Path(path)
    described = directory / ADAPTER_MANIFEST_FILE
    try:
        manifest = AdapterManifest.model_validate_json(described.read_bytes())
    except OSError as error:
        raise AdapterRejected(f"{described}: {error.strerror}; a directory written by cavs was expected") from error
    except ValidationError as error:
        raise AdapterRejected(f"{described}: {what_is_wrong(error)}; torn, edited or of another version") from error
    tensors = _freeze(_read_tensors(directory / ADAPTER_FILE))
    digest = tensors_digest(tensors)
    if digest != manifest.tensors_sha256:
        raise AdapterRejected(
            f"{directory / ADAPTER_FILE}: its tensors have sha256 {digest[:12]}, {ADAPTER_MANIFEST_FILE} says "
            f"{manifest.tensors_sha256[:12]}: edited or mixed up with another; take an untouched copy"
        )
    if manifest.content_id() != manifest.id:
        raise AdapterRejected(
            f"{described}: its content has id {manifest.content_id()[:12]}, it says {manifest.id[:12]}: edited; "
            "take an untouched copy"
        )
    return Adapter(tensors, manifest)


def write_adapter(adapter: Adapter, path: str | os.PathLike[str], disk: Disk | None = None) -> None:
    """Writes the two files as a new directory that appears whole by a rename; an existing one is never touched."""
    disk = disk or Disk()
    target = Path(path)
    if target.exists():
        raise AdapterRejected(f"{target} exists; an adapter is never overwritten: give a new name or remove it first")
    staged = target.with_name(f".{target.name}.writing-{os.getpid()}")
    try:
        disk.make_directory(staged)
        write_adapter_files(adapter, staged, disk)
        disk.sync_directory(staged)
        disk.rename(staged, target)
        disk.sync_directory(target.parent)
    except OSError as error:
        raise AdapterRejected(f"{error.filename or target}: {error.strerror}; the adapter was not written") from error
    finally:
        disk.remove(staged)


def write_adapter_files(adapter: Adapter, directory: Path, disk: Disk) -> None:
    """The two files themselves, into a directory that nobody reads yet."""
    disk.write(directory / ADAPTER_FILE, save_tensors(dict(adapter.tensors)))
    disk.write(directory / ADAPTER_MANIFEST_FILE, to_json(adapter.manifest))


def check_adapter(adapter: Adapter, bundle: Bundle) -> None:
    """Raises AdapterRejected unless the adapter is of this bundle, of its shapes, finite, and names each row it uses."""
    name = f"adapter {adapter.id[:12]}"
    slots = {slot.name: slot for slot in bundle.manifest.adapter.slots}
    if adapter.bundle_id != bundle.id:
        raise AdapterRejected(f"{name} belongs to bundle {adapter.bundle_id[:12]}, this is bundle {bundle.id[:12]}")
    if adapter.tensors.keys() != slots.keys():
        odd = sorted(adapter.tensors.keys() ^ slots.keys())[0]
        raise AdapterRejected(f"{name} {'lacks' if odd in slots else 'has a stranger,'} {odd}; export or train it again")
    for key, tensor in adapter.tensors.items():
        if tensor.shape != slots[key].shape or tensor.dtype != np.float32:
            raise AdapterRejected(f"{name}: {key} is {tensor.dtype} {tensor.shape}, the bundle takes {slots[key]}")
        if not np.isfinite(tensor).all():
            bad = int(tensor.size - np.isfinite(tensor).sum())
            raise AdapterRejected(f"{name}: {key} holds {bad} values that are not finite; training diverged")
    _check_rows(adapter, name)


def _check_rows(adapter: Adapter, name: str) -> None:
    used = adapter.tensors[contract.CLASS_USED]
    table = adapter.tensors[contract.CLASS_TABLE]
    if not np.isin(used, (0.0, 1.0)).all():
        raise AdapterRejected(f"{name}: {contract.CLASS_USED} holds values other than 0 and 1")
    named = [row for row, _ in adapter.classes]
    if len(set(named)) != len(named) or len({label for _, label in adapter.classes}) != len(named):
        raise AdapterRejected(f"{name} names a row or a class twice: {[tuple(c) for c in adapter.classes]}")
    rows_used = np.flatnonzero(used).tolist()
    if rows_used != sorted(named):
        raise AdapterRejected(f"{name} uses rows {rows_used} of the class table and names rows {sorted(named)}")
    if np.any(table[used == 0]):
        raise AdapterRejected(f"{name}: unused rows of {contract.CLASS_TABLE} are not zero")
    lengths = np.linalg.norm(table[used == 1], axis=1)
    if not np.allclose(lengths, 1.0, atol=UNIT_TOLERANCE):
        raise AdapterRejected(f"{name}: rows of {contract.CLASS_TABLE} have lengths {lengths.round(3)}, expected 1")


def tensors_digest(tensors: Tensors) -> str:
    """sha256 over names, shapes and bytes, independent of how a file orders them."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _read_tensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        tensors = load_tensors(path.read_bytes())
    except OSError as error:
        raise AdapterRejected(f"{path}: {error.strerror}; the tensors of an adapter were expected") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise AdapterRejected(f"{path} is not a safetensors file ({error}): torn or edited; take a whole copy") from error
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise AdapterRejected(f"{path}: {name} is {tensor.dtype}, expected float32; export or train it again")
    return tensors


def _freeze(tensors: dict[str, npt.NDArray[np.float32]]) -> Tensors:
    for tensor in tensors.values():
        tensor.setflags(write=False)
    return MappingProxyType(dict(sorted(tensors.items())))  # safetensors reads a file in another order each time
