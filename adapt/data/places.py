"""Places for the drawn things to stand in: rooms, table tops, hills, walls. Nothing in them makes a sound."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.canvas import Colour, Floats
from cavs.adapt.data.colours import WOODS, Rng, hue, pick

Picture = npt.NDArray[np.uint8]


def draw_place(kind: str, rng: Rng, width_px: int, height_px: int) -> Picture:
    """One place as RGB uint8 (height, width, 3)."""
    if kind not in PLACES:
        raise ValueError(f"no place {kind!r}; known: {', '.join(PLACES)}")
    picture = np.zeros((height_px, width_px, 3), np.float32)
    PLACES[kind](picture, rng)
    return _photographed(picture, rng)


def _photographed(picture: Floats, rng: Rng) -> Picture:
    """Light falling off to one side, dim corners, a tint, sensor noise, at times out of focus."""
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    light = 1 + rng.uniform(-0.18, 0.18) * x + rng.uniform(-0.1, 0.1) * y - rng.uniform(0.05, 0.16) * (x * x + y * y)
    tint = 1 + 0.04 * rng.standard_normal(3)
    lit = picture * light[..., None] * tint.astype(np.float32)
    if rng.random() < 0.5:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.4, 2.2) * width / 320), np.float32)
    lit = lit + rng.uniform(0.004, 0.02) * rng.standard_normal(lit.shape, dtype=np.float32)
    return np.asarray(np.round(np.clip(lit, 0, 1) * 255), np.uint8)


def _clouds(rng: Rng, height: int, width: int, coarse: int = 3, octaves: int = 5) -> Floats:
    """Smooth noise in 0..1, each octave twice as fine and half as strong, (height, width)."""
    field = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = coarse * 2**octave
        knots = rng.standard_normal((max(2, cells * height // width), max(2, cells)), dtype=np.float32)
        field += cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    field -= field.min()
    clouds: Floats = field / max(float(field.max()), 1e-6)
    return clouds


def _gradient(height: int, width: int, top: Colour, bottom: Colour) -> Floats:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.asarray(top, np.float32) * (1 - share) + np.asarray(bottom, np.float32) * share
    return np.repeat(column, width, axis=1)


def _rectangle(picture: Floats, corners: tuple[float, float, float, float], colour: Colour) -> None:
    """Fills x0, y0, x1, y1, given as shares of the picture."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = corners
    low = (round(x0 * width), round(y0 * height))
    cv2.rectangle(picture, low, (round(x1 * width), round(y1 * height)), colour, -1)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (float(np.clip(part * factor, 0, 1)) for part in colour)
    return red, green, blue


def _planks(rng: Rng, height: int, width: int, vanish: float) -> Floats:
    """Boards running away from the viewer (vanish > 0) or across the picture (vanish 0), (height, width, 3)."""
    wood = np.asarray(pick(rng, WOODS), np.float32) * rng.uniform(0.9, 1.4)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = 1 - vanish * (1 - y / max(height - 1, 1))
    lane = (x / width - 0.5) / depth * rng.uniform(4, 9) if vanish > 0 else y / height * rng.uniform(3, 7)
    board = np.floor(lane).astype(np.int64)
    tone = rng.uniform(0.86, 1.08, 64).astype(np.float32)[board % 64]
    grain = _clouds(rng, height, width, 4, 5) * 0.22 + 0.86
    seam = np.clip(np.abs(lane - board - 0.5) * 2, 0, 1) > 0.965
    shade = tone * grain * np.where(seam, 0.6, 1.0) * (0.75 + 0.25 * depth)
    planks: Floats = (wood * shade[..., None]).astype(np.float32)
    return planks


