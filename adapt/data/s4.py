"""AVSBench-object, single source (S4): five frames, one sounding thing, binary masks.

s4_meta_data.csv                                              name, start_time, category, split
s4_data/visual_frames/<split>/<category>/<name>/<name>_{1..5}.png
s4_data/gt_masks/<split>/<category>/<name>/<name>_{1..5}.png  train: only _1
s4_data/audio_wav/<split>/<category>/<name>.wav
"""

from collections.abc import Iterable
from pathlib import Path

from cavs.adapt.data.clip_set import ClipFiles, ClipSet, LabelledClip, read_binary_mask
from cavs.adapt.data.mask_files import write_binary_mask, write_frame, write_sound
from cavs.adapt.data.metadata import check_split, read_lines, write_lines
from cavs.runtime.errors import DataRejected

METADATA = "s4_meta_data.csv"
HEADER = ("name", "start_time", "category", "split")
FRAMES = 5
CLASSES = ("background", "sounding")


def read_s4(root: str | Path, *, split: str | None = None, size_px: int | None = None) -> ClipSet:
    """The clips of one split, or of all. `size_px` makes frames and masks square."""
    root = Path(root)
    header, lines = read_lines(root / METADATA)
    if len(header) < len(HEADER):
        raise DataRejected(f"{root / METADATA}: {len(header)} columns, expected {','.join(HEADER)}")
    # The papers' loaders read by position; only these two columns are named in every copy.
    category_at = header.index("category") if "category" in header else 2
    split_at = header.index("split") if "split" in header else 3
    listed = []
    for number, cells in lines:
        check_split(root / METADATA, number, cells[split_at])
        if split in (None, cells[split_at]):
            listed.append(_files(root, cells[0], cells[category_at], cells[split_at]))
    return ClipSet("s4", root, listed, classes=CLASSES, read_mask=read_binary_mask, size_px=size_px)


def write_s4_clip(root: str | Path, clip: LabelledClip) -> tuple[str, ...]:
    """Writes the files of one clip and gives its line for `write_s4_index`."""
    if len(clip.sounding) != 1 or len(clip.frames) != FRAMES:
        raise ValueError(f"{clip.id}: {len(clip.frames)} frames of {clip.sounding}; S4 holds 5 frames and one sounding class")
    files = _files(Path(root), clip.id, clip.sounding[0], clip.split)
    for path, frame in zip(files.frames, clip.frames, strict=True):
        write_frame(path, frame)
    for t, path in files.masks:
        write_binary_mask(path, clip.masks[t], mode="L")
    write_sound(files.sound, clip.samples, clip.rate_hz)
    return clip.id, "0", clip.sounding[0], clip.split


def write_s4_index(root: str | Path, lines: Iterable[tuple[str, ...]]) -> None:
    """Writes the list of clips; the last thing to be written."""
    write_lines(Path(root) / METADATA, HEADER, lines)


def _files(root: Path, name: str, category: str, split: str) -> ClipFiles:
    data, inside = root / "s4_data", Path(split) / category
    annotated = 1 if split == "train" else FRAMES
    return ClipFiles(
        id=name,
        split=split,
        sounding=(category,),
        frames=tuple(data / "visual_frames" / inside / name / f"{name}_{k}.png" for k in range(1, FRAMES + 1)),
        masks=tuple((k, data / "gt_masks" / inside / name / f"{name}_{k + 1}.png") for k in range(annotated)),
        sound=data / "audio_wav" / inside / f"{name}.wav",
    )
