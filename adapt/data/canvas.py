"""A small painter: anti-aliased shapes that look round, shaded by one light, on a transparent ground.

Coordinates are unit: x to the right, y down, the picture spans -1 to 1 on both axes. Colours are RGB in 0..1.
A shape is inflated like a balloon by the distance to its own edge, which gives it normals to light.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Colour = tuple[float, float, float]
Points = Sequence[tuple[float, float]] | npt.NDArray[np.floating]

OVERSAMPLING = 2
"""Shapes are painted this many times larger and shrunk once at the end."""
SUBPIXEL_BITS = 4
"""Fraction bits of the polygon corners handed to OpenCV."""


@dataclass(frozen=True, slots=True)
class Paint:
    """How a surface looks.

    bulge:   how far in from the edge the surface curves, in units; 0 is flat card.
    gloss:   strength of the highlight. metal: share of mirrored surroundings in the colour.
    grain:   strength of fine texture. outline: width of the darkened edge, in units.
    shadow:  darkness of the soft shadow on what lies below.
    """

    colour: Colour
    bulge: float = 0.15
    gloss: float = 0.25
    metal: float = 0.0
    grain: float = 0.02
    outline: float = 0.012
    shadow: float = 0.3
    alpha: float = 1.0

    def tinted(self, factor: float) -> "Paint":
        """The same surface, lighter (factor > 1) or darker (< 1)."""
        red, green, blue = (min(1.0, part * factor) for part in self.colour)
        return replace(self, colour=(red, green, blue))


def ellipse(x: float, y: float, rx: float, ry: float, turn_deg: float = 0.0) -> Floats:
    """Corners of an ellipse, (72, 2)."""
    return superellipse(x, y, rx, ry, 2.0, turn_deg=turn_deg, corners=72)


def superellipse(x: float, y: float, rx: float, ry: float, power: float, *, turn_deg: float = 0.0, corners: int = 96) -> Floats:
    """Between an ellipse (power 2) and a rectangle (large power), (corners, 2)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    px = rx * np.sign(cos) * np.abs(cos) ** (2 / power)
    py = ry * np.sign(sin) * np.abs(sin) ** (2 / power)
    turn = np.deg2rad(turn_deg)
    turned = np.stack([x + px * np.cos(turn) - py * np.sin(turn), y + px * np.sin(turn) + py * np.cos(turn)], axis=1)
    return turned.astype(np.float32)