def _room(picture: Floats, rng: Rng) -> None:
    """A wall with a window, pictures or shelves over a floor."""
    height, width = picture.shape[:2]
    edge = round(height * rng.uniform(0.55, 0.75))
    wall = hue(rng, saturation=rng.uniform(0.08, 0.4), value=rng.uniform(0.6, 0.9))
    picture[:edge] = _gradient(edge, width, _shade(wall, 1.05), _shade(wall, 0.85))
    kind = rng.integers(3)
    if kind == 0:  # striped paper
        stripes = np.sin(np.linspace(0, np.pi * rng.uniform(10, 40), width)) > 0
        picture[:edge] *= np.where(stripes, 1.0, 0.93).astype(np.float32)[None, :, None]
    elif kind == 1:
        picture[:edge] *= (0.94 + 0.12 * _clouds(rng, edge, width, 3, 6))[..., None]
    if rng.random() < 0.7:
        picture[edge:] = _planks(rng, height - edge, width, rng.uniform(0.3, 0.6))
    else:
        carpet = hue(rng, saturation=0.35, value=0.5)
        picture[edge:] = np.asarray(carpet, np.float32) * (0.8 + 0.4 * rng.random((height - edge, width, 1), dtype=np.float32))
    _rectangle(picture, (0, edge / height - 0.035, 1, edge / height), _shade(wall, rng.choice((0.6, 1.2))))
    for x in rng.permutation([0.03, 0.36, 0.68])[: rng.integers(1, 4)]:
        _furnish(picture, rng, float(x), edge / height)


def _furnish(picture: Floats, rng: Rng, x: float, edge: float) -> None:
    """One thing on the wall, in a third of it that starts at x."""
    kind = rng.integers(4)
    wood = pick(rng, WOODS)
    if kind == 0:  # window
        _rectangle(picture, (x, 0.08, x + 0.27, 0.46), _shade(wood, 1.5))
        for column in (0.015, 0.142):
            for row in (0.1, 0.285):
                pane = hue(rng, 0.52, 0.6, 0.35, 0.95)
                _rectangle(picture, (x + column, row, x + column + 0.113, row + 0.155), pane)
    elif kind == 1:  # framed picture
        top = rng.uniform(0.08, 0.2)
        _rectangle(picture, (x + 0.03, top, x + 0.23, top + 0.24), wood)
        _rectangle(picture, (x + 0.05, top + 0.027, x + 0.21, top + 0.213), hue(rng, saturation=0.3, value=0.9))
        height, width = picture.shape[:2]
        for _ in range(4):
            centre = (round((x + rng.uniform(0.08, 0.18)) * width), round((top + rng.uniform(0.07, 0.17)) * height))
            cv2.circle(picture, centre, max(1, round(rng.uniform(0.01, 0.03) * width)), hue(rng), -1, cv2.LINE_AA)
    elif kind == 2:  # shelf with books
        shelf = rng.uniform(0.3, 0.45)
        left = x
        while left < x + 0.24:
            thick, tall = rng.uniform(0.012, 0.032), rng.uniform(0.08, 0.16)
            _rectangle(picture, (left, shelf - tall, left + thick, shelf), hue(rng, saturation=0.5, value=0.6))
            left += thick + rng.choice((0.002, 0.002, 0.03))
        _rectangle(picture, (x - 0.01, shelf, x + 0.28, shelf + 0.025), wood)
    else:  # cupboard
        _rectangle(picture, (x, edge - rng.uniform(0.25, 0.4), x + 0.26, edge), wood)
        for door in (0.012, 0.137):
            _rectangle(picture, (x + door, edge - 0.22, x + door + 0.112, edge - 0.02), _shade(wood, 1.2))
            _rectangle(picture, (x + door + 0.05, edge - 0.15, x + door + 0.062, edge - 0.1), (0.85, 0.8, 0.6))


def _table(picture: Floats, rng: Rng) -> None:
    """A table top close by, the room behind it out of focus."""
    height, width = picture.shape[:2]
    _room(picture, rng)
    picture[:] = cv2.GaussianBlur(picture, (0, 0), width * rng.uniform(0.008, 0.025))
    edge = round(height * rng.uniform(0.45, 0.68))
    if rng.random() < 0.6:
        picture[edge:] = _planks(rng, height - edge, width, 0.0)
    else:  # a checked cloth
        y, x = np.mgrid[0 : height - edge, 0:width].astype(np.float32)
        lanes = rng.uniform(6, 14)
        depth = 0.6 + 0.4 * y / max(height - edge, 1)
        across = np.floor((x / width - 0.5) / depth * lanes).astype(int) % 2
        along = np.floor(lanes * 0.5 * np.log(depth + 0.2)).astype(int) % 2
        cloth = np.asarray(hue(rng, saturation=0.5), np.float32)
        picture[edge:] = 0.95 - (0.95 - cloth) * (0.5 * (across + along)[..., None])
    picture[edge:] *= np.linspace(0.85, 1.1, height - edge, dtype=np.float32)[:, None, None]
    _rectangle(picture, (0, edge / height, 1, edge / height + 0.008), (0.3, 0.25, 0.2))


