"""Reads ingredients from a folder.

It holds `manifest.json` with the lists `images`, `audio`, `scenes` and `backgrounds`. Every entry names its `file` and its
`split`; entries are split by the photograph or recording they come from, so loading one split never shows anything of
another. The whole split is decoded into memory once: it is small, and training then never waits for files.
"""

import fnmatch
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from cavs.adapt.data.ingredients import (
    BLOCK,
    RATE_HZ,
    SPLITS,
    Backdrop,
    Cutout,
    Ingredients,
    Pixels,
    Recording,
    cutout_from,
    group_by_class,
)
from cavs.runtime.errors import DataRejected

Entry = Mapping[str, Any]
T = TypeVar("T")


def load_ingredients(
    path: str | Path, *, split: str, classes: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> Ingredients:
    """Reads one split of the folder `path`.

    classes: only these (cut-outs and recordings); all by default.
    exclude: glob patterns on `file`, such as `nc/*`.
    Unusable files are skipped, listed in `skipped` and warned about once; DataRejected when nothing usable is left.
    """
    root = Path(path)
    lists = _read_manifest(root)
    if split not in SPLITS:
        raise DataRejected(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    skipped: list[str] = []

    def usable(kind: str, read: Callable[[Path, Entry], T]) -> list[T]:
        return _read_all(root, _selected(lists[kind], split, exclude), read, skipped)

    wanted = None if classes is None else frozenset(classes)
    cutouts = [e for e in usable("images", _read_cutout) if wanted is None or e.cls in wanted]
    recordings = [e for e in usable("audio", _read_recording) if wanted is None or e.cls in wanted]
    loaded = Ingredients(
        split=split,
        cutouts=group_by_class(cutouts, lambda c: c.cls),
        recordings=group_by_class(recordings, lambda r: r.cls),
        scenes=tuple(usable("scenes", _read_scene)),
        backgrounds=tuple(usable("backgrounds", _read_background)),
        skipped=tuple(skipped),
    )
    _check(loaded, root, wanted or frozenset())
    if skipped:
        warnings.warn(f"{root}: unusable and skipped: {len(skipped)}, such as {skipped[0]}", stacklevel=2)
    return loaded


def _read_manifest(root: Path) -> dict[str, list[Entry]]:
    manifest = root / "manifest.json"
    try:
        lists = json.loads(manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataRejected(f"{manifest}: {error.strerror}; expected a folder of ingredients with manifest.json") from None
    except ValueError as error:
        raise DataRejected(f"{manifest}: not JSON ({error}); write it again") from None
    if not isinstance(lists, dict):
        raise DataRejected(f"{manifest}: a {type(lists).__name__}, expected lists under images, audio, scenes, backgrounds")
    found: dict[str, list[Entry]] = {}
    for kind, keys in {"images": ("cls",), "audio": ("cls",), "scenes": ("inst", "objects"), "backgrounds": ()}.items():
        found[kind] = lists.get(kind, [])
        for entry in found[kind]:
            lacking = [key for key in ("file", "split", *keys) if key not in entry]
            if lacking:
                raise DataRejected(f"{manifest}: an entry of {kind} lacks {', '.join(lacking)}: {str(entry)[:80]}")
    return found


def _selected(entries: Iterable[Entry], split: str, exclude: Sequence[str]) -> list[Entry]:
    return [
        entry
        for entry in entries
        if entry["split"] == split and not any(fnmatch.fnmatchcase(entry["file"], glob) for glob in exclude)
    ]


def _read_all(root: Path, entries: Iterable[Entry], read: Callable[[Path, Entry], T], skipped: list[str]) -> list[T]:
    things = []
    for entry in entries:
        try:
            things.append(read(root, entry))
        except DataRejected as rejected:
            skipped.append(str(rejected))
    return things


def _check(loaded: Ingredients, root: Path, wanted: frozenset[str]) -> None:
    known = sorted(set(loaded.cutouts) | set(loaded.recordings))
    lacking = sorted(wanted - set(known))
    if lacking:
        raise DataRejected(f"{root}: nothing usable for {', '.join(lacking)} in split {loaded.split}")
    if not known:
        reason = f"; first of {len(loaded.skipped)} skipped: {loaded.skipped[0]}" if loaded.skipped else ""
        raise DataRejected(f"{root}: no cut-out and no recording in split {loaded.split}{reason}")


def _read_picture(path: Path, flags: int) -> Pixels:
    # Read through bytes: cv2.imread prints its own complaint on a missing file.
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror}") from None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if picture is None:
        raise DataRejected(f"{path}: not an image ({len(data)} bytes)")
    return np.asarray(picture)


def _read_cutout(root: Path, entry: Entry) -> Cutout:
    path = root / entry["file"]
    picture = _read_picture(path, cv2.IMREAD_UNCHANGED)
    if picture.ndim != 3 or picture.shape[2] != 4 or picture.dtype != np.uint8:
        raise DataRejected(f"{path}: {picture.dtype} {picture.shape}, expected uint8 RGBA")
    rgba = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)
    if not (rgba[..., 3] > 127).any():
        raise DataRejected(f"{path}: fully transparent")
    return cutout_from(rgba, id=entry["file"], cls=entry["cls"], group=entry.get("group", entry["file"]),
                       truncated=bool(entry.get("truncated", False)))  # fmt: skip


def _read_recording(root: Path, entry: Entry) -> Recording:
    import soundfile
    import soxr

    path = root / entry["file"]
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # libsndfile's own error is a RuntimeError
        raise DataRejected(f"{path}: no sound in it ({error})") from None
    mono = samples.mean(axis=1)
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ)
    recording = Recording(entry["file"], entry["cls"], entry.get("group", entry["file"]), mono.astype(np.float32))
    if len(mono) < BLOCK or not np.isfinite(mono).all() or not recording.loud.any():
        raise DataRejected(f"{path}: {len(mono)} samples without any sound above -60 dBFS")
    return recording


def _read_background(root: Path, entry: Entry) -> Backdrop:
    picture = _read_picture(root / entry["file"], cv2.IMREAD_COLOR)
    pixels = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    return Backdrop(entry["file"], entry.get("group", entry["file"]), pixels)


def _read_scene(root: Path, entry: Entry) -> Backdrop:
    plain = _read_background(root, entry)
    ids = _read_picture(root / entry["inst"], cv2.IMREAD_GRAYSCALE)
    if ids.shape != plain.pixels.shape[:2]:
        raise DataRejected(f"{root / entry['inst']}: {ids.shape}, but its photo is {plain.pixels.shape[:2]}")
    objects = tuple((int(o["id"]), str(o["cls"]).replace(" ", "_")) for o in entry["objects"])
    return Backdrop(plain.id, plain.group, plain.pixels, np.asarray(ids, np.uint8), objects)
