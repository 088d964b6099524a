"""The two drawn toys: a tin robot and a wind-up frog."""

import numpy as np

from cavs.adapt.data.canvas import Canvas, Paint, box, ellipse, smooth, superellipse, tube
from cavs.adapt.data.colours import DARK, METALS, Rng, hue, pick


def paint_robot(canvas: Canvas, rng: Rng) -> None:
    """A boxy robot: legs or tracks, arms with claws, a panel, a head with lamps for eyes."""
    tin = Paint(hue(rng) if rng.random() < 0.65 else pick(rng, METALS), bulge=0.09, gloss=0.5, metal=rng.uniform(0.1, 0.5))
    second = Paint(hue(rng) if rng.random() < 0.5 else pick(rng, METALS), bulge=0.09, gloss=0.5, metal=0.3)
    lamp = Paint(hue(rng, saturation=0.75, value=1.0), bulge=0.06, gloss=0.9)
    dark = Paint(DARK, bulge=0.05, gloss=0.4)
    wide, low, high = rng.uniform(0.3, 0.44), rng.uniform(0.38, 0.52), rng.uniform(-0.28, -0.12)
    _robot_feet(canvas, rng, second, dark, wide=wide, low=low)
    for side in (-1, 1):
        _robot_arm(canvas, rng, second, dark, side=side, wide=wide, high=high)
    canvas.fill(box(-0.1, high - 0.1, 0.1, high + 0.05), dark)
    canvas.fill(box(-wide, high, wide, low, rng.uniform(0.02, 0.16)), tin)
    _robot_panel(canvas, rng, lamp, second, (wide, high, low))
    _robot_head(canvas, rng, tin if rng.random() < 0.6 else second, lamp, dark, high=high)


def _robot_feet(canvas: Canvas, rng: Rng, limb: Paint, dark: Paint, *, wide: float, low: float) -> None:
    if rng.random() < 0.3:
        canvas.fill(box(-wide * 1.15, low - 0.02, wide * 1.15, 0.92, 0.2), dark)
        for x in np.linspace(-wide * 0.8, wide * 0.8, 4):
            canvas.fill(ellipse(x, (low + 0.92) / 2, 0.09, 0.09), limb)
        return
    for side in (-1, 1):
        x = side * wide * 0.52
        canvas.fill(box(x - 0.1, low - 0.06, x + 0.1, 0.8, 0.03), limb)
        for y in np.arange(low + 0.05, 0.72, 0.09):
            canvas.stroke([(x - 0.09, y), (x, y + 0.01), (x + 0.09, y)], 0.015, dark, on_top_only=True)
        canvas.fill(box(x - 0.17 + side * 0.03, 0.74, x + 0.17 + side * 0.03, 0.92, 0.07), dark if rng.random() < 0.5 else limb)


def _robot_arm(canvas: Canvas, rng: Rng, limb: Paint, dark: Paint, *, side: int, wide: float, high: float) -> None:
    shoulder = (side * (wide + 0.03), high + 0.13)
    elbow = (side * (wide + rng.uniform(0.12, 0.24)), high + rng.uniform(0.3, 0.42))
    hand = (side * (wide + rng.uniform(0.05, 0.36)), elbow[1] + rng.choice((-1.0, 1.0), p=(0.35, 0.65)) * rng.uniform(0.2, 0.3))
    canvas.stroke(smooth([shoulder, elbow, hand]), 0.1, limb)
    canvas.fill(ellipse(*elbow, 0.075, 0.075), dark)
    canvas.fill(ellipse(*shoulder, 0.09, 0.09), dark)
    ahead = np.sign(hand[1] - elbow[1])
    for finger in (-1, 1):
        tip = (hand[0] + finger * 0.05, hand[1] + ahead * 0.13)
        canvas.stroke(smooth([hand, (hand[0] + finger * 0.09, hand[1] + ahead * 0.06), tip]), 0.045, dark)


