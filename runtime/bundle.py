"""A model on disk: a directory written once, read back only if every byte is what its manifest says."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cavs.runtime import contract
from cavs.runtime.disk import Disk, sha256_of_file
from cavs.runtime.errors import BundleRejected
from cavs.runtime.manifest import (
    SCHEMA_VERSION,
    BundleFields,
    BundleManifest,
    FileEntry,
    to_json,
    what_is_wrong,
)

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "graph.onnx"
ADAPTER_FILE = "adapter.safetensors"
PLAN_PREFIX = "plan-"
"""Of the names of all files that are added to a bundle after it was sealed."""

MANIFEST_MAX_BYTES = 4 << 20
"""A manifest has some kilobytes; more than this is another file under its name."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. Immutable; the files below `root` are never written again."""

    root: Path
    manifest: BundleManifest

    @property
    def id(self) -> str:
        """sha256 over the content."""
        return self.manifest.id

    @property
    def graph_path(self) -> Path:
        """The ONNX graph."""
        return self.root / GRAPH_FILE

    @property
    def adapter_path(self) -> Path:
        """The tensors of the default adapter."""
        return self.root / ADAPTER_FILE


def default_bundle_path() -> Path:
    """The bundle that ships inside the package."""
    return Path(__file__).parent / "default_bundle"


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Reads and verifies a bundle: schema, contract, presence, size and digest of each file, the id over all.

    Raises BundleRejected with one line: which file, what was seen, what was expected, what to do.
    """
    root = Path(path)
    try:
        manifest = _read_manifest(root)
        if problem := contract.breach(manifest):
            raise BundleRejected(f"{root / MANIFEST_FILE}: {problem}; export the bundle again")
        _check_files(root, manifest)
    except OSError as error:
        raise BundleRejected(f"{error.filename or root}: {error.strerror}; a readable bundle was expected") from error
    if manifest.content_id() != manifest.id:
        raise BundleRejected(
            f"{root / MANIFEST_FILE}: its content has id {manifest.content_id()[:12]}, it says {manifest.id[:12]}: "
            "edited after it was sealed; take an untouched copy"
        )
    return Bundle(root, manifest)


def seal_bundle(
    files: str | os.PathLike[str], fields: BundleFields, out: str | os.PathLike[str], disk: Disk | None = None
) -> Bundle:
    """Makes a bundle `out` of all files in the directory `files`, which must hold the graph and the default adapter.

    The directory appears whole by a rename, its manifest written last; an existing `out` is never touched.
    Raises BundleRejected if `out` exists, the fields break the graph contract or the disk refuses.
    """
    disk = disk or Disk()
    source, target = Path(files), Path(out)
    if target.exists():
        raise BundleRejected(f"{target} exists; a bundle is never overwritten: give a new name or remove it first")
    staged = target.with_name(f".{target.name}.sealing-{os.getpid()}")
    try:
        disk.make_directory(staged)
        for file in sorted(source.iterdir()):
            disk.copy(file, staged / file.name)
        disk.write(staged / MANIFEST_FILE, to_json(_manifest_of(staged, fields)))
        disk.sync_directory(staged)
        read_bundle(staged)
        disk.rename(staged, target)
        disk.sync_directory(target.parent)
    except OSError as error:
        raise BundleRejected(f"{error.filename or target}: {error.strerror}; the bundle was not written") from error
    except ValidationError as error:
        raise BundleRejected(f"{source}: {what_is_wrong(error)}; the bundle was not written") from error
    finally:
        disk.remove(staged)
    return read_bundle(target)


def _manifest_of(directory: Path, fields: BundleFields) -> BundleManifest:
    files = tuple(
        FileEntry(name=file.name, sha256=sha256_of_file(file), size_bytes=file.stat().st_size)
        for file in sorted(directory.iterdir())
        if file.name != MANIFEST_FILE
    )
    stated = {name: getattr(fields, name) for name in BundleFields.model_fields}
    draft = BundleManifest(
        schema=SCHEMA_VERSION,
        id="0" * 64,
        files=files,
        inputs=contract.graph_inputs(fields),
        outputs=contract.graph_outputs(fields),
        **stated,
    )
    return draft.model_copy(update={"id": draft.content_id()})


def _read_manifest(root: Path) -> BundleManifest:
    path = root / MANIFEST_FILE
    if not root.is_dir():
        raise BundleRejected(f"{root} is {'a file' if root.exists() else 'not there'}; the directory of a bundle was expected")
    if not path.is_file():
        raise BundleRejected(f"{path} is missing: not a bundle, or one that was not written to its end; export it again")
    if path.stat().st_size > MANIFEST_MAX_BYTES:
        raise BundleRejected(f"{path} has {path.stat().st_size} bytes, at most {MANIFEST_MAX_BYTES} were expected")
    text = path.read_bytes()
    try:
        seen = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleRejected(f"{path} is not JSON ({error}): torn or edited; take an untouched copy") from error
    schema = seen.get("schema") if isinstance(seen, dict) else None
    if schema != SCHEMA_VERSION:
        raise BundleRejected(
            f"{path}: schema {schema!r}, this version reads schema {SCHEMA_VERSION}; "
            "export the bundle with this version or install the one that wrote it"
        )
    try:
        return BundleManifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleRejected(f"{path}: {what_is_wrong(error)}; torn or edited, take an untouched copy") from error


def _check_files(root: Path, manifest: BundleManifest) -> None:
    entries = (*manifest.files, *(file for plan in manifest.plans for file in plan.files))
    listed = {entry.name for entry in entries}
    if len(listed) != len(entries):
        raise BundleRejected(f"{root / MANIFEST_FILE}: names a file twice; export the bundle again")
    for name in (GRAPH_FILE, ADAPTER_FILE):
        if name not in listed:
            raise BundleRejected(f"{root / MANIFEST_FILE}: does not list {name}; export the bundle again")
    # A plan that was being added or replaced when the power went is named by nobody, so it is never loaded either.
    present = {item.name for item in root.iterdir() if not item.name.startswith(PLAN_PREFIX)} - {MANIFEST_FILE}
    if strangers := sorted(present - listed):
        raise BundleRejected(f"{root / strangers[0]} is not in the manifest; a bundle is never added to: remove it")
    for entry in entries:
        _check_file(root / entry.name, entry)


def _check_file(path: Path, entry: FileEntry) -> None:
    if path.is_symlink() or not path.is_file():
        seen = "a link" if path.is_symlink() else "not a plain file" if path.exists() else "missing"
        raise BundleRejected(f"{path} is {seen}, the manifest lists {entry.size_bytes} bytes; take a whole copy")
    size = path.stat().st_size
    if size != entry.size_bytes:
        raise BundleRejected(f"{path} has {size} bytes, the manifest says {entry.size_bytes}: torn; take a whole copy")
    digest = sha256_of_file(path)
    if digest != entry.sha256:
        raise BundleRejected(
            f"{path} has sha256 {digest[:12]}, the manifest says {entry.sha256[:12]}: edited or damaged; take a whole copy"
        )
