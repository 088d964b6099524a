"""A label map becomes objects: connected regions with a class, a score, a box, and an id that lasts."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN, Prediction, heard_labels
from cavs.stream.masks import UNKNOWN, Box, HeardClass, Mask, SoundingObject

MAX_OBJECTS = 32
"""Objects of one window at most, the largest; also bounds the time that a noisy label map can take."""
GAP_FRACTION = 0.02
"""Pieces of one class nearer than this fraction of the picture's side are one thing seen behind something thin."""
RIM_FRACTION = 0.25
"""An unknown piece that touches an object and is smaller than this part of it is the object's own unsure rim."""
SAME_CLASS_BONUS = 0.5
"""What an equal class adds to the overlap (0 to 1) when an object is matched with one of the window before."""


@dataclass(slots=True)
class _Piece:
    """A region of one label: its pixels inside its box."""

    label: int
    box: Box
    area: int
    mask: Mask


@dataclass(slots=True)
class _Track:
    """An object of an earlier window, as far as following needs it."""

    id: int
    label: int
    box: Box
    unseen: int = 0


class ObjectFinder:
    """Finds the objects of one window after the other and follows them. One thread.

    classes: names by row of the class table; a row without a name is called `class <row>`.
    min_area_fraction: a region smaller than this part of the picture is noise.
    least_heard: nothing is found by name while no class is heard with this probability.
    min_overlap: IoU of two boxes from which they may be the same object.
    keep_windows: an object that is silent for longer comes back under a new id.
    """

    def __init__(
        self,
        classes: Mapping[int, str],
        min_area_fraction: float = 0.001,
        *,
        least_heard: float = 0.0,
        min_overlap: float = 0.3,
        keep_windows: int = 30,
        max_objects: int = MAX_OBJECTS,
    ) -> None:
        if not 0 <= min_area_fraction < 1:
            raise ValueError(f"min_area_fraction={min_area_fraction}: 0 <= fraction < 1 expected")
        if not 0 < min_overlap <= 1 or keep_windows < 0 or not 1 <= max_objects <= MAX_OBJECTS:
            raise ValueError(f"min_overlap={min_overlap}, keep_windows={keep_windows}, max_objects={max_objects}: out of range")
        self._classes = dict(classes)
        self._min_area_fraction = min_area_fraction
        self._least_heard = least_heard
        self._min_overlap = min_overlap
        self._keep_windows = keep_windows
        self._max_objects = max_objects
        self._tracks: list[_Track] = []
        self._next_id = 1

    def rename(self, classes: Mapping[int, str]) -> None:
        """Other class names from the next window on (an adapter was exchanged); objects keep their ids."""
        self._classes = dict(classes)

    def class_name(self, row: int | None) -> str:
        """The name of a row of the class table; `unknown` for None."""
        return UNKNOWN if row is None else self._classes.get(row, f"class {row}")

    def find(self, prediction: Prediction) -> tuple[SoundingObject, ...]:
        """The objects of the next window, largest first. Nothing in them refers to the prediction's arrays."""
        labels = heard_labels(prediction.labels, prediction.presence, self._least_heard)
        pieces = _without_rims(self._pieces(labels), labels.shape)[: self._max_objects]
        ids = self._follow(pieces)
        return tuple(
            self._object(piece, number, labels.shape, prediction.confidence) for piece, number in zip(pieces, ids, strict=True)
        )

    def heard(self, prediction: Prediction, *, most: int = 5, least_probability: float = 0.1) -> tuple[HeardClass, ...]:
        """The likeliest classes by sound, at most `most`, likeliest first."""
        rows = np.argsort(-prediction.presence, kind="stable")[:most].tolist()
        likely = [(row, float(prediction.presence[row])) for row in rows]
        return tuple(HeardClass(row, self.class_name(row), p) for row, p in likely if p >= least_probability)

    def _pieces(self, labels: npt.NDArray[np.uint8]) -> list[_Piece]:
        """Regions large enough to matter, largest first."""
        least_area = max(1, round(self._min_area_fraction * labels.size))
        counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()
        counts[LABEL_SILENT] = 0
        loudest = np.argsort(-counts, kind="stable")[: self._max_objects]
        pieces: list[_Piece] = []
        for label in loudest.tolist():
            if counts[label] < least_area:
                break
            pieces.extend(_regions(labels, label, least_area))
        return sorted(pieces, key=lambda piece: piece.area, reverse=True)

    def _follow(self, pieces: list[_Piece]) -> list[int]:
        """An id for each piece: that of the best match among the tracks, or a new one."""
        pairs = []
        for p, piece in enumerate(pieces):
            for t, track in enumerate(self._tracks):
                overlap = box_overlap(piece.box, track.box)
                if overlap >= self._min_overlap:
                    pairs.append((overlap + SAME_CLASS_BONUS * (piece.label == track.label), p, t))
        ids: list[int] = [0] * len(pieces)
        taken: set[int] = set()
        for _, p, t in sorted(pairs, key=lambda pair: -pair[0]):
            if ids[p] == 0 and t not in taken:
                ids[p] = self._tracks[t].id
                taken.add(t)
        for p, number in enumerate(ids):
            if number == 0:
                ids[p], self._next_id = self._next_id, self._next_id + 1
        unseen = [track for t, track in enumerate(self._tracks) if t not in taken and track.unseen < self._keep_windows]
        for track in unseen:
            track.unseen += 1
        seen = [_Track(number, piece.label, piece.box) for piece, number in zip(pieces, ids, strict=True)]
        self._tracks = seen + unseen
        return ids

    def _object(self, piece: _Piece, number: int, shape: tuple[int, ...], confidence: npt.NDArray[np.uint8]) -> SoundingObject:
        x, y, width, height = piece.box
        part = (slice(y, y + height), slice(x, x + width))
        score = cv2.mean(confidence[part], mask=piece.mask.view(np.uint8))[0] / 255
        whole = np.zeros(shape, np.bool_)
        whole[part] = piece.mask
        row = None if piece.label == LABEL_UNKNOWN else piece.label - LABEL_FIRST_CLASS
        return SoundingObject(number, row, self.class_name(row), score, piece.box, piece.area, lambda: whole)


