"""Exemplars -> ingredients: what they show is cut out, what they let hear is a recording, their places are backdrops."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.acoustics import change_speed
from cavs.adapt.data.ingredients import (
    Backdrop,
    Cutout,
    Ingredients,
    Recording,
    cutout_from,
    group_by_class,
)
from cavs.adapt.learn.exemplar import Exemplar

UNKNOWN = "unknown"
"""The name under which an exemplar marks a thing that sounds and has no class; no class may be called so."""
SMALLEST_PX = 150
"""Fewer pixels of a thing are not cut out: too little to know it by."""
EDGE_PX = 2
"""A mask that comes this near to the picture's border is cut by it."""
OTHER_SPEEDS = (0.75, 0.87, 1.15, 1.33)
FILLED_PX = 5
"""A thing is taken out of its place with this much around it."""

Mask = npt.NDArray[np.bool_]


def ingredients_of(exemplars: Sequence[Exemplar], split: str) -> Ingredients:
    """Everything that can be made of exemplars.

    cutouts:    each mark that is large enough; those of one lesson are one group.
    recordings: windows in which one class alone sounds.
    backgrounds: the frames with what is marked taken out.
    """
    cutouts, recordings, backgrounds = [], [], []
    for number, one in enumerate(exemplars):
        name = f"{one.source}/{number}"
        for cls, mask in one.marks:
            if np.count_nonzero(mask) >= SMALLEST_PX:
                cutouts.append(cut_out(one.frame, mask, name, cls, one.source))
        if len(one.marks) == 1:
            recording = Recording(f"{name}.wav", one.names[0], one.source, np.asarray(one.sound, np.float32))
            if recording.loud.any():
                recordings.append(recording)
        backgrounds.append(Backdrop(name, one.source, without(one.frame, one.marks)))
    return Ingredients(
        split=split,
        cutouts=group_by_class(cutouts, lambda cutout: cutout.cls),
        recordings=group_by_class(recordings, lambda recording: recording.cls),
        backgrounds=tuple(backgrounds),
    )


def at_other_speeds(ingredients: Ingredients) -> Ingredients:
    """With every recording at other speeds, too: another animal has a higher voice, an instrument plays other notes."""
    recordings = {
        cls: tuple(other for one in some for other in (one, *(_at_speed(one, speed) for speed in OTHER_SPEEDS)))
        for cls, some in ingredients.recordings.items()
    }
    return replace(ingredients, recordings=recordings)


def _at_speed(recording: Recording, speed: float) -> Recording:
    samples = change_speed(recording.samples, round(len(recording.samples) / speed))
    return Recording(f"{recording.id}/{speed:g}", recording.cls, recording.group, samples)


def cut_out(frame: npt.NDArray[np.uint8], mask: Mask, name: str, cls: str, group: str) -> Cutout:
    """What the mask covers, ready to paste."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
    height, width = mask.shape
    truncated = min(top, left) < EDGE_PX or bottom > height - EDGE_PX or right > width - EDGE_PX
    window = slice(top, bottom), slice(left, right)
    alpha = np.where(mask[window], 255, 0).astype(np.uint8)
    return cutout_from(np.dstack([frame[window], alpha]), id=name, cls=cls, group=group, truncated=bool(truncated))


def without(frame: npt.NDArray[np.uint8], marks: Sequence[tuple[str, Mask]]) -> npt.NDArray[np.uint8]:
    """The frame with the marked pixels filled from around them."""
    taken = np.zeros(frame.shape[:2], np.uint8)
    for _, mask in marks:
        taken |= mask.astype(np.uint8)
    if not taken.any():
        return frame
    taken = np.asarray(cv2.dilate(taken, np.ones((2 * FILLED_PX + 1,) * 2, np.uint8)), np.uint8)
    small = (frame.shape[1] // 2, frame.shape[0] // 2)  # filling at half the size: four times as fast, and soft anyway
    filled = cv2.inpaint(
        cv2.resize(frame, small, interpolation=cv2.INTER_AREA),
        cv2.resize(taken, small, interpolation=cv2.INTER_NEAREST),
        3,
        cv2.INPAINT_TELEA,
    )
    return np.where(taken[..., None] > 0, cv2.resize(filled, frame.shape[1::-1]), frame).astype(np.uint8)