def _robot_panel(canvas: Canvas, rng: Rng, lamp: Paint, plate: Paint, body: tuple[float, float, float]) -> None:
    wide, high, low = body
    middle = (high + low) / 2
    kind = rng.integers(3)
    if kind == 0:  # a dial
        canvas.fill(ellipse(0, middle, 0.2, 0.2), Paint((0.94, 0.93, 0.88), bulge=0.03, shadow=0.4))
        turn = rng.uniform(-1, 1)
        needle = [
            (0, middle),
            (0.08 * np.sin(turn), middle - 0.08 * np.cos(turn)),
            (0.16 * np.sin(turn), middle - 0.16 * np.cos(turn)),
        ]
        canvas.stroke(needle, 0.025, Paint((0.85, 0.15, 0.12), outline=0))
    elif kind == 1:  # a grille
        canvas.fill(box(-wide * 0.7, middle - 0.17, wide * 0.7, middle + 0.17, 0.04), plate)
        for y in np.linspace(middle - 0.11, middle + 0.11, 4):
            canvas.stroke([(-wide * 0.55, y), (0, y), (wide * 0.55, y)], 0.03, Paint(DARK, bulge=0, shadow=0, outline=0))
    else:  # rows of buttons
        canvas.fill(box(-wide * 0.75, middle - 0.18, wide * 0.75, middle + 0.16, 0.05), plate.tinted(0.7))
        for x in np.linspace(-wide * 0.5, wide * 0.5, 3):
            for y in (middle - 0.09, middle + 0.07):
                canvas.fill(ellipse(x, y, 0.055, 0.055), Paint(hue(rng, saturation=0.85, value=0.95), bulge=0.05, gloss=0.8))
    for x in (-wide * 0.86, wide * 0.86):
        for y in (high + 0.06, low - 0.06):
            canvas.fill(ellipse(x, y, 0.022, 0.022), plate.tinted(0.8))
    if rng.random() < 0.6:
        canvas.fill(ellipse(0, high + 0.085, 0.05, 0.04), lamp)


def _robot_head(canvas: Canvas, rng: Rng, tin: Paint, lamp: Paint, dark: Paint, *, high: float) -> None:
    half, tall = rng.uniform(0.22, 0.34), rng.uniform(0.34, 0.46)
    bottom = high - 0.04
    top = bottom - tall
    if rng.random() < 0.6:
        canvas.stroke([(0, top + 0.03), (0, top - 0.06), (0, top - 0.16)], 0.028, dark)
        canvas.fill(ellipse(0, top - 0.18, 0.05, 0.05), lamp)
    for side in (-1, 1):
        canvas.fill(box(side * half - 0.05, bottom - tall * 0.65, side * half + 0.05, bottom - tall * 0.3, 0.03), dark)
    round_head = rng.random() < 0.35
    shape = superellipse(0, bottom - tall / 2, half, tall / 2, 2.6) if round_head else box(-half, top, half, bottom, 0.07)
    canvas.fill(shape, tin)
    eye_y = bottom - tall * 0.6
    if rng.random() < 0.25:
        canvas.fill(box(-half * 0.75, eye_y - 0.07, half * 0.75, eye_y + 0.06, 0.06), dark)
        canvas.fill(box(-half * 0.6, eye_y - 0.03, half * 0.6, eye_y + 0.02, 0.02), lamp)
    else:
        size = rng.uniform(0.065, 0.1)
        for side in (-1, 1):
            canvas.fill(ellipse(side * half * 0.48, eye_y, size * 1.25, size * 1.25), dark)
            canvas.fill(ellipse(side * half * 0.48, eye_y, size, size), lamp)
            canvas.fill(ellipse(side * half * 0.48, eye_y, size * 0.35, size * 0.35), Paint(DARK, outline=0, gloss=0.6))
    mouth = bottom - tall * 0.22
    canvas.fill(box(-half * 0.55, mouth - 0.04, half * 0.55, mouth + 0.04, 0.02), dark)
    for x in np.linspace(-half * 0.45, half * 0.45, 6):
        canvas.fill(
            box(x - 0.012, mouth - 0.03, x + 0.012, mouth + 0.03), Paint((0.9, 0.9, 0.86), bulge=0, outline=0, shadow=0)
        )


def paint_frog(canvas: Canvas, rng: Rng) -> None:
    """A sitting frog from the front: folded hind legs, a wide mouth, eyes on top, a key to wind it."""
    green = rng.random() < 0.6
    colour = hue(rng, 0.2, 0.42, 0.7, 0.7) if green else hue(rng, saturation=0.8, value=0.85)
    skin = Paint(colour, bulge=0.3, gloss=rng.uniform(0.15, 0.6), grain=0.05)
    belly = Paint(hue(rng, 0.1, 0.22, 0.25, 0.93), bulge=0.2, gloss=0.15, outline=0, shadow=0)
    wide, tall = rng.uniform(0.44, 0.56), rng.uniform(0.42, 0.52)
    head_y = 0.32 - tall
    if rng.random() < 0.5:
        _frog_key(canvas, rng, wide)
    for side in (-1, 1):
        thigh = rng.uniform(0.26, 0.34)
        canvas.fill(ellipse(side * (wide + 0.1), 0.5, thigh, 0.26, side * 40), skin)
        _frog_foot(canvas, skin.tinted(0.92), x=side * (wide + 0.2), side=side, spread=0.28)
    canvas.fill(superellipse(0, 0.35, wide, tall, 2.3), skin)
    canvas.fill(superellipse(0, 0.47, wide * 0.68, tall * 0.68, 2.2), belly, on_top_only=True)
    for side in (-1, 1):
        x = side * wide * 0.45
        canvas.fill(tube(smooth([(x * 1.3, 0.3), (x * 1.15, 0.58), (x, 0.82)]), 0.19, 0.13), skin)
        _frog_foot(canvas, skin, x=x, side=side, spread=0.17)
    _frog_head(canvas, rng, skin, wide, head_y)
    if rng.random() < 0.6:
        spot = skin.tinted(rng.choice((0.5, 1.35)))
        for _ in range(int(rng.integers(3, 9))):
            x, y, size = rng.uniform(-wide, wide), head_y + rng.uniform(-0.2, 0.05), rng.uniform(0.025, 0.07)
            flat = Paint(spot.colour, bulge=0.05, gloss=0.1, outline=0, shadow=0, alpha=0.75)
            canvas.fill(ellipse(x, y, size, size * 0.8), flat, on_top_only=True)
    _frog_eyes(canvas, rng, skin, wide, head_y)