def _regions(labels: npt.NDArray[np.uint8], label: int, least_area: int) -> list[_Piece]:
    """The regions of one label. Pieces with a narrow gap between them count as one region."""
    of_label = (labels == label).view(np.uint8)
    left, top, width, height = cv2.boundingRect(of_label)
    crop = of_label[top : top + height, left : left + width]
    reach = max(1, round(GAP_FRACTION * max(labels.shape) / 2))
    bridged = cv2.dilate(crop, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(bridged, connectivity=8, ltype=cv2.CV_32S)
    pieces = []
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] < least_area:  # even the thickened region is too small
            continue
        x, y, w, h = stats[number, :4].tolist()
        inside = crop[y : y + h, x : x + w] & (numbers[y : y + h, x : x + w] == number).view(np.uint8)
        area = cv2.countNonZero(inside)
        if area < least_area:
            continue
        dx, dy, w, h = cv2.boundingRect(inside)
        mask = inside[dy : dy + h, dx : dx + w].astype(np.bool_)
        pieces.append(_Piece(label, (left + x + dx, top + y + dy, w, h), area, mask))
    return pieces


def _without_rims(pieces: list[_Piece], shape: tuple[int, ...]) -> list[_Piece]:
    """Gives every unknown rim to the object it touches. pieces: largest first, as is what returns."""
    rims = [piece for piece in pieces if piece.label == LABEL_UNKNOWN]
    things = [piece for piece in pieces if piece.label != LABEL_UNKNOWN]
    if not rims or not things:
        return pieces
    kept = []
    for rim in rims:
        owner = next((k for k, thing in enumerate(things) if rim.area < RIM_FRACTION * thing.area and _touch(rim, thing)), None)
        if owner is None:
            kept.append(rim)
        else:
            things[owner] = _joined(things[owner], rim)
    return sorted(things + kept, key=lambda piece: piece.area, reverse=True)


def _touch(one: _Piece, other: _Piece) -> bool:
    """True if some pixel of one is a neighbour of a pixel of the other."""
    box = _hull(one.box, other.box)
    near = cv2.dilate(_within(one, box).view(np.uint8), np.ones((3, 3), np.uint8))
    return bool(np.any(near & _within(other, box).view(np.uint8)))


def _joined(thing: _Piece, rim: _Piece) -> _Piece:
    box = _hull(thing.box, rim.box)
    return _Piece(thing.label, box, thing.area + rim.area, _within(thing, box) | _within(rim, box))


def _within(piece: _Piece, box: Box) -> Mask:
    """The piece's pixels inside a larger box."""
    mask = np.zeros((box[3], box[2]), np.bool_)
    x, y = piece.box[0] - box[0], piece.box[1] - box[1]
    mask[y : y + piece.box[3], x : x + piece.box[2]] = piece.mask
    return mask


def _hull(one: Box, other: Box) -> Box:
    x, y = min(one[0], other[0]), min(one[1], other[1])
    return x, y, max(one[0] + one[2], other[0] + other[2]) - x, max(one[1] + one[3], other[1] + other[3]) - y


def box_overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
