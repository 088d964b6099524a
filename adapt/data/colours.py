"""Colours of the drawn things: random hues, metals, woods."""

import colorsys

import numpy as np

from cavs.adapt.data.canvas import Colour

Rng = np.random.Generator

METALS: tuple[Colour, ...] = ((0.86, 0.87, 0.9), (0.92, 0.74, 0.32), (0.82, 0.5, 0.32), (0.6, 0.62, 0.66))
"""Steel, brass, copper, pewter."""
WOODS: tuple[Colour, ...] = ((0.45, 0.27, 0.14), (0.62, 0.42, 0.22), (0.28, 0.17, 0.11), (0.72, 0.55, 0.36))
DARK: Colour = (0.13, 0.13, 0.15)


def hue(rng: Rng, low: float = 0.0, high: float = 1.0, saturation: float = 0.7, value: float = 0.8) -> Colour:
    """A colour of a random hue between two points of the circle, strength and brightness a little varied."""
    strength = float(np.clip(saturation + rng.normal(0, 0.13), 0.05, 1))
    brightness = float(np.clip(value + rng.normal(0, 0.1), 0.15, 1))
    return colorsys.hsv_to_rgb(float(rng.uniform(low, high)) % 1.0, strength, brightness)


def pick(rng: Rng, colours: tuple[Colour, ...]) -> Colour:
    red, green, blue = np.clip(np.asarray(colours[rng.integers(len(colours))]) * rng.normal(1, 0.06, 3), 0, 1)
    return float(red), float(green), float(blue)
