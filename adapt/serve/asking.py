"""Asks for a name when something unknown keeps sounding, once for each thing.

STORE/learner/asked/<n>/  asked.json (`AskedRecord`), thumb.jpg: so that a learner that starts again does not ask again.
"""

from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cavs.adapt.serve.listening import HeardMasks, HeardObject
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdaptError
from cavs.runtime.manifest import Count, Record, to_json

ASKED_FILE, THUMB_FILE = "asked.json", "thumb.jpg"
THUMB_PX = 160
"""Longer side of the picture that goes with a question."""
THUMB_QUALITY = 80
MARGIN = 0.15
"""Of the box's sides, shown around it."""

Pixels = npt.NDArray[np.uint8]


class AskLimits(BaseModel):
    """When a name is asked for, and what counts as asked already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(default=5.0, gt=0)
    """How long a thing must sound unknown."""
    gap_s: float = Field(default=1.0, ge=0)
    """How long it may be unmarked in between."""
    same: float = Field(default=0.85, ge=-1, le=1)
    """Cosine of two things from which on they are the same."""
    area: float = Field(default=0.005, ge=0, lt=1)
    """Share of the picture that it must cover."""
    most: int = Field(default=200, ge=1)
    """Things remembered; the oldest is forgotten first."""


class AskedRecord(Record):
    """`asked.json`. embedding: what it looked like to the bundle, a unit vector."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    embedding: tuple[Annotated[float, Field(ge=-1.001, le=1.001)], ...]
    stream: str
    wall_ns: Count


class Persisting:
    """Notices unknown things that keep sounding, by their ids on the wire."""

    def __init__(self, limits: AskLimits) -> None:
        self._limits = limits
        self._since: dict[int, tuple[int, int]] = {}  # id -> t_ns when first and last seen unknown

    def hear(self, masks: HeardMasks) -> HeardObject | None:
        """One window; the thing that has now been unknown for long enough, once for each id while it goes on."""
        limits, now_ns = self._limits, masks.t_ns
        grid = masks.size[0] * masks.size[1]
        gap_ns, long_ns = limits.gap_s * NS_PER_S, limits.seconds * NS_PER_S
        self._since = {
            number: span for number, span in self._since.items() if 0 <= now_ns - span[1] <= gap_ns
        }  # a stream that started again begins a new time line
        for thing in masks.objects:
            if thing.row is not None:
                self._since.pop(thing.id, None)
            elif thing.area >= limits.area * grid:
                first, last = self._since.get(thing.id, (now_ns, now_ns))
                self._since[thing.id] = (first, now_ns)
                if last - first < long_ns <= now_ns - first:
                    return thing
        return None


class Asked:
    """What was asked for already. One writer."""

    def __init__(self, path: Path, limits: AskLimits | None = None, *, disk: Disk | None = None) -> None:
        self.path = path
        self.limits = limits or AskLimits()
        self._disk = disk or Disk()
        self._known: list[tuple[str, npt.NDArray[np.float32]]] = self._read()

    def knows(self, embedding: npt.NDArray[np.float32]) -> bool:
        """Whether a thing that looks like this was asked for."""
        return any(len(one) == len(embedding) and float(one @ embedding) >= self.limits.same for _, one in self._known)

    def note(self, embedding: npt.NDArray[np.float32], stream: str, thumb: bytes, wall_ns: int) -> None:
        """Remembers a question. Raises AdaptError if the disk refuses: then it must not be asked, or it would be again."""
        number = f"{max((int(name) for name, _ in self._known), default=0) + 1:06d}"
        staged = self.path / f".writing-{number}"
        record = AskedRecord(embedding=tuple(float(value) for value in embedding), stream=stream, wall_ns=wall_ns)
        try:
            self._disk.remove(staged)
            self._disk.make_directory(staged)
            self._disk.write(staged / THUMB_FILE, thumb)
            self._disk.write(staged / ASKED_FILE, to_json(record))
            self._disk.rename(staged, self.path / number)
            self._disk.sync_directory(self.path)
            self._known.append((number, embedding))
            for old, _ in self._known[: -self.limits.most]:
                self._disk.remove(self.path / old)
        except OSError as error:
            raise AdaptError(f"{self.path}: {error.strerror}; nothing is asked for, free some space") from error
        del self._known[: -self.limits.most]

    def clear(self) -> None:
        """Forgets all questions: for `forget`, which must leave no picture behind."""
        self._disk.remove(self.path)
        self._known = []

    def _read(self) -> list[tuple[str, npt.NDArray[np.float32]]]:
        known = []
        for home in sorted(self.path.iterdir()) if self.path.is_dir() else ():
            if home.name.isdigit():
                try:
                    record = AskedRecord.model_validate_json((home / ASKED_FILE).read_bytes())
                except (OSError, ValidationError):  # asked again at worst
                    continue
                known.append((home.name, np.array(record.embedding, np.float32)))
        return known


def thumbnail(frame: Pixels, box: tuple[int, int, int, int], size: tuple[int, int]) -> bytes:
    """A small JPEG of the thing. box: on a grid of `size` (height, width) that covers the frame."""
    height, width = frame.shape[:2]
    x, y, w, h = (side * scale for side, scale in zip(box, (width / size[1], height / size[0]) * 2, strict=True))
    left, right = max(0, int(x - MARGIN * w)), min(width, int(np.ceil(x + (1 + MARGIN) * w)))
    top, bottom = max(0, int(y - MARGIN * h)), min(height, int(np.ceil(y + (1 + MARGIN) * h)))
    cut = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    shrink = min(1.0, THUMB_PX / max(cut.shape[:2]))
    small = cv2.resize(cut, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else cut
    bgr = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, THUMB_QUALITY])[1].tobytes())