def _frog_head(canvas: Canvas, rng: Rng, skin: Paint, wide: float, y: float) -> None:
    half, tall = wide * rng.uniform(1.05, 1.25), rng.uniform(0.26, 0.34)
    canvas.fill(superellipse(0, y, half, tall, 2.2), skin)
    throat = Paint(skin.tinted(1.35).colour, bulge=0.15, gloss=0.2, outline=0, shadow=0, alpha=0.7)
    canvas.fill(ellipse(0, y + tall * 0.62, half * 0.7, tall * 0.35), throat, on_top_only=True)
    grin = rng.uniform(0.04, 0.16)
    ends = y + tall * 0.2
    line = smooth(
        [(-half * 0.82, ends - grin / 2), (-half * 0.4, ends + grin), (0, ends + grin * 1.4), (half * 0.4, ends + grin)]
    )
    mouth = np.concatenate([line, smooth([(half * 0.4, ends + grin), (half * 0.82, ends - grin / 2)])])
    if rng.random() < 0.4:
        lower = mouth[::-1] + np.array([0, 0.1], np.float32) * np.hanning(len(mouth))[:, None]
        canvas.fill(np.concatenate([mouth, lower]), Paint((0.55, 0.12, 0.14), bulge=0, outline=0.02, shadow=0))
    canvas.stroke(mouth, 0.028, Paint((0.1, 0.12, 0.08), bulge=0, gloss=0, outline=0, shadow=0))
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.06, y - 0.03, 0.017, 0.012), Paint(DARK, bulge=0, outline=0, shadow=0))


def _frog_eyes(canvas: Canvas, rng: Rng, skin: Paint, wide: float, head_y: float) -> None:
    size, apart = rng.uniform(0.15, 0.21), wide * rng.uniform(0.5, 0.72)
    iris = Paint(hue(rng, 0.02, 0.2, 0.8, 0.95), bulge=0.08, gloss=0.7)
    slit = rng.random() < 0.5
    for side in (-1, 1):
        x, y = side * apart, head_y - 0.27
        canvas.fill(ellipse(x, y, size, size), skin.tinted(1.05))
        canvas.fill(ellipse(x, y - 0.01, size * 0.72, size * 0.72), iris)
        pupil = (size * 0.55, size * 0.2) if slit else (size * 0.36, size * 0.36)
        canvas.fill(ellipse(x, y, *pupil), Paint((0.05, 0.05, 0.06), bulge=0.06, gloss=0.9, outline=0))
        canvas.fill(ellipse(x - size * 0.2, y - size * 0.25, size * 0.12, size * 0.12), Paint((1, 1, 1), outline=0, shadow=0))


def _frog_foot(canvas: Canvas, skin: Paint, *, x: float, side: int, spread: float) -> None:
    y = 0.84
    for toe in (-0.55, 0.1, 0.75):
        tip = (x + side * toe * spread, y + 0.06)
        canvas.stroke([(x, y - 0.04), ((x + tip[0]) / 2, y), tip], 0.06, skin)
        canvas.fill(ellipse(*tip, 0.05, 0.04), skin)


def _frog_key(canvas: Canvas, rng: Rng, wide: float) -> None:
    metal = Paint(pick(rng, METALS), bulge=0.05, gloss=0.7, metal=0.7)
    x, y = -wide - 0.2, rng.uniform(-0.05, 0.12)
    canvas.stroke([(-wide + 0.1, y + 0.05), (x / 2 - wide / 2, y + 0.02), (x, y)], 0.05, metal)
    for side in (-1, 1):
        canvas.fill(ellipse(x - 0.03, y + side * 0.11, 0.08, 0.11), metal)
        canvas.fill(ellipse(x - 0.03, y + side * 0.11, 0.03, 0.05), Paint(DARK, bulge=0, shadow=0))
