"""What scenes are composed from: object cut-outs, recordings, scenes with instance masks, backgrounds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar, get_args

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

RATE_HZ = 16_000
"""Every recording is held at this rate."""
BLOCK = 320
"""Samples of one step of the activity envelope: 20 ms at 16 kHz."""
ACTIVE_DB = -25.0
"""A source is active down to this far below its own loud level (the 95th percentile of its envelope)."""
NOISE_MARGIN_DB = 6.0
"""... but its own background noise (10th percentile) stays below the threshold by this much ..."""
NOISE_CEILING_DB = -15.0
"""... unless that would lift the threshold above this: a steady sound such as rain has no quieter background."""
FLOOR_RMS = 10 ** (-60 / 20)
"""Nothing quieter than -60 dBFS counts as sound."""
LONGEST_SIDE_PX = 256
"""Cut-outs are shrunk to this when they are loaded: no composed object is larger."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cutout:
    """One object, cut from its photograph.

    rgba:      uint8 (H, W, 4); colours are continued under the transparent part, so that edges blend without a halo.
    truncated: the photograph's border cuts the object.
    """

    id: str
    cls: str
    group: str
    rgba: Pixels
    truncated: bool = False

    @cached_property
    def cut_side(self) -> str | None:
        """The side on which the photograph's border cuts the object: `left`, `right`, `top`, `bottom` or None."""
        if not self.truncated:
            return None
        solid = self.rgba[..., 3] > 127
        along = {"left": solid[:, 0], "right": solid[:, -1], "top": solid[0], "bottom": solid[-1]}
        side = max(along, key=lambda name: float(along[name].mean()))
        return side if along[side].mean() > 0.25 else None


@dataclass(frozen=True, eq=False)
class Recording:
    """One sound of one class: float32 (N,), mono, at RATE_HZ."""

    id: str
    cls: str
    group: str
    samples: Samples

    @cached_property
    def envelope(self) -> Samples:
        """RMS of every block of 20 ms, the last one padded with zeros."""
        blocks = -(-len(self.samples) // BLOCK)
        padded = np.zeros(blocks * BLOCK, np.float32)
        padded[: len(self.samples)] = self.samples
        rms: Samples = np.sqrt(np.square(padded.reshape(blocks, BLOCK)).mean(axis=1))
        return rms

    @cached_property
    def loud(self) -> npt.NDArray[np.bool_]:
        """Whether each block of 20 ms is above the recording's activity threshold."""
        top, rest = np.percentile(self.envelope, (95, 10))
        below_noise = min(rest * 10 ** (NOISE_MARGIN_DB / 20), top * 10 ** (NOISE_CEILING_DB / 20))
        threshold = max(top * 10 ** (ACTIVE_DB / 20), below_noise, FLOOR_RMS)
        above: npt.NDArray[np.bool_] = self.envelope > threshold
        return above

    @cached_property
    def loud_rms(self) -> float:
        """RMS over the active blocks: what a gain of 0 dB refers to."""
        return float(np.sqrt(np.square(self.envelope[self.loud]).mean()))


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A photograph to compose on.

    pixels:  uint8 (H, W, 3), RGB.
    ids:     uint8 (H, W) with the instance id at each pixel, 0 elsewhere; None for a background that shows no object.
    objects: (instance id, class) for every id.
    """

    id: str
    group: str
    pixels: Pixels
    ids: Pixels | None = None
    objects: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Ingredients:
    """One split of a set of ingredients, in memory. Composing never changes it, so processes may share it."""

    split: str
    cutouts: Mapping[str, tuple[Cutout, ...]]
    recordings: Mapping[str, tuple[Recording, ...]]
    scenes: tuple[Backdrop, ...] = ()
    backgrounds: tuple[Backdrop, ...] = ()
    skipped: tuple[str, ...] = ()
    """One line for every file that could not be used."""

    @cached_property
    def scenes_by_class(self) -> dict[str, tuple[Backdrop, ...]]:
        """Scenes in which at least one instance of the class is marked."""
        pairs = [(cls, scene) for scene in self.scenes for cls in sorted({cls for _, cls in scene.objects})]
        return {cls: tuple(scene for _, scene in group) for cls, group in group_by_class(pairs, lambda p: p[0]).items()}

    def classes_with_both(self) -> tuple[str, ...]:
        """Classes that can be seen and heard."""
        return tuple(sorted(set(self.cutouts) & set(self.recordings)))

    def classes_only_heard(self) -> tuple[str, ...]:
        """Classes without a picture: ambience and off-screen sources."""
        return tuple(sorted(set(self.recordings) - set(self.cutouts)))

    def classes_only_seen(self) -> tuple[str, ...]:
        """Classes without a sound: always silent."""
        return tuple(sorted(set(self.cutouts) - set(self.recordings)))


def group_by_class(things: Iterable[T], cls_of: Callable[[T], str]) -> dict[str, tuple[T, ...]]:
    """Things per class, classes in alphabetical order, things in the given order."""
    grouped: dict[str, list[T]] = {}
    for thing in things:
        grouped.setdefault(cls_of(thing), []).append(thing)
    return {cls: tuple(grouped[cls]) for cls in sorted(grouped)}


def merge(*parts: Ingredients) -> Ingredients:
    """One set out of several of the same split, for example photographs and drawn objects."""
    if len({part.split for part in parts}) != 1:
        raise ValueError(f"only sets of one split can be merged, got {[part.split for part in parts]}")
    return Ingredients(
        split=parts[0].split,
        cutouts=group_by_class((c for p in parts for cs in p.cutouts.values() for c in cs), lambda c: c.cls),
        recordings=group_by_class((r for p in parts for rs in p.recordings.values() for r in rs), lambda r: r.cls),
        scenes=tuple(scene for part in parts for scene in part.scenes),
        backgrounds=tuple(background for part in parts for background in part.backgrounds),
        skipped=tuple(line for part in parts for line in part.skipped),
    )


def cutout_from(rgba: Pixels, *, id: str, cls: str, group: str, truncated: bool = False) -> Cutout:  # noqa: A002
    """A cut-out ready to paste: not larger than needed, colours continued under the transparent part."""
    longest = max(rgba.shape[:2])
    if longest > LONGEST_SIDE_PX:
        shrink = LONGEST_SIDE_PX / longest
        size = (max(1, round(rgba.shape[1] * shrink)), max(1, round(rgba.shape[0] * shrink)))
        rgba = np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Cutout(id=id, cls=cls, group=group, rgba=continue_colours(rgba), truncated=truncated)


def continue_colours(rgba: Pixels) -> Pixels:
    """The same picture with the colours of its visible neighbourhood under the transparent pixels."""
    weight: Samples = rgba[..., 3].astype(np.float32) / np.float32(255)
    weighted = (rgba[..., :3] * weight[..., None]).astype(np.float32)
    near, far = (_blurred_colours(weighted, weight, width) for width in (7, 61))
    close_by = np.asarray(cv2.blur(weight, (7, 7)))[..., None] > 0.02
    behind = np.where(close_by, near, far)
    out = rgba.copy()
    out[..., :3] = np.clip(np.rint(weighted + behind * (1 - weight[..., None])), 0, 255)
    return out


def _blurred_colours(weighted: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], width: int) -> Samples:
    known = np.asarray(cv2.blur(weight, (width, width)))[..., None]
    return np.asarray(cv2.blur(weighted, (width, width)) / np.maximum(known, 1e-6), np.float32)
