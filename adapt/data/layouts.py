"""The three layouts by name: recognising a folder and reading its clips."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from cavs.adapt.data import avss, ms3, s4
from cavs.adapt.data.clip_set import ClipSet, Layout
from cavs.runtime.errors import DataRejected

LAYOUTS: tuple[Layout, ...] = get_args(Layout)

METADATA: dict[Layout, str] = {"s4": s4.METADATA, "ms3": ms3.METADATA, "avss": avss.METADATA}
"""The file that a folder of each layout is recognised by."""
INGREDIENTS = "manifest.json"
"""File of a folder that clips are composed from, often taken for one of these."""
USUAL_FOLDERS: dict[Layout, str] = {"s4": "Single-source", "ms3": "Multi-sources", "avss": "AVSBench_semantic"}
"""Where it lies in the published archive."""


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
    if not found and (path / INGREDIENTS).is_file():
        raise DataRejected(f"{path}: ingredients, expected labelled clips; compose some with cavs-adapt data compose")
    if not found:
        raise DataRejected(f"{path}: none of {', '.join(METADATA.values())} in it; expected a folder of one of the layouts")
    return found[0]


def read_clips(path: str | Path, *, split: str | None = None, size_px: int | None = None) -> ClipSet:
    """The clips of a folder of any layout, of one split or of all."""
    found = recognise(path)
    readers: dict[Layout, Callable[..., ClipSet]] = {"s4": s4.read_s4, "ms3": ms3.read_ms3, "avss": avss.read_avss}
    return readers[found.layout](found.root, split=split, size_px=size_px)
