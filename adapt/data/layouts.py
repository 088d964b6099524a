"""The three layouts by name: recognising a folder, reading its clips, writing composed clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from cavs.adapt.data import avss, ms3, s4
from cavs.adapt.data.clip import Clip
from cavs.adapt.data.clip_set import ClipSet, LabelledClip
from cavs.adapt.data.metadata import AvssRow
from cavs.runtime.errors import DataRejected

Layout = Literal["s4", "ms3", "avss"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

METADATA: dict[Layout, str] = {"s4": s4.METADATA, "ms3": ms3.METADATA, "avss": avss.METADATA}
"""The file that a folder of each layout is recognised by."""
USUAL_FOLDERS: dict[Layout, str] = {"s4": "Single-source", "ms3": "Multi-sources", "avss": "AVSBench_semantic"}
"""Where it lies in the published archive."""

Line = tuple[str, ...] | AvssRow


@dataclass(frozen=True, slots=True)
class Found:
    """A folder of a known layout."""

    layout: Layout
    root: Path


def recognise(path: str | Path) -> Found:
    """The layout of a folder, or of the one folder of the published archive that lies in it."""
    path = Path(path)
    if not path.is_dir():
        raise DataRejected(f"{path}: {'a file' if path.exists() else 'not there'}, expected a folder of labelled clips")
    found = [Found(layout, path) for layout in LAYOUTS if (path / METADATA[layout]).is_file()]
    if not found:
        inside = {layout: path / folder for layout, folder in USUAL_FOLDERS.items()}
        found = [Found(layout, root) for layout, root in inside.items() if (root / METADATA[layout]).is_file()]
    if len(found) > 1:
        raise DataRejected(f"{path}: holds {' and '.join(str(one.root / METADATA[one.layout]) for one in found)}; name one")
    if not found:
        raise DataRejected(f"{path}: none of {', '.join(METADATA.values())} in it; expected a folder of one of the layouts")
    return found[0]


def read_clips(path: str | Path, *, split: str | None = None, size_px: int | None = None) -> ClipSet:
    """The clips of a folder of any layout, of one split or of all."""
    found = recognise(path)
    readers: dict[Layout, Callable[..., ClipSet]] = {"s4": s4.read_s4, "ms3": ms3.read_ms3, "avss": avss.read_avss}
    return readers[found.layout](found.root, split=split, size_px=size_px)


def write_clip(layout: Layout, root: str | Path, clip: LabelledClip, classes: Sequence[str]) -> Line:
    """Writes the files of one clip and gives its line of the list of clips. Several processes may write different clips.

    classes: names by mask index, `background` first.
    """
    if layout == "s4":
        return s4.write_s4_clip(root, clip)
    if layout == "ms3":
        return ms3.write_ms3_clip(root, clip)
    return avss.write_avss_clip(root, clip, tuple(classes))


def write_index(layout: Layout, root: str | Path, lines: Sequence[Line], classes: Sequence[str]) -> None:
    """Writes the list of clips; until then the folder is not recognised."""
    Path(root).mkdir(parents=True, exist_ok=True)
    if layout == "avss":
        avss.write_avss_index(root, cast("Sequence[AvssRow]", lines), tuple(classes))
    else:
        plain = cast("Sequence[tuple[str, ...]]", lines)
        writer: Callable[[Any, Any], None] = s4.write_s4_index if layout == "s4" else ms3.write_ms3_index
        writer(root, plain)


def labelled(clip: Clip) -> LabelledClip:
    """A composed clip as the layouts hold it: the last frame of every full second, all annotated.

    Its mask indices are 1 + place in `clip.class_names`.
    """
    seconds = len(clip.sound) // clip.rate_hz
    times_s = np.asarray(clip.times_s)
    at = [int(np.flatnonzero(times_s <= second + 1)[-1]) for second in range(seconds)]
    return LabelledClip(
        id=clip.name,
        split=clip.split,
        sounding=clip.classes,
        frames=clip.frames[at],
        masks=clip.masks[at],
        annotated=np.ones(seconds, bool),
        samples=clip.sound[: seconds * clip.rate_hz],
        rate_hz=clip.rate_hz,
    )
