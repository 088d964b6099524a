"""AVSBench-object, multiple sources (MS3): five frames, all annotated, binary masks of everything that sounds.

ms3_meta_data.csv                                             video_id, split
ms3_data/visual_frames/<video_id>/<video_id>.mp4_{1..5}.png   (`.mp4` inside the name, no folder per split)
ms3_data/gt_masks/<split>/<video_id>/<video_id>_{1..5}.png    palette pictures, index above 0 sounds
ms3_data/audio_wav/<split>/<video_id>.wav
"""

from collections.abc import Iterable
from pathlib import Path

from cavs.adapt.data.clip_set import ClipFiles, ClipSet, LabelledClip, read_binary_mask
from cavs.adapt.data.mask_files import write_binary_mask, write_frame, write_sound
from cavs.adapt.data.metadata import check_split, read_lines, write_lines
from cavs.runtime.errors import DataRejected

METADATA = "ms3_meta_data.csv"
HEADER = ("video_id", "split")
FRAMES = 5
CLASSES = ("background", "sounding")


def read_ms3(root: str | Path, *, split: str | None = None, size_px: int | None = None) -> ClipSet:
    """The clips of one split, or of all. `size_px` makes frames and masks square."""
    root = Path(root)
    header, lines = read_lines(root / METADATA)
    if len(header) < len(HEADER):
        raise DataRejected(f"{root / METADATA}: {len(header)} columns, expected {','.join(HEADER)}")
    split_at = header.index("split") if "split" in header else 1
    listed = []
    for number, cells in lines:
        check_split(root / METADATA, number, cells[split_at])
        if split in (None, cells[split_at]):
            listed.append(_files(root, cells[0], cells[split_at]))
    return ClipSet("ms3", root, listed, classes=CLASSES, read_mask=read_binary_mask, size_px=size_px)


def write_ms3_clip(root: str | Path, clip: LabelledClip) -> tuple[str, ...]:
    """Writes the files of one clip and gives its line for `write_ms3_index`."""
    if len(clip.frames) != FRAMES or not clip.annotated.all():
        raise ValueError(f"{clip.id}: {len(clip.frames)} frames; MS3 holds 5, all annotated")
    files = _files(Path(root), clip.id, clip.split)
    for path, frame in zip(files.frames, clip.frames, strict=True):
        write_frame(path, frame)
    for t, path in files.masks:
        write_binary_mask(path, clip.masks[t], mode="P")
    write_sound(files.sound, clip.samples, clip.rate_hz)
    return clip.id, clip.split


def write_ms3_index(root: str | Path, lines: Iterable[tuple[str, ...]]) -> None:
    """Writes the list of clips; the last thing to be written."""
    write_lines(Path(root) / METADATA, HEADER, lines)


def _files(root: Path, name: str, split: str) -> ClipFiles:
    data = root / "ms3_data"
    return ClipFiles(
        id=name,
        split=split,
        sounding=(),
        frames=tuple(data / "visual_frames" / name / f"{name}.mp4_{k}.png" for k in range(1, FRAMES + 1)),
        masks=tuple((k, data / "gt_masks" / split / name / f"{name}_{k + 1}.png") for k in range(FRAMES)),
        sound=data / "audio_wav" / split / f"{name}.wav",
    )
