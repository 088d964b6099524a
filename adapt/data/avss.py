"""AVSBench-semantic (AVSS): five (v1s, v1m) or ten (v2) frames, a class index for every pixel that sounds.

metadata.csv                        vid, uid, s_min, s_sec, a_obj, split, label
label2idx.json                      class name -> mask index + 1, `background` is 1
<label>/<uid>/frames/{0..}.jpg      label: v1s, v1m or v2
<label>/<uid>/labels_rgb/{0..}.png  colours of the palette; v1s train: only 0.png
<label>/<uid>/labels_semantic/{0..}.png   the same as indices
<label>/<uid>/audio.wav
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cavs.adapt.data.clip_set import ClipFiles, ClipSet, LabelledClip, MaskRead, read_stored
from cavs.adapt.data.mask_files import write_colour_mask, write_frame, write_index_mask, write_sound
from cavs.adapt.data.metadata import (
    AVSS_FRAMES,
    AvssRow,
    read_avss_rows,
    read_class_names,
    write_avss_rows,
    write_class_names,
)
from cavs.adapt.data.palette import read_colours
from cavs.runtime.errors import DataRejected

METADATA = "metadata.csv"
NUMBERS = "label2idx.json"


def read_avss(
    root: str | Path,
    *,
    split: str | None = None,
    labels: tuple[str, ...] = ("v1s", "v1m", "v2"),
    size_px: int | None = None,
    first_of_v1s_only: bool = False,
) -> ClipSet:
    """The clips of one split, or of all, in the given parts of the set.

    first_of_v1s_only: only the first frame of a v1s clip counts as annotated in val and test too, as the papers' loaders
    have it, although the masks of the other four are there.
    """
    root = Path(root)
    classes = read_class_names(root / NUMBERS)
    listed = []
    for row in read_avss_rows(root / METADATA):
        if split in (None, row.split) and row.label in labels:
            files = _files(root, row)
            listed.append(replace(files, masks=files.masks[:1]) if first_of_v1s_only and row.label == "v1s" else files)
    return ClipSet("avss", root, listed, classes=classes, read_mask=partial(_read_mask, classes=len(classes)), size_px=size_px)


def write_avss_clip(root: str | Path, clip: LabelledClip, classes: tuple[str, ...]) -> AvssRow:
    """Writes the files of one clip and gives its line for `write_avss_index`.

    classes: names by mask index, `background` first. Ten frames go to v2, five to v1s or, with more than one sounding
    class, to v1m.
    """
    label = "v2" if len(clip.frames) == AVSS_FRAMES["v2"] else "v1m" if len(clip.sounding) > 1 else "v1s"
    if len(clip.frames) != AVSS_FRAMES[label]:
        raise ValueError(f"{clip.id}: {len(clip.frames)} frames; AVSS holds clips of 5 or 10")
    a_obj = "_".join(_file_name(name) for name in clip.sounding) or "background"
    row = AvssRow(clip.id, clip.id, "0", "0", a_obj, clip.split, label)
    files = _files(Path(root), row)
    for path, frame in zip(files.frames, clip.frames, strict=True):
        write_frame(path, frame)
    for t, path in files.masks:
        write_colour_mask(path, clip.masks[t], len(classes))
        write_index_mask(path.parent.with_name("labels_semantic") / path.name, clip.masks[t])
    write_sound(files.sound, clip.samples, clip.rate_hz)
    return row


def write_avss_index(root: str | Path, rows: Iterable[AvssRow], classes: tuple[str, ...]) -> None:
    """Writes the class numbers and the list of clips; the last thing to be written."""
    write_class_names(Path(root) / NUMBERS, tuple(_file_name(name) for name in classes))
    write_avss_rows(Path(root) / METADATA, rows)


def _file_name(name: str) -> str:
    """A class name as the layout has it: `_` stands between classes, so inside a name it becomes `-`."""
    return name.replace("_", "-")


def _files(root: Path, row: AvssRow) -> ClipFiles:
    folder = root / row.label / row.uid
    count = AVSS_FRAMES[row.label]
    annotated = 1 if row.label == "v1s" and row.split == "train" else count
    # Copies exist with only one of the two; colours are the original.
    drawn = (
        "labels_semantic" if not (folder / "labels_rgb").is_dir() and (folder / "labels_semantic").is_dir() else "labels_rgb"
    )
    return ClipFiles(
        id=row.uid,
        split=row.split,
        sounding=row.sounding,
        frames=tuple(folder / "frames" / f"{k}.jpg" for k in range(count)),
        masks=tuple((k, folder / drawn / f"{k}.png") for k in range(annotated)),
        sound=folder / "audio.wav",
    )


def _read_mask(path: Path, classes: int) -> MaskRead:
    """Colours or indices, by the folder that the file lies in."""
    if path.parent.name == "labels_rgb":
        mask, unknown = read_colours(read_stored(path, "RGB"), classes)
        return MaskRead(mask, {f"colour {colour}, which is no class": count for colour, count in unknown.items()})
    stored = read_stored(path)
    if stored.ndim != 2:
        raise DataRejected(f"{path}: {stored.shape}, expected one class index per pixel; restore it or drop the clip")
    values, counts = np.unique(stored[stored >= classes], return_counts=True)
    known = np.where(stored < classes, stored, 0).astype(np.uint8)
    strange = {f"index {value}, expected below {classes},": int(n) for value, n in zip(values, counts, strict=True)}
    return MaskRead(known, strange)
