"""Five drawn things that make noise: kettle, hand bell, drone, toy robot, toy frog. No two come out alike.

`draw` gives a cut-out as a photograph would: RGBA, cropped to the object, lit from one side.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.canvas import Canvas, Floats, Paint, box, ellipse, smooth, superellipse, tube
from cavs.adapt.data.colours import DARK, METALS, WOODS, Rng, hue, pick
from cavs.adapt.data.toys import paint_frog, paint_robot


def draw(name: str, rng: Rng, size_px: int) -> npt.NDArray[np.uint8]:
    """One object of a class as RGBA uint8 (h, w, 4), its longer side `size_px`, cropped to what was painted."""
    if name not in PAINTERS:
        raise ValueError(f"no drawn class {name!r}; known: {', '.join(PAINTERS)}")
    lean_deg, paint = PAINTERS[name]
    canvas = Canvas(size_px, rng, _view(rng, lean_deg), (rng.uniform(-0.8, 0.8), rng.uniform(-0.9, -0.35), 1.0))
    paint(canvas, rng)
    return _cropped(canvas.picture(), size_px)


def _view(rng: Rng, lean_deg: float) -> Floats:
    """A turn, a stretch, a shear and a mirror that keep the object inside the canvas."""
    turn = np.deg2rad(rng.normal(0, lean_deg))
    stretch = np.diag([rng.uniform(0.85, 1.0), rng.uniform(0.85, 1.0)]) * 0.82
    shear = np.array([[1, rng.normal(0, 0.05)], [0, 1]])
    mirror = np.diag([rng.choice((-1.0, 1.0)), 1.0])
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    view: Floats = (rotate @ shear @ stretch @ mirror).astype(np.float32)
    return view


def _cropped(picture: npt.NDArray[np.uint8], size_px: int) -> npt.NDArray[np.uint8]:
    """Cuts the empty margin away; what remains is enlarged until its longer side is `size_px`."""
    rows, columns = np.flatnonzero(picture[..., 3].max(axis=1) > 8), np.flatnonzero(picture[..., 3].max(axis=0) > 8)
    tight = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = size_px / max(tight.shape[:2])
    height, width = (max(1, round(side * scale)) for side in tight.shape[:2])
    return np.asarray(cv2.resize(tight, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _turned(profile: list[tuple[float, float]]) -> Floats:
    """The outline of a turned piece from its right half, listed top to bottom as (radius, y)."""
    right = smooth(profile, 8)
    return np.concatenate([right, right[::-1] * np.array([-1, 1], np.float32)])


def _kettle(canvas: Canvas, rng: Rng) -> None:
    enamel = rng.random() < 0.6
    body = Paint(hue(rng) if enamel else pick(rng, METALS), bulge=0.5, gloss=0.55, metal=0.05 if enamel else 0.75)
    fittings = Paint(pick(rng, METALS) if rng.random() < 0.4 else DARK, bulge=0.06, gloss=0.4, metal=0.2)
    wide, tall, top = rng.uniform(0.48, 0.62), rng.uniform(0.34, 0.5), rng.uniform(0.5, 0.8)
    middle = 0.85 - tall
    mouth = rng.uniform(-0.35, 0.05)
    spout = smooth([(wide * 0.7, middle + 0.15), (wide + 0.16, middle - 0.05), (0.9, mouth)])
    canvas.fill(tube(spout, rng.uniform(0.26, 0.36), rng.uniform(0.1, 0.14)), body)
    canvas.fill(ellipse(0.9, mouth, 0.09, 0.05, rng.uniform(-50, -20)), fittings)
    lid_y = middle - tall * 0.92
    high = lid_y - rng.uniform(0.32, 0.5)
    if rng.random() < 0.7:  # a bow over the lid
        bow = smooth([(-wide * 0.72, middle - tall * 0.55), (-wide * 0.6, high + 0.08), (0, high), (wide * 0.6, high + 0.08)])
        bow = np.concatenate([bow, smooth([(wide * 0.6, high + 0.08), (wide * 0.72, middle - tall * 0.55)])])
        canvas.stroke(bow, rng.uniform(0.06, 0.09), fittings)
        canvas.stroke(smooth([(-wide * 0.4, high + 0.03), (0, high), (wide * 0.4, high + 0.03)]), 0.12, Paint(pick(rng, WOODS)))
    else:  # a loop at the back
        back = smooth(
            [(-wide * 0.7, middle - tall * 0.6), (-0.95, middle - 0.25), (-0.9, middle + 0.1), (-wide * 0.8, middle + 0.2)]
        )
        canvas.stroke(back, rng.uniform(0.08, 0.12), fittings)
    profile = [(wide * top * 0.62, middle - tall), (wide * (top + 1) / 2, middle - tall * 0.5), (wide, middle + tall * 0.35)]
    canvas.fill(_turned([*profile, (wide * 0.93, middle + tall * 0.9), (wide * 0.8, 0.88)]), body)
    _kettle_pattern(canvas, rng, body, wide=wide, middle=middle, tall=tall)
    canvas.fill(ellipse(0, middle - tall, wide * top * 0.66, 0.06), body.tinted(0.85))
    canvas.fill(superellipse(0, middle - tall - 0.03, wide * top * 0.52, 0.07, 2.4), body.tinted(1.08))
    canvas.fill(ellipse(0, middle - tall - 0.14, 0.07, rng.uniform(0.05, 0.09)), fittings)


def _kettle_pattern(canvas: Canvas, rng: Rng, body: Paint, *, wide: float, middle: float, tall: float) -> None:
    ink = Paint(hue(rng, saturation=0.4, value=0.9), bulge=0, gloss=0, outline=0, shadow=0, alpha=0.8)
    kind = rng.integers(4)
    if kind == 0:
        y = middle + rng.uniform(-0.1, 0.35) * tall
        canvas.stroke(
            [(-wide, y), (-wide / 2, y + 0.03), (0, y + 0.04), (wide / 2, y + 0.03), (wide, y)], 0.07, ink, on_top_only=True
        )
    elif kind == 1:
        for column in np.linspace(-0.75, 0.75, int(rng.integers(4, 8))):
            for row in (-0.3, 0.15, 0.6):
                canvas.fill(ellipse(column * wide * (1 - 0.1 * row), middle + row * tall, 0.04, 0.045), ink, on_top_only=True)
    elif kind == 2:
        for petal in range(6):
            angle = petal * np.pi / 3
            canvas.fill(ellipse(0.1 * np.cos(angle), middle + 0.1 * np.sin(angle), 0.08, 0.05, np.rad2deg(angle)), ink)
        canvas.fill(ellipse(0, middle, 0.05, 0.05), Paint((0.95, 0.8, 0.2), bulge=0.05, outline=0))
    canvas.stroke([(-wide * 0.85, 0.85), (0, 0.87), (wide * 0.85, 0.85)], 0.035, body.tinted(0.6))


def _hand_bell(canvas: Canvas, rng: Rng) -> None:
    enamel = rng.random() < 0.15
    metal = Paint(hue(rng) if enamel else pick(rng, METALS), bulge=0.4, gloss=0.6, metal=0.1 if enamel else 0.7, grain=0.03)
    wood = Paint(pick(rng, WOODS) if rng.random() < 0.8 else DARK, bulge=0.09, gloss=0.3, grain=0.06)
    rim, waist, shoulder = rng.uniform(0.5, 0.66), rng.uniform(0.3, 0.4), rng.uniform(0.2, 0.3)
    top, bottom, flat = rng.uniform(-0.22, 0.02), 0.72, rng.uniform(0.06, 0.16)
    grip = rng.uniform(0.07, 0.11)
    canvas.fill(ellipse(rng.uniform(-0.2, 0.2), bottom + flat * 0.7, 0.1, 0.11), metal.tinted(0.8))
    if rng.random() < 0.75:
        knobs = [
            (0.0, -0.98),
            (grip * 1.25, -0.9),
            (grip * 0.7, -0.76),
            (grip * 1.2, (top - 0.8) / 2),
            (grip * 0.6, top - 0.05),
        ]
        canvas.fill(_turned([*knobs, (grip * 0.9, top + 0.03)]), wood)
    else:
        loop = smooth([(-0.1, top), (-0.26, -0.6), (0, -0.9), (0.26, -0.6), (0.1, top)])
        canvas.stroke(loop, rng.uniform(0.08, 0.12), Paint(hue(rng), bulge=0.05))
    profile = [
        (0.02, top - 0.02),
        (shoulder, top + 0.06),
        (waist, (top * 2 + bottom) / 3),
        (waist * 1.18, (top + bottom * 2) / 3),
    ]
    skirt = np.linspace(0, np.pi, 24)
    sides = _turned([*profile, (rim * 0.93, bottom - 0.06), (rim, bottom)])
    half = len(sides) // 2
    lip = np.stack([rim * np.cos(skirt), bottom + flat * np.sin(skirt)], axis=1).astype(np.float32)
    canvas.fill(np.concatenate([sides[:half], lip, sides[half:]]), metal)
    for share in rng.uniform(0.1, 0.95, int(rng.integers(1, 5))):
        y = top + 0.12 + share * (bottom - top - 0.18)
        ring = np.stack([rim * np.cos(skirt), y + flat * 0.7 * np.sin(skirt)], axis=1)
        canvas.stroke(ring, rng.uniform(0.012, 0.04), metal.tinted(rng.choice((0.62, 1.3))), on_top_only=True)
    if rng.random() < 0.3:
        _ribbon(canvas, rng, top)


def _ribbon(canvas: Canvas, rng: Rng, y: float) -> None:
    silk = Paint(hue(rng, saturation=0.8), bulge=0.1, gloss=0.15)
    for side in (-1, 1):
        tail = smooth([(0, y), (side * 0.1, y + 0.12), (side * 0.2, y + 0.34)])
        canvas.fill(tube(tail, 0.06, 0.11), silk.tinted(0.85))
        canvas.fill(ellipse(side * 0.15, y - 0.02, 0.15, 0.085, side * 20), silk)
    canvas.fill(ellipse(0, y, 0.06, 0.06), silk.tinted(1.1))


def _drone(canvas: Canvas, rng: Rng) -> None:
    """Four arms in a plane seen from an elevation between level and steep."""
    shell = Paint(pick(rng, (DARK, (0.92, 0.92, 0.94), (0.4, 0.42, 0.46))) if rng.random() < 0.65 else hue(rng), 0.18, 0.5)
    arm = Paint(DARK if rng.random() < 0.5 else shell.colour, bulge=0.05, gloss=0.3)
    trim = Paint(hue(rng, saturation=0.9, value=0.95), bulge=0.05, gloss=0.4)
    tilt, yaw = np.sin(np.deg2rad(rng.uniform(12, 65))), rng.uniform(0.45, 1.1)
    reach, rotor, lift = rng.uniform(0.6, 0.68), rng.uniform(0.24, 0.31), rng.uniform(0.04, 0.12)
    corners = [yaw + k * np.pi / 2 for k in range(4)]
    hubs = sorted(((reach * np.cos(a), reach * np.sin(a) * tilt - lift) for a in corners), key=lambda hub: hub[1])
    drop = np.sqrt(1 - tilt**2)
    _drone_legs(canvas, rng, arm, drop)
    for x, y in hubs[:2]:
        _rotor(canvas, rng, arm, trim, hub=(x, y), radius=rotor, tilt=tilt)
    canvas.fill(superellipse(0, 0.03 * drop, 0.28, 0.11 + 0.15 * tilt, rng.uniform(2, 4)), shell)
    canvas.fill(superellipse(0, -0.05 * drop, 0.19, 0.06 + 0.1 * tilt, 2.3), shell.tinted(1.15))
    canvas.stroke([(-0.12, -0.05 * drop), (0, -0.04 * drop), (0.12, -0.05 * drop)], 0.03, trim)
    for x, y in hubs[2:]:
        _rotor(canvas, rng, arm, trim, hub=(x, y), radius=rotor, tilt=tilt)
    eye_y = 0.12 + 0.12 * drop
    canvas.fill(superellipse(0, eye_y, 0.1, 0.085, 3), arm)
    canvas.fill(ellipse(0, eye_y, 0.055, 0.055), Paint((0.08, 0.1, 0.16), bulge=0.06, gloss=0.9))
    for side in (-1, 1):
        lamp = (0.95, 0.2, 0.15) if side < 0 else (0.2, 0.95, 0.35)
        canvas.fill(ellipse(side * 0.23, 0.05, 0.025, 0.025), Paint(lamp, bulge=0.02, gloss=0.8, outline=0))


def _drone_legs(canvas: Canvas, rng: Rng, arm: Paint, drop: float) -> None:
    foot = 0.16 + rng.uniform(0.22, 0.42) * drop
    for side in (-1, 1):
        canvas.stroke([(side * 0.16, 0.08), (side * 0.23, (foot + 0.08) / 2), (side * 0.28, foot)], 0.035, arm.tinted(0.8))
        canvas.stroke([(side * 0.4, foot), (side * 0.28, foot + 0.01), (side * 0.18, foot)], 0.045, arm)


def _rotor(canvas: Canvas, rng: Rng, arm: Paint, trim: Paint, *, hub: tuple[float, float], radius: float, tilt: float) -> None:
    """An arm, its motor and the blur of its blades."""
    x, y = hub
    canvas.fill(tube([(x * 0.2, y * 0.2), (x * 0.6, y * 0.6), (x, y + 0.06)], 0.11, 0.06), arm)
    canvas.fill(box(x - 0.05, y - 0.02, x + 0.05, y + 0.09, 0.03), trim if rng.random() < 0.4 else arm.tinted(1.3))
    blur = Paint((0.55, 0.57, 0.6), bulge=0, gloss=0, outline=0.02, shadow=0.05, alpha=rng.uniform(0.55, 0.7))
    flat = max(tilt, 0.12)
    canvas.fill(ellipse(x, y - 0.03, radius, radius * flat), blur)
    start = rng.uniform(0, np.pi)
    for blade in (start, start + np.pi):
        sweep = np.linspace(blade, blade + 0.5, 9)
        fan = np.stack([x + radius * np.cos(sweep), y - 0.03 + radius * flat * np.sin(sweep)], axis=1)
        streak = Paint((0.14, 0.14, 0.16), bulge=0, gloss=0, outline=0, shadow=0, alpha=0.65)
        canvas.fill(np.concatenate([[(x, y - 0.03)], fan]), streak)
    canvas.fill(ellipse(x, y - 0.04, 0.035, 0.03), trim)


PAINTERS: dict[str, tuple[float, Callable[[Canvas, Rng], None]]] = {
    "kettle": (5.0, _kettle),
    "hand_bell": (22.0, _hand_bell),
    "drone": (8.0, _drone),
    "toy_robot": (7.0, paint_robot),
    "toy_frog": (7.0, paint_frog),
}
"""Class name -> how far it leans (standard deviation in degrees), how it is painted."""
