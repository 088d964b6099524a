"""What a scene stands on: a crop of a background, of a real scene with its own instances, or painted light."""

from dataclasses import dataclass

import cv2
import numpy as np

from cavs.adapt.data.appearance import add_noise, apply_tone, draw_tone, soften
from cavs.adapt.data.ingredients import Backdrop, Ingredients, Pixels
from cavs.adapt.data.sprite import Mask

PAINTED = 0.06
"""Share of backdrops that are smooth painted light instead of a photograph."""
FROM_SCENES = 0.3
"""Share of plain backgrounds that are an empty corner of a real scene."""
EMPTY_CORNER_TRIES = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """How a picture is taken.

    size: (H, W).  squash: the width that a square keeps, since wide pictures are squeezed into the frame.
    strength: of the augmentation, 0 to 1.
    longest: range of the longest side of objects as a share of the frame's shorter side; None goes by their number.
    """

    size: tuple[int, int]
    squash: float = 1.0
    strength: float = 1.0
    longest: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A backdrop in the frame's size: uint8 (H, W, 3) and the masks of the instances that are already in it."""

    frame: Pixels
    instances: tuple[tuple[str, Mask], ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Crop:
    """Part of a photograph, in its pixels; mirrored or not."""

    left: int
    top: int
    width: int
    height: int
    mirrored: bool

    def of(self, picture: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
        """That part, resized to `size` (H, W)."""
        part = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        fitted = np.asarray(cv2.resize(part, (size[1], size[0]), interpolation=interpolation), np.uint8)
        return np.asarray(cv2.flip(fitted, 1), np.uint8) if self.mirrored else fitted


def plain_ground(ingredients: Ingredients, rng: np.random.Generator, setting: Setting) -> Ground:
    """A ground that shows no object."""
    chosen = _empty_corner(ingredients, rng, setting) if rng.random() < FROM_SCENES else None
    if chosen is None and ingredients.backgrounds and rng.random() >= PAINTED:
        photo = ingredients.backgrounds[int(rng.integers(len(ingredients.backgrounds)))]
        chosen = photo, draw_crop(photo.pixels, rng, setting, rng.uniform(0.4, 1.0))
    if chosen is None:
        return Ground(_painted(rng, setting.size), source="painted")
    photo, crop = chosen
    frame = crop.of(photo.pixels, setting.size, _shrinking(crop, setting.size))
    if rng.random() < 0.7 * setting.strength:
        frame = apply_tone(frame, draw_tone(rng, setting.strength))
    if rng.random() < 0.25 * setting.strength:
        frame = soften(frame, rng, 3.0)
    return Ground(frame, source=photo.id)


def scene_ground(scene: Backdrop, cls: str, rng: np.random.Generator, setting: Setting) -> Ground:
    """A part of a real scene around one of its instances of `cls`, with all instances that it shows."""
    assert scene.ids is not None  # scenes always have one; backgrounds never come here
    wanted = [number for number, name in scene.objects if name == cls]
    areas = np.array([np.count_nonzero(scene.ids == number) for number in wanted], np.float64)
    number = wanted[int(rng.choice(len(wanted), p=(areas + 1) / (areas + 1).sum()))]
    rows, cols = np.nonzero(scene.ids == number)
    focus = (float(cols.mean()), float(rows.mean())) if len(rows) else None
    crop = draw_crop(scene.pixels, rng, setting, rng.uniform(0.6, 1.0), focus)
    frame = crop.of(scene.pixels, setting.size, _shrinking(crop, setting.size))
    ids = crop.of(scene.ids, setting.size, cv2.INTER_NEAREST)
    if rng.random() < 0.7 * setting.strength:
        frame = apply_tone(frame, draw_tone(rng, setting.strength))
    shown = tuple((name, ids == number) for number, name in scene.objects if (ids == number).any())
    return Ground(frame, shown, scene.id)


def draw_crop(
    picture: Pixels,
    rng: np.random.Generator,
    setting: Setting,
    share: float,
    focus: tuple[float, float] | None = None,
) -> Crop:
    """A random part of the picture of the frame's shape before squeezing; `share` of the largest possible one."""
    height, width = picture.shape[:2]
    shape = setting.size[1] / (setting.size[0] * setting.squash)  # width over height
    tall = min(height, width / shape) * share
    crop_h, crop_w = min(height, max(8, round(tall))), min(width, max(8, round(tall * shape)))
    if focus is None:
        left, top = rng.uniform(0, width - crop_w), rng.uniform(0, height - crop_h)
    else:
        left = focus[0] - crop_w * rng.uniform(0.3, 0.7)
        top = focus[1] - crop_h * rng.uniform(0.3, 0.7)
    left, top = np.clip(left, 0, width - crop_w), np.clip(top, 0, height - crop_h)
    return Crop(int(left), int(top), crop_w, crop_h, bool(rng.random() < 0.5))


def _shrinking(crop: Crop, size: tuple[int, int]) -> int:
    return cv2.INTER_AREA if crop.height > size[0] and crop.width > size[1] else cv2.INTER_LINEAR


def _empty_corner(ingredients: Ingredients, rng: np.random.Generator, setting: Setting) -> tuple[Backdrop, Crop] | None:
    for _ in range(EMPTY_CORNER_TRIES if ingredients.scenes else 0):
        scene = ingredients.scenes[int(rng.integers(len(ingredients.scenes)))]
        crop = draw_crop(scene.pixels, rng, setting, rng.uniform(0.35, 0.7))
        ids = scene.ids
        if ids is not None and not ids[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width].any():
            return scene, crop
    return None


def _painted(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    cells = int(rng.integers(2, 7))
    colours = rng.normal(rng.uniform(40, 215, 3), rng.uniform(5, 45), (cells, cells, 3))
    smooth = cv2.resize(np.clip(colours, 0, 255).astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    return add_noise(np.asarray(smooth, np.uint8), rng, rng.uniform(0, 8))
