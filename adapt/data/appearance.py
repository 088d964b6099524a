"""How an object or a whole picture looks: colour, light, sharpness, noise, compression. All on uint8 RGB.

Photographs that were never seen are what costs most, so the same cut-out should hardly look the same twice.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.ingredients import Pixels

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_FROM_YIQ = np.linalg.inv(_TO_YIQ).astype(np.float32)
_NOISE_SIDE_PX = 768


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """A colour change: a 3 x 3 mix of the channels, then one curve per channel (256, 3)."""

    mix: npt.NDArray[np.float32]
    curves: Pixels


def draw_tone(rng: np.random.Generator, strength: float) -> Tone:
    """A random change of hue, saturation, white balance, brightness, contrast and gamma; grey now and then."""
    hue = rng.normal(0, 0.10) * strength
    saturation = 0.0 if rng.random() < 0.06 * strength else float(np.exp(rng.normal(0, 0.35) * strength))
    turn = np.array([[1, 0, 0], [0, np.cos(hue), -np.sin(hue)], [0, np.sin(hue), np.cos(hue)]], np.float32)
    turn[1:] *= saturation
    mix = np.asarray(_FROM_YIQ @ turn @ _TO_YIQ, np.float32)
    contrast = np.exp(rng.normal(0, 0.22) * strength)
    brightness = rng.normal(0, 0.10) * strength
    gamma = np.exp(rng.normal(0, 0.25) * strength)
    white = np.exp(rng.normal(0, 0.05, 3) * strength)
    level = (np.arange(256, dtype=np.float32) / 255)[:, None] ** gamma
    curve = ((level - 0.5) * contrast + 0.5 + brightness) * white
    return Tone(mix, np.clip(np.rint(curve * 255), 0, 255).astype(np.uint8))


def apply_tone(picture: Pixels, tone: Tone) -> Pixels:
    """The picture (H, W, 3) in another tone."""
    mixed = cv2.transform(picture, tone.mix)
    return np.asarray(cv2.LUT(mixed, tone.curves[None]), np.uint8)


def match_light(picture: Pixels, alpha: Pixels, around: Pixels, amount: float) -> Pixels:
    """Moves the object's mean colour towards the mean of the place it is put in; contrast is kept."""
    own = np.array(cv2.mean(picture, mask=(alpha > 127).astype(np.uint8))[:3])
    target = np.array(cv2.mean(around)[:3])
    shift = np.clip((target - own) * amount, -50, 50)
    steps = np.arange(256, dtype=np.float32)[:, None] + shift
    return np.asarray(cv2.LUT(picture, np.clip(np.rint(steps), 0, 255).astype(np.uint8)[None]), np.uint8)


def soften(picture: Pixels, rng: np.random.Generator, largest_sigma_px: float) -> Pixels:
    """Out of focus, moving, or taken at a lower resolution."""
    kind = rng.random()
    if kind < 0.5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, largest_sigma_px)), np.uint8)
    if kind < 0.75:
        return smear(picture, length_px=rng.uniform(2, 4 * largest_sigma_px + 1), angle=rng.uniform(0, np.pi))
    height, width = picture.shape[:2]
    coarse = rng.uniform(1.3, 1.3 + largest_sigma_px)
    small = cv2.resize(picture, (max(8, int(width / coarse)), max(8, int(height / coarse))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def smear(picture: Pixels, length_px: float, angle: float) -> Pixels:
    """Motion blur along `angle` (radians)."""
    side = max(3, 2 * int(length_px / 2) + 1)
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    step = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = np.rint(middle - step).astype(int), np.rint(middle + step).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def add_noise(picture: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
    """Sensor noise of `sigma` grey levels, coloured or grey, from a fixed sheet at a random place."""
    height, width = picture.shape[:2]
    sheet = _noise_sheet()
    tiles = (-(-(height + 1) // sheet.shape[0]), -(-(width + 1) // sheet.shape[1]))
    if max(tiles) > 1:
        sheet = np.tile(sheet, (tiles[0], tiles[1], 1))
    top = int(rng.integers(sheet.shape[0] - height))
    left = int(rng.integers(sheet.shape[1] - width))
    grain = sheet[top : top + height, left : left + width]
    if rng.random() < 0.4:
        grain = np.ascontiguousarray(np.repeat(grain[..., :1], 3, axis=2))
    # The sheet has a standard deviation of 32 around 0.
    return np.asarray(cv2.addWeighted(picture, 1.0, grain, sigma / 32, 0, dtype=cv2.CV_8U), np.uint8)


@cache
def _noise_sheet() -> npt.NDArray[np.int16]:
    rng = np.random.default_rng(20_240_101)  # the same sheet in every process
    return np.asarray(np.rint(rng.normal(0, 32, (_NOISE_SIDE_PX, _NOISE_SIDE_PX, 3))), np.int16)


def compress(picture: Pixels, quality: int) -> Pixels:
    """What JPEG of this quality leaves of the picture."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def light_map(rng: np.random.Generator, depth: float) -> Pixels:
    """A smooth field of light, uint8 (6, 6), 128 meaning unchanged; `depth` is the largest relative change."""
    across, down = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 6))
    angle = rng.uniform(0, 2 * np.pi)
    field = np.cos(angle) * across + np.sin(angle) * down
    if rng.random() < 0.4:
        x, y = rng.uniform(-1, 1, 2)
        field = 1.2 - 1.2 * ((across - x) ** 2 + (down - y) ** 2)
    gain = 1 + depth * np.clip(field, -1, 1)
    return np.asarray(np.clip(np.rint(gain * 128), 0, 255), np.uint8)


def shine(picture: Pixels, light: Pixels) -> Pixels:
    """The picture under a field of light from `light_map`."""
    height, width = picture.shape[:2]
    field = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(picture, cv2.merge([field, field, field]), scale=1 / 128), np.uint8)


def finish(picture: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """What a camera does to the whole picture: light, tone, focus, noise, compression, each now and then."""
    if rng.random() < 0.4 * strength:
        picture = shine(picture, light_map(rng, rng.uniform(0.1, 0.5)))
    if rng.random() < 0.5 * strength:
        picture = apply_tone(picture, draw_tone(rng, 0.5 * strength))
    if rng.random() < 0.15 * strength:
        picture = soften(picture, rng, 1.2)
    if rng.random() < 0.35 * strength:
        picture = add_noise(picture, rng, rng.uniform(2, 12))
    if rng.random() < 0.3 * strength:
        picture = compress(picture, int(rng.integers(30, 90)))
    return picture
