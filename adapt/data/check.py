"""Checks a folder of labelled clips file by file: is it there, can it be read, does it hold what its layout promises."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from cavs.adapt.data.clip_set import RATE_HZ, SPLITS, ClipFiles, ClipSet, read_frame, read_sound, read_stored
from cavs.adapt.data.layouts import METADATA, read_clips
from cavs.runtime.errors import DataRejected

BINARY_SIZE_PX = 224
"""Frames of S4 and MS3 are published at this size, and the papers' loaders do not resize them."""
MOST_LEVELS = 2
"""A binary mask holds this many values at most."""
SOUND_SLACK_S = 0.1
"""Sound may end this much before its clip without anybody noticing."""

Level = Literal["broken", "noted"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was seen, what was expected, what to do. `broken` makes the folder unusable, `noted` does not.

    kind: a few words that findings of one sort share, for counting.
    """

    level: Level
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class SplitCount:
    """Clips of one split: named by the list, whole on disk, readable throughout."""

    listed: int
    whole: int
    readable: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a folder holds and what is wrong with it."""

    root: Path
    layout: str
    classes: tuple[str, ...]
    splits: dict[str, SplitCount]
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether it can be trained on: something is whole, nothing is broken. Missing clips do not matter."""
        return any(count.readable for count in self.splits.values()) and not any(f.level == "broken" for f in self.findings)


def check_clips(path: Path, *, workers: int = 2, done: Callable[[int, int], None] = lambda clips, total: None) -> Report:
    """Reads every file of every clip. `done` hears how many clips of how many were checked.

    Raises DataRejected when the folder has no known layout or its list of clips cannot be read.
    """
    clips = read_clips(path)
    findings = list(_check_list(clips))
    readable: Counter[str] = Counter()
    with ThreadPoolExecutor(workers) as pool:  # decoding releases the interpreter lock
        checks = pool.map(partial(_check_clip, clips), clips.listed)
        for number, (files, found) in enumerate(zip(clips.listed, checks, strict=True), 1):
            findings += found
            readable[files.split] += not any(one.level == "broken" or one.kind in INCOMPLETE for one in found)
            done(number, len(clips.listed))
    listed, whole = (Counter(files.split for files in some) for some in (clips.listed, clips.files))
    splits = {split: SplitCount(listed[split], whole[split], readable[split]) for split in SPLITS}
    return Report(clips.root, clips.layout, clips.classes, splits, tuple(findings))


MISSING_FILE, MISSING_CLIP = "missing file", "missing clip"
INCOMPLETE = (MISSING_FILE, MISSING_CLIP)


def _check_list(clips: ClipSet) -> Iterator[Finding]:
    """The list of clips against itself and the class names."""
    where = clips.root / METADATA[clips.layout]
    if not clips.listed:
        yield Finding("broken", "empty list", f"{where}: no clip in it, expected one line per clip; restore it")
    homes: dict[Path, list[ClipFiles]] = {}
    for files in clips.listed:
        homes.setdefault(files.frames[0], []).append(files)
    for same in homes.values():
        if len(same) > 1:
            splits = " and ".join(files.split for files in same)
            text = f"{where}: {same[0].id} is listed {len(same)} times, in {splits}, expected once; keep one line"
            yield Finding("broken", "listed twice", text)
    if clips.layout == "avss":
        unknown = Counter(name for files in clips.listed for name in files.sounding if name not in clips.classes)
        for name, count in unknown.items():
            text = f"{where}: a_obj names {name!r} {count} times, expected names from label2idx.json; add it or correct it"
            yield Finding("noted", "unknown class name", text)


def _check_clip(clips: ClipSet, files: ClipFiles) -> list[Finding]:
    lacking = files.lacking()
    everything = (*files.frames, *(mask for _, mask in files.masks), files.sound)
    if len(lacking) == len(everything):
        text = f"{files.frames[0].parent}: none of the {len(everything)} files of clip {files.id}; the clip is left out"
        return [Finding("noted", MISSING_CLIP, text)]
    findings = [
        Finding("noted", MISSING_FILE, f"{path}: not there; restore it, otherwise clip {files.id} is left out")
        for path in lacking
    ]
    sizes = _check_frames(clips, files, findings)
    for t, path in files.masks:
        if path.is_file():
            findings += _check_mask(clips, path, sizes.get(t))
    if files.sound.is_file():
        findings += _check_sound(files)
    return findings


def _check_frames(clips: ClipSet, files: ClipFiles, findings: list[Finding]) -> dict[int, tuple[int, int]]:
    """Sizes (H, W) of the frames that can be read, by their place in the clip."""
    sizes: dict[int, tuple[int, int]] = {}
    for t, path in enumerate(files.frames):
        if path.is_file():
            try:
                frame = read_frame(path)
            except DataRejected as rejected:
                findings.append(Finding("broken", "unreadable frame", str(rejected)))
            else:
                sizes[t] = frame.shape[0], frame.shape[1]
    different = sorted(set(sizes.values()))
    folder = files.frames[0].parent
    if len(different) > 1:
        seen = ", ".join(f"{width}x{height}" for height, width in different)
        text = f"{folder}: frames of {seen} in one clip, expected one size; they are resized to the first"
        findings.append(Finding("noted", "sizes differ", text))
    elif different and clips.layout != "avss" and different[0] != (BINARY_SIZE_PX, BINARY_SIZE_PX):
        seen = f"{different[0][1]}x{different[0][0]}"
        text = f"{folder}: frames of {seen}, expected {BINARY_SIZE_PX}x{BINARY_SIZE_PX}; give size_px when reading"
        findings.append(Finding("noted", "unusual size", text))
    return sizes


def _check_mask(clips: ClipSet, path: Path, frame_size: tuple[int, int] | None) -> Iterator[Finding]:
    try:
        mask = clips.read_mask(path)
        stored = None if clips.layout == "avss" else read_stored(path)
    except DataRejected as rejected:
        yield Finding("broken", "unreadable mask", str(rejected))
        return
    for what, count in mask.unknown.items():
        text = f"{path}: {count} pixels of {what} taken as background; correct the mask if they should sound"
        yield Finding("noted", "unknown label", text)
    if stored is not None and len(levels := np.unique(stored)) > MOST_LEVELS:
        few = ", ".join(str(level) for level in islice(levels, 4))
        text = f"{path}: {len(levels)} values ({few} ...), expected 2; all above 0 are taken as sounding (was it resized?)"
        yield Finding("noted", "not binary", text)
    if frame_size is not None and mask.labels.shape != frame_size:
        (height, width), (frame_height, frame_width) = mask.labels.shape, frame_size
        text = f"{path}: {width}x{height}, expected {frame_width}x{frame_height} as its frame; it is resized"
        yield Finding("noted", "mask size", text)


def _check_sound(files: ClipFiles) -> Iterator[Finding]:
    try:
        samples = read_sound(files.sound)
    except DataRejected as rejected:
        yield Finding("broken", "unreadable sound", str(rejected))
        return
    seconds = len(samples) / RATE_HZ
    if seconds < len(files.frames) - SOUND_SLACK_S:
        text = f"{files.sound}: {seconds:.1f} s, expected {len(files.frames)} s; its last whole second is repeated"
        yield Finding("noted", "short sound", text)
    if not samples.any():
        yield Finding("noted", "digital silence", f"{files.sound}: every sample is 0, expected sound; is it the right file?")
