"""What one window says: which objects sound, where, since when, and what the window went through. Both ends use it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN
from cavs.runtime.errors import ConfigError
from cavs.stream.items import StampGrade

UNKNOWN = "unknown"
"""Name of an object that sounds but is near no class."""

Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """Which model said it: the engine, the bundle, the adapter and, with a model store, its version there."""

    bundle: str
    adapter: str = "default"
    digest: str = ""
    engine: str = "onnx"
    version: int | None = None


@dataclass(frozen=True, slots=True)
class HeardClass:
    """A class whose sound is heard, whether or not it is seen."""

    row: int
    cls: str
    probability: float


@dataclass(frozen=True, eq=False)
class SoundingObject:
    """One sounding thing in one window.

    id:    the same from window to window while the thing is followed.
    row:   its row in the class table, None if unknown.
    score: mean probability that its pixels sound.
    box, area: on the grid of the masks (`Masks.height` x `Masks.width`).
    """

    id: int
    row: int | None
    cls: str
    score: float
    box: Box
    area: int
    decode: Callable[[], Mask] = field(repr=False)
    """Makes the mask; called at most once, when `mask` is first read."""

    @cached_property
    def mask(self) -> Mask:
        """bool (height, width), True where it sounds."""
        return self.decode()

    @property
    def label(self) -> int:
        """Its value in a label map."""
        return LABEL_UNKNOWN if self.row is None else LABEL_FIRST_CLASS + self.row


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of one window with everything a robot needs to use them.

    t_ns:      middle of the frame's exposure; sent_ns: when the message left. Both on the stream's monotonic clock.
    height, width: the grid of the masks; source_height, source_width: the frame they were cut from.
    sound_start_ns, sound_end_ns, sound_missing: the span of sound that was heard, and how many samples of it never came.
    grade, sound_grade: what the time stamps are worth (A, B, C); skew_ns: how far sight and sound may be apart.
    heard:     the likeliest classes by sound, loudest claim first.
    counters:  since the start of the stream: windows published, and everything dropped, by cause.
    latency_ms: by stage, of this window; `publish` is that of the window before.
    flags:     `audio_missing`, `audio_partial`, `stale` and what else went wrong in this window.
    """

    stream: str
    seq: int
    t_ns: int
    sent_ns: int
    height: int
    width: int
    source_height: int
    source_width: int
    sound_start_ns: int
    sound_end_ns: int
    model: ModelStamp
    objects: tuple[SoundingObject, ...] = ()
    heard: tuple[HeardClass, ...] = ()
    sound_missing: int = 0
    skew_ns: int = 0
    grade: StampGrade = StampGrade.A
    sound_grade: StampGrade = StampGrade.A
    counters: Mapping[str, int] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    def label_map(self) -> npt.NDArray[np.uint8]:
        """uint8 (height, width): 0 silent, 1 unknown, 2 + row of the class table. Where objects overlap the smaller wins."""
        labels = np.full((self.height, self.width), LABEL_SILENT, np.uint8)
        for thing in sorted(self.objects, key=lambda thing: thing.area, reverse=True):
            labels[thing.mask] = thing.label
        return labels

    def at_source_size(self, thing: SoundingObject) -> Mask:
        """The object's mask over the source frame, bool (source_height, source_width)."""
        return resized(thing.mask, self.source_height, self.source_width)

    def to_coco(self, *, at_source_size: bool = True) -> list[dict[str, Any]]:
        """One COCO result per object: `image_id` is seq, `category_id` the row (-1: unknown), `segmentation` a compressed RLE.

        at_source_size: over the source frame (what a data set wants), else on the grid of the masks.
        """
        from pycocotools import mask as coco

        results = []
        for thing in self.objects:
            pixels = self.at_source_size(thing) if at_source_size else thing.mask
            rle = coco.encode(np.asfortranarray(pixels, dtype=np.uint8))
            results.append(
                {
                    "image_id": self.seq,
                    "category_id": -1 if thing.row is None else thing.row,
                    "category_name": thing.cls,
                    "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
                    "bbox": [float(side) for side in coco.toBbox(rle)],
                    "area": int(coco.area(rle)),
                    "score": thing.score,
                    "object_id": thing.id,
                }
            )
        return results

    def to_supervision(self, *, at_source_size: bool = True) -> Any:
        """`supervision.Detections` with masks, boxes, confidence, class_id (-1: unknown), tracker_id and data["class_name"].

        Needs `supervision`; raises ConfigError with the command that installs it.
        """
        try:
            import supervision
        except ImportError:
            raise ConfigError(
                "to_supervision(): the package supervision is not installed; pip install 'cavs-stream[view]'"
            ) from None
        if not self.objects:
            return supervision.Detections.empty()
        masks = np.stack([self.at_source_size(thing) if at_source_size else thing.mask for thing in self.objects])
        return supervision.Detections(
            xyxy=np.array([_corners(mask) for mask in masks], np.float32),
            mask=masks,
            confidence=np.array([thing.score for thing in self.objects], np.float32),
            class_id=np.array([-1 if thing.row is None else thing.row for thing in self.objects]),
            tracker_id=np.array([thing.id for thing in self.objects]),
            data={"class_name": np.array([thing.cls for thing in self.objects])},
        )


def resized(mask: Mask, height: int, width: int) -> Mask:
    """A mask on another grid: an edge falls where half of the pixel is covered, and is smooth where the grid is finer."""
    if mask.shape == (height, width):
        return mask
    soft = cv2.resize(mask.view(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    finer = round(max(height / mask.shape[0], width / mask.shape[1]))
    if finer > 1:
        soft = cv2.blur(soft, (2 * finer - 1, 2 * finer - 1))  # without it the old grid shows as steps
    return np.asarray(soft >= 128)


def _corners(mask: Mask) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return x, y, x + width, y + height
