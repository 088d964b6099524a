"""What scenes are composed from: object cut-outs, recordings, scenes with instance masks, backgrounds.

A folder of ingredients holds `manifest.json` with the lists `images`, `audio`, `scenes` and `backgrounds`. Every entry names
its `file` and its `split`; entries are split by the photograph or recording they come from, so loading one split never
shows anything of another. The whole split is decoded into memory once: it is small, and training then never waits for files.
"""

import fnmatch
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.errors import DataRejected

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

RATE_HZ = 16_000
"""Every recording is held at this rate."""
BLOCK = 320
"""Samples of one step of the activity envelope: 20 ms at 16 kHz."""
ACTIVE_DB = -25.0
"""A source is active down to this far below its own loud level (the 95th percentile of its envelope)."""
NOISE_MARGIN_DB = 6.0
"""... but its own background noise (10th percentile) stays below the threshold by this much ..."""
NOISE_CEILING_DB = -15.0
"""... unless that would lift the threshold above this: a steady sound such as rain has no quieter background."""
FLOOR_RMS = 10 ** (-60 / 20)
"""Nothing quieter than -60 dBFS counts as sound."""
LONGEST_SIDE_PX = 256
"""Cut-outs are shrunk to this when they are loaded: no composed object is larger."""

Entry = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cutout:
    """One object, cut from its photograph.

    rgba:      uint8 (H, W, 4); colours are continued under the transparent part, so that edges blend without a halo.
    truncated: the photograph's border cuts the object.
    """

    id: str
    cls: str
    group: str
    rgba: Pixels
    truncated: bool = False

    @cached_property
    def cut_side(self) -> str | None:
        """The side on which the photograph's border cuts the object: `left`, `right`, `top`, `bottom` or None."""
        if not self.truncated:
            return None
        solid = self.rgba[..., 3] > 127
        along = {"left": solid[:, 0], "right": solid[:, -1], "top": solid[0], "bottom": solid[-1]}
        side = max(along, key=lambda name: float(along[name].mean()))
        return side if along[side].mean() > 0.25 else None


