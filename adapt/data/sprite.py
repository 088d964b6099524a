"""One object as it is pasted: its look, its pose, and the pasting itself with its exact mask."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.appearance import apply_tone, compress, draw_tone, match_light, soften
from cavs.adapt.data.ingredients import Cutout, Pixels

Mask = npt.NDArray[np.bool_]
SOLID = 127
"""A pixel belongs to the object where its alpha is above this."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A cut-out with its look decided: RGB (H, W, 3), alpha (H, W), how much edges are eaten and softened."""

    rgb: Pixels
    alpha: Pixels
    cut_side: str | None = None
    erode_px: int = 0
    feather_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Pose:
    """Where and how a sprite lies in the frame.

    x, y:     centre in pixels.
    longest:  longest side of the upright, unsheared sprite in pixels.
    aspect:   width is stretched by its root, height shrunk by it.
    turn:     rotation in radians; shear: horizontal shift per vertical pixel.
    tilt:     perspective, relative shrink towards the (right, bottom) side.
    """

    x: float
    y: float
    longest: float
    aspect: float = 1.0
    turn: float = 0.0
    shear: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A sprite in the frame: the part of the frame that it touches and what it looks like there."""

    rows: slice
    cols: slice
    rgb: Pixels
    alpha: Pixels


def dress(cutout: Cutout, rng: np.random.Generator, strength: float) -> Sprite:
    """A look for the cut-out: mirrored, toned, softened, compressed, with its edge eaten or feathered."""
    rgb, alpha = np.ascontiguousarray(cutout.rgba[..., :3]), np.ascontiguousarray(cutout.rgba[..., 3])
    side = cutout.cut_side
    if rng.random() < 0.5:
        rgb, alpha = np.asarray(cv2.flip(rgb, 1), np.uint8), np.asarray(cv2.flip(alpha, 1), np.uint8)
        side = {"left": "right", "right": "left"}.get(side or "", side)
    if rng.random() < 0.9 * strength:
        rgb = apply_tone(rgb, draw_tone(rng, strength))
    if rng.random() < 0.25 * strength:
        rgb = soften(rgb, rng, 1.5)
    if rng.random() < 0.15 * strength:
        rgb = compress(rgb, int(rng.integers(25, 80)))
    erode_px = int(rng.random() < 0.35 * strength)
    feather_px = float(rng.uniform(0.4, 1.2)) if rng.random() < 0.6 else 0.0
    return Sprite(rgb, alpha, side, erode_px, feather_px)


def place(sprite: Sprite, pose: Pose, size: tuple[int, int]) -> Placed | None:
    """The sprite in a frame of `size` (H, W), None when no pixel of it falls inside."""
    source_h, source_w = sprite.alpha.shape
    scale = pose.longest / max(source_h, source_w)
    rgb, alpha = sprite.rgb, sprite.alpha
    if scale < 0.7:  # warping alone would skip pixels
        small = (max(2, round(source_w * scale)), max(2, round(source_h * scale)))
        rgb = np.asarray(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = np.asarray(cv2.resize(alpha, small, interpolation=cv2.INTER_AREA), np.uint8)
        scale = pose.longest / max(small)
    matrix = _matrix(pose, (alpha.shape[1], alpha.shape[0]), scale)
    box = _box(matrix, (alpha.shape[1], alpha.shape[0]), size)
    if box is None:
        return None
    left, top, right, bottom = box
    shifted = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64) @ matrix
    window = (right - left, bottom - top)
    alpha = _edge(_warp(alpha, shifted, window, cv2.BORDER_CONSTANT), sprite)
    if not (alpha > SOLID).any():
        return None
    return Placed(slice(top, bottom), slice(left, right), _warp(rgb, shifted, window, cv2.BORDER_REPLICATE), alpha)


def _matrix(pose: Pose, source: tuple[int, int], scale: float) -> npt.NDArray[np.float64]:
    """From source pixels to frame pixels, 3 x 3."""
    stretch = np.sqrt(pose.aspect)
    centre = np.array([[1, 0, -(source[0] - 1) / 2], [0, 1, -(source[1] - 1) / 2], [0, 0, 1]])
    form = np.array([[scale * stretch, pose.shear * scale, 0], [0, scale / stretch, 0], [0, 0, 1]])
    cos, sin = np.cos(pose.turn), np.sin(pose.turn)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    tilted = np.array([[1, 0, 0], [0, 1, 0], [pose.tilt[0] / pose.longest, pose.tilt[1] / pose.longest, 1]])
    moved = np.array([[1, 0, pose.x], [0, 1, pose.y], [0, 0, 1]])
    matrix: npt.NDArray[np.float64] = moved @ tilted @ turned @ form @ centre
    return matrix


def _box(matrix: npt.NDArray[np.float64], source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    corners = np.array([[0, 0, 1], [source[0], 0, 1], [0, source[1], 1], [source[0], source[1], 1]], np.float64)
    mapped = corners @ matrix.T
    points = mapped[:, :2] / mapped[:, 2:]
    left, top = np.floor(points.min(axis=0) - 2).astype(int)
    right, bottom = np.ceil(points.max(axis=0) + 2).astype(int)
    left, top = max(int(left), 0), max(int(top), 0)
    right, bottom = min(int(right), size[1]), min(int(bottom), size[0])
    return (left, top, right, bottom) if right - left >= 2 and bottom - top >= 2 else None


def _warp(picture: Pixels, matrix: npt.NDArray[np.float64], window: tuple[int, int], border: int) -> Pixels:
    if matrix[2, 0] == 0 and matrix[2, 1] == 0:
        return np.asarray(cv2.warpAffine(picture, matrix[:2], window, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)
    return np.asarray(cv2.warpPerspective(picture, matrix, window, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _edge(alpha: Pixels, sprite: Sprite) -> Pixels:
    if sprite.erode_px:
        side = 2 * sprite.erode_px + 1
        alpha = np.asarray(cv2.erode(alpha, np.ones((side, side), np.uint8)), np.uint8)
    if sprite.feather_px:
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), sprite.feather_px), np.uint8)
    return alpha


def paste(frame: Pixels, placed: Placed) -> Mask:
    """Blends the sprite into `frame` (changed in place); returns its mask in the whole frame."""
    part = frame[placed.rows, placed.cols]
    opaque = cv2.merge([placed.alpha] * 3)
    behind = cv2.multiply(part, cv2.bitwise_not(opaque), scale=1 / 255)
    part[:] = cv2.add(behind, cv2.multiply(placed.rgb, opaque, scale=1 / 255))
    mask = np.zeros(frame.shape[:2], bool)
    mask[placed.rows, placed.cols] = placed.alpha > SOLID
    return mask


def light_like(placed: Placed, frame: Pixels, amount: float) -> Placed:
    """The sprite with its colours moved towards those of the place it will be pasted on."""
    rgb = match_light(placed.rgb, placed.alpha, frame[placed.rows, placed.cols], amount)
    return Placed(placed.rows, placed.cols, rgb, placed.alpha)


def cast_shadow(frame: Pixels, placed: Placed, offset: tuple[float, float], depth: float) -> None:
    """Darkens `frame` (in place) beside the sprite, at an eighth of the resolution: shadows are soft."""
    height, width = frame.shape[:2]
    coarse = np.zeros((height // 8 + 1, width // 8 + 1), np.uint8)
    top, left = placed.rows.start // 8, placed.cols.start // 8
    small = (max(1, placed.alpha.shape[1] // 8), max(1, placed.alpha.shape[0] // 8))
    shape = cv2.resize(placed.alpha, small, interpolation=cv2.INTER_AREA)
    coarse[top : top + small[1], left : left + small[0]] = shape[: coarse.shape[0] - top, : coarse.shape[1] - left]
    moved = cv2.warpAffine(coarse, np.array([[1, 0, offset[0] / 8], [0, 1, offset[1] / 8]]), coarse.shape[::-1])
    soft = cv2.resize(cv2.GaussianBlur(moved, (3, 3), 0), (width, height), interpolation=cv2.INTER_LINEAR)
    light = cv2.convertScaleAbs(soft, alpha=-depth, beta=255)
    frame[:] = cv2.multiply(frame, cv2.merge([light] * 3), scale=1 / 255)