def _hills(picture: Floats, rng: Rng) -> None:
    """Sky with clouds, rows of hills, trees, a meadow."""
    height, width = picture.shape[:2]
    evening = rng.random() < 0.3
    zenith = hue(rng, 0.54, 0.64, 0.55, 0.85) if not evening else hue(rng, 0.6, 0.8, 0.5, 0.5)
    horizon = hue(rng, 0.5, 0.6, 0.15, 0.95) if not evening else hue(rng, 0.03, 0.12, 0.6, 0.95)
    picture[:] = _gradient(height, width, zenith, horizon)
    cover = np.clip((_clouds(rng, height, width, 3, 6) - rng.uniform(0.45, 0.7)) * 3, 0, 0.9)[..., None]
    picture[:] = picture * (1 - cover) + cover * np.float32(0.97)
    level = rng.uniform(0.4, 0.6)
    columns = np.arange(width)
    for row in range(int(rng.integers(2, 5))):
        wave = _clouds(rng, 8, width, 2 + row, 4)[0]
        crest = height * (level + 0.09 * row - 0.18 * wave)
        ground = np.asarray(hue(rng, 0.2, 0.38, 0.4, 0.35 + 0.1 * row), np.float32)
        below = np.arange(height)[:, None] > crest[None, :]
        texture = 0.8 + 0.4 * _clouds(rng, height, width, 24, 4)
        picture[below] = (ground * texture[..., None])[below]
        for _ in range(int(rng.integers(0, 7))):
            at = int(rng.integers(width))
            _tree(picture, rng, columns[at], round(crest[at]), height * rng.uniform(0.03, 0.08) * (row + 1))


def _tree(picture: Floats, rng: Rng, x: int, y: int, size: float) -> None:
    leaf = hue(rng, 0.22, 0.4, 0.5, 0.35)
    trunk = max(1, round(size * 0.12))
    cv2.line(picture, (x, y + 2), (x, round(y - size)), pick(rng, WOODS), trunk, cv2.LINE_AA)
    for _ in range(9):
        centre = (round(x + rng.normal(0, 0.28) * size), round(y - size * rng.uniform(0.7, 1.4)))
        cv2.circle(
            picture, centre, max(1, round(size * rng.uniform(0.18, 0.34))), _shade(leaf, rng.uniform(0.7, 1.3)), -1, cv2.LINE_AA
        )


def _wall(picture: Floats, rng: Rng) -> None:
    """Bricks, tiles, plaster, or shapes without meaning, filling the picture."""
    height, width = picture.shape[:2]
    kind = rng.integers(4)
    colour = hue(rng, saturation=rng.uniform(0.1, 0.6), value=0.7)
    picture[:] = _gradient(height, width, _shade(colour, 1.1), _shade(colour, 0.8))
    picture *= (0.8 + 0.4 * _clouds(rng, height, width, int(rng.integers(2, 10)), 6))[..., None]
    if kind <= 1:
        rows = int(rng.integers(6, 16))
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        line = y / height * rows
        lane = x / width * rows * rng.uniform(0.5, 1.3) + (0.5 * (np.floor(line) % 2) if kind == 0 else 0)
        tone = rng.uniform(0.85, 1.12, 257)[(np.floor(line) * 37 + np.floor(lane)).astype(int) % 257]
        joint = np.minimum(np.minimum(line % 1, 1 - line % 1), np.minimum(lane % 1, 1 - lane % 1)) < 0.05
        picture *= np.where(joint, rng.choice((0.6, 1.25)), tone).astype(np.float32)[..., None]
    elif kind == 2:
        for _ in range(int(rng.integers(6, 30))):
            centre = (int(rng.integers(width)), int(rng.integers(height)))
            axes = (max(1, round(rng.uniform(0.02, 0.2) * width)), max(1, round(rng.uniform(0.02, 0.2) * width)))
            shape = np.zeros((height, width), np.uint8)
            cv2.ellipse(shape, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
            picture[shape > 0] = picture[shape > 0] * 0.4 + 0.6 * np.asarray(hue(rng, saturation=0.5), np.float32)


PLACES: dict[str, Callable[[Floats, Rng], None]] = {"room": _room, "table": _table, "hills": _hills, "wall": _wall}
"""Kind of place -> what draws it into an empty picture."""