def box(x0: float, y0: float, x1: float, y1: float, rounding: float = 0.0) -> Floats:
    """A rectangle whose corners are rounded with radius `rounding`, (n, 2)."""
    if rounding <= 0:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)
    radius = min(rounding, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    centres = ((x1 - radius, y1 - radius), (x0 + radius, y1 - radius), (x0 + radius, y0 + radius), (x1 - radius, y0 + radius))
    arcs = [
        np.stack([cx + radius * np.cos(a), cy + radius * np.sin(a)], axis=1)
        for quarter, (cx, cy) in enumerate(centres)
        for a in [np.linspace(quarter * np.pi / 2, (quarter + 1) * np.pi / 2, 9)]
    ]
    return np.concatenate(arcs).astype(np.float32)


def smooth(points: Points, per_span: int = 14, closed: bool = False) -> Floats:
    """A Catmull-Rom curve through the points, (n, 2)."""
    knots = np.asarray(points, np.float64)
    count = len(knots)
    spans = count if closed else count - 1
    t = np.linspace(0, 1, per_span, endpoint=False)[:, None]
    pieces = []
    for i in range(spans):
        take = [i - 1, i, i + 1, i + 2]
        a, b, c, d = (knots[j % count] if closed else knots[min(max(j, 0), count - 1)] for j in take)
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    if not closed:
        pieces.append(knots[-1:])
    return np.concatenate(pieces).astype(np.float32)


def tube(path: Points, width_start: float, width_end: float) -> Floats:
    """The outline of a line whose width goes evenly from one value to another, with round ends, (n, 2)."""
    line = np.asarray(path, np.float64)
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = np.linspace(width_start, width_end, len(line))[:, None] / 2
    left, right = line + across * half, line - across * half
    turn = np.linspace(-np.pi / 2, np.pi / 2, 9)[1:-1, None]
    cap_end = line[-1] + half[-1] * (np.cos(turn) * along[-1] - np.sin(turn) * across[-1])
    cap_start = line[0] + half[0] * (-np.cos(turn) * along[0] + np.sin(turn) * across[0])
    return np.concatenate([left, cap_end, right[::-1], cap_start]).astype(np.float32)


class Canvas:
    """Paints shapes one over the other; `picture` gives RGBA.

    view:  2 x 2 matrix applied to every point (turn, scale, shear, mirror).
    light: direction to the light, (x, y, z), z towards the viewer.
    """

    def __init__(self, size_px: int, rng: np.random.Generator, view: Floats, light: tuple[float, float, float]) -> None:
        self._side = size_px * OVERSAMPLING
        self._size_px = size_px
        self._view = view.astype(np.float32)
        self._unit_px = self._side / 2 * float(np.sqrt(abs(np.linalg.det(view))))
        self._light = (np.asarray(light) / np.linalg.norm(light)).astype(np.float32)
        self._colour = np.zeros((self._side, self._side, 3), np.float32)  # premultiplied by alpha
        self._alpha = np.zeros((self._side, self._side), np.float32)
        own = np.random.default_rng(int(rng.integers(2**63)))  # so that the same seed draws the same thing at every size
        grain = own.standard_normal((self._side // 2, self._side // 2), dtype=np.float32)
        self._grain = np.asarray(cv2.resize(grain, (self._side, self._side), interpolation=cv2.INTER_LINEAR), np.float32)

    def fill(self, outline: Points, paint: Paint, *, on_top_only: bool = False) -> None:
        """Paints a closed shape; with `on_top_only` just where something was painted before (patterns, engravings)."""
        corners = (np.asarray(outline, np.float32) @ self._view.T + 1) * (self._side / 2)
        margin = 2 + int(0.06 * self._unit_px)
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - margin, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + margin, self._side)
        if (high - low < 2).any():
            return
        stencil = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        fixed = np.round((corners - low) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(stencil, [fixed], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        cover = stencil.astype(np.float32) * (paint.alpha / 255)
        if on_top_only:
            cover *= self._alpha[window]
        self._drop_shadow(window, stencil, paint)
        surface = self._surface(stencil, paint, self._grain[window])
        keep = 1 - cover
        self._colour[window] = self._colour[window] * keep[..., None] + surface * cover[..., None]
        self._alpha[window] = self._alpha[window] * keep + cover

    def stroke(self, path: Points, width: float, paint: Paint, *, on_top_only: bool = False) -> None:
        """Paints a line of even width with round ends."""
        self.fill(tube(path, width, width), paint, on_top_only=on_top_only)

    def picture(self) -> npt.NDArray[np.uint8]:
        """RGBA uint8 (size, size, 4), colour not premultiplied."""
        premultiplied = np.dstack([self._colour, self._alpha])
        small = cv2.resize(premultiplied, (self._size_px, self._size_px), interpolation=cv2.INTER_AREA)
        alpha = np.clip(small[..., 3:], 0, 1)
        colour = np.clip(small[..., :3] / np.maximum(alpha, 1e-3), 0, 1)
        return np.asarray(np.round(np.dstack([colour, alpha]) * 255), np.uint8)

    def _drop_shadow(self, window: tuple[slice, slice], stencil: npt.NDArray[np.uint8], paint: Paint) -> None:
        if paint.shadow <= 0:
            return
        reach = 0.03 * self._unit_px
        soft = np.asarray(cv2.GaussianBlur(stencil, (0, 0), max(reach, 1)), np.float32) / 255
        shift = np.array([[1, 0, -self._light[0] * reach], [0, 1, -self._light[1] * reach]], np.float32)
        moved = np.asarray(cv2.warpAffine(soft, shift, soft.shape[::-1]), np.float32)
        self._colour[window] *= 1 - paint.shadow * paint.alpha * moved[..., None]

    def _surface(self, stencil: npt.NDArray[np.uint8], paint: Paint, grain: Floats) -> Floats:
        """Lit colour of every pixel of the shape, (h, w, 3)."""
        inside = (stencil > 127).astype(np.uint8)
        depth = np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)
        colour = np.asarray(paint.colour, np.float32)
        normal = self._normals(depth, paint.bulge * self._unit_px)
        lit = np.clip(normal @ self._light, 0, 1)
        half = self._light + np.array([0, 0, 1], np.float32)
        shine = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 28 * paint.gloss
        shade = (0.42 + 0.68 * lit) * (1 - paint.metal) + _mirrored(normal) * paint.metal
        shade = shade * (1 + paint.grain * grain)
        if paint.outline > 0:
            edge = np.clip(depth / (paint.outline * self._unit_px), 0, 1)
            shade = shade * (0.38 + 0.62 * edge)
        surface: Floats = np.clip(colour * shade[..., None] + shine[..., None], 0, 1)
        return surface

    @staticmethod
    def _normals(depth: Floats, radius_px: float) -> Floats:
        """Unit normals of the balloon whose height follows a quarter circle of the given radius, (h, w, 3)."""
        normal = np.zeros((*depth.shape, 3), np.float32)
        normal[..., 2] = 1
        if radius_px < 1:
            return normal
        radius_px = min(radius_px, max(float(depth.max()), 1.0))
        inward = np.clip(depth / radius_px, 0, 1)
        height = radius_px * np.sqrt(np.clip(1 - (1 - inward) ** 2, 0, 1))
        height = cv2.GaussianBlur(height, (0, 0), max(0.16 * radius_px, 0.8))
        normal[..., 0] = -cv2.Scharr(height, cv2.CV_32F, 1, 0) / 32
        normal[..., 1] = -cv2.Scharr(height, cv2.CV_32F, 0, 1) / 32
        unit: Floats = normal / np.linalg.norm(normal, axis=2, keepdims=True)
        return unit


def _mirrored(normal: Floats) -> Floats:
    """Brightness a polished surface shows: a bright sky, a dark horizon, a warm floor, (h, w)."""
    up = -normal[..., 1] + 0.35 * normal[..., 0]
    bands = 0.62 + 0.45 * np.sin(3.4 * up + 0.4) + 0.22 * np.sin(9.0 * up + 2.0 * normal[..., 0])
    mirrored: Floats = np.clip(bands, 0.16, 1.35)
    return mirrored