@dataclass(frozen=True, eq=False)
class Recording:
    """One sound of one class: float32 (N,), mono, at RATE_HZ."""

    id: str
    cls: str
    group: str
    samples: Samples

    @cached_property
    def envelope(self) -> Samples:
        """RMS of every block of 20 ms, the last one padded with zeros."""
        blocks = -(-len(self.samples) // BLOCK)
        padded = np.zeros(blocks * BLOCK, np.float32)
        padded[: len(self.samples)] = self.samples
        rms: Samples = np.sqrt(np.square(padded.reshape(blocks, BLOCK)).mean(axis=1))
        return rms

    @cached_property
    def loud(self) -> npt.NDArray[np.bool_]:
        """Whether each block of 20 ms is above the recording's activity threshold."""
        top, rest = np.percentile(self.envelope, (95, 10))
        below_noise = min(rest * 10 ** (NOISE_MARGIN_DB / 20), top * 10 ** (NOISE_CEILING_DB / 20))
        threshold = max(top * 10 ** (ACTIVE_DB / 20), below_noise, FLOOR_RMS)
        above: npt.NDArray[np.bool_] = self.envelope > threshold
        return above

    @cached_property
    def loud_rms(self) -> float:
        """RMS over the active blocks: what a gain of 0 dB refers to."""
        return float(np.sqrt(np.square(self.envelope[self.loud]).mean()))


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A photograph to compose on.

    pixels:  uint8 (H, W, 3), RGB.
    ids:     uint8 (H, W) with the instance id at each pixel, 0 elsewhere; None for a background that shows no object.
    objects: (instance id, class) for every id.
    """

    id: str
    group: str
    pixels: Pixels
    ids: Pixels | None = None
    objects: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Ingredients:
    """One split of a set of ingredients, in memory. Composing never changes it, so processes may share it."""

    split: str
    cutouts: Mapping[str, tuple[Cutout, ...]]
    recordings: Mapping[str, tuple[Recording, ...]]
    scenes: tuple[Backdrop, ...] = ()
    backgrounds: tuple[Backdrop, ...] = ()
    skipped: tuple[str, ...] = ()
    """One line for every file that could not be used."""

    @cached_property
    def scenes_by_class(self) -> dict[str, tuple[Backdrop, ...]]:
        """Scenes in which at least one instance of the class is marked."""
        pairs = [(cls, scene) for scene in self.scenes for cls in sorted({cls for _, cls in scene.objects})]
        return {cls: tuple(scene for _, scene in group) for cls, group in group_by_class(pairs, lambda p: p[0]).items()}

    def classes_with_both(self) -> tuple[str, ...]:
        """Classes that can be seen and heard."""
        return tuple(sorted(set(self.cutouts) & set(self.recordings)))

    def classes_only_heard(self) -> tuple[str, ...]:
        """Classes without a picture: ambience and off-screen sources."""
        return tuple(sorted(set(self.recordings) - set(self.cutouts)))

    def classes_only_seen(self) -> tuple[str, ...]:
        """Classes without a sound: always silent."""
        return tuple(sorted(set(self.cutouts) - set(self.recordings)))


def group_by_class(things: Iterable[T], cls_of: Callable[[T], str]) -> dict[str, tuple[T, ...]]:
    """Things per class, classes in alphabetical order, things in the given order."""
    grouped: dict[str, list[T]] = {}
    for thing in things:
        grouped.setdefault(cls_of(thing), []).append(thing)
    return {cls: tuple(grouped[cls]) for cls in sorted(grouped)}


def merge(*parts: Ingredients) -> Ingredients:
    """One set out of several of the same split, for example photographs and drawn objects."""
    if len({part.split for part in parts}) != 1:
        raise ValueError(f"only sets of one split can be merged, got {[part.split for part in parts]}")
    return Ingredients(
        split=parts[0].split,
        cutouts=group_by_class((c for p in parts for cs in p.cutouts.values() for c in cs), lambda c: c.cls),
        recordings=group_by_class((r for p in parts for rs in p.recordings.values() for r in rs), lambda r: r.cls),
        scenes=tuple(scene for part in parts for scene in part.scenes),
        backgrounds=tuple(background for part in parts for background in part.backgrounds),
        skipped=tuple(line for part in parts for line in part.skipped),
    )


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


def cutout_from(rgba: Pixels, *, id: str, cls: str, group: str, truncated: bool = False) -> Cutout:  # noqa: A002
    """A cut-out ready to paste: not larger than needed, colours continued under the transparent part."""
    longest = max(rgba.shape[:2])
    if longest > LONGEST_SIDE_PX:
        shrink = LONGEST_SIDE_PX / longest
        size = (max(1, round(rgba.shape[1] * shrink)), max(1, round(rgba.shape[0] * shrink)))
        rgba = np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Cutout(id=id, cls=cls, group=group, rgba=continue_colours(rgba), truncated=truncated)


def continue_colours(rgba: Pixels) -> Pixels:
    """The same picture with the colours of its visible neighbourhood under the transparent pixels."""
    weight: Samples = rgba[..., 3].astype(np.float32) / np.float32(255)
    weighted = (rgba[..., :3] * weight[..., None]).astype(np.float32)
    near, far = (_blurred_colours(weighted, weight, width) for width in (7, 61))
    close_by = np.asarray(cv2.blur(weight, (7, 7)))[..., None] > 0.02
    behind = np.where(close_by, near, far)
    out = rgba.copy()
    out[..., :3] = np.clip(np.rint(weighted + behind * (1 - weight[..., None])), 0, 255)
    return out


def _blurred_colours(weighted: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], width: int) -> Samples:
    known = np.asarray(cv2.blur(weight, (width, width)))[..., None]
    return np.asarray(cv2.blur(weighted, (width, width)) / np.maximum(known, 1e-6), np.float32)


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
