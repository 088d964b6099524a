"""How objects, the camera and the light move through a clip: smooth functions of the time in seconds."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cavs.adapt.data.ingredients import Pixels
from cavs.adapt.data.sprite import Pose

WORLD = 1.25
"""The world is this much larger than the frame, so that the camera has room to move."""


@dataclass(frozen=True, slots=True)
class Sway:
    """A value that drifts and swings. waves: (amplitude, frequency in Hz, phase in radians)."""

    start: float
    drift_per_s: float = 0.0
    waves: tuple[tuple[float, float, float], ...] = ()

    def at(self, time_s: float) -> float:
        """The value at a time."""
        swing = sum(reach * np.sin(2 * np.pi * hz * time_s + phase) for reach, hz, phase in self.waves)
        return float(self.start + self.drift_per_s * time_s + swing)


def draw_sway(rng: np.random.Generator, start: float, drift: float, reach: float, fastest_hz: float) -> Sway:
    """A sway around `start`: at most `drift` per second and two waves of `reach` together."""
    first = float(rng.uniform(0, reach))
    waves = tuple(
        (amplitude, float(rng.uniform(0.1, fastest_hz)), float(rng.uniform(0, 2 * np.pi)))
        for amplitude in (first, reach - first)
    )
    return Sway(start, float(rng.uniform(-drift, drift)), waves)


@dataclass(frozen=True, slots=True)
class Path:
    """The pose of one object in the world over time."""

    pose: Pose
    x: Sway
    y: Sway
    growth: Sway
    turn: Sway

    def at(self, time_s: float) -> Pose:
        """Where it is at a time, in world pixels."""
        return replace(
            self.pose,
            x=self.x.at(time_s),
            y=self.y.at(time_s),
            longest=self.pose.longest * float(np.exp(self.growth.at(time_s))),
            turn=self.turn.at(time_s),
        )


def draw_path(rng: np.random.Generator, pose: Pose, side_px: int) -> Path:
    """A still, a swaying or a travelling object that begins near `pose`."""
    kind = rng.choice(["still", "sway", "travel"], p=[0.3, 0.4, 0.3])
    reach = {"still": 0.0, "sway": 0.06, "travel": 0.03}[kind] * side_px
    drift = {"still": 0.0, "sway": 0.0, "travel": 0.06}[kind] * side_px
    moves = 0.0 if kind == "still" else 1.0
    return Path(
        pose,
        x=draw_sway(rng, pose.x, drift, reach, 0.8),
        y=draw_sway(rng, pose.y, 0.4 * drift, 0.6 * reach, 0.8),
        growth=draw_sway(rng, 0.0, 0.03 * moves, 0.08 * moves, 0.5),
        turn=draw_sway(rng, pose.turn, 0.0, 0.12 * moves, 0.8),
    )


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks at a part of the world: pan in world pixels, zoom as a logarithm."""

    x: Sway
    y: Sway
    zoom: Sway

    def view(self, time_s: float, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """From world pixels to frame pixels, 2 x 3."""
        scale = float(np.exp(self.zoom.at(time_s)))
        return np.array(
            [[scale, 0, size[1] / 2 - scale * self.x.at(time_s)], [0, scale, size[0] / 2 - scale * self.y.at(time_s)]]
        )


def draw_camera(rng: np.random.Generator, size: tuple[int, int], steady: float) -> Camera:
    """A camera on a stand (with the chance `steady`), in a hand, or panning."""
    middle = size[1] * WORLD / 2, size[0] * WORLD / 2
    if rng.random() < steady:
        return Camera(Sway(middle[0]), Sway(middle[1]), Sway(0.0))
    room = (WORLD - 1) / 2 * min(size)
    pan = float(rng.uniform(0, 0.12)) * room
    shake = tuple(
        (float(rng.uniform(0.0, 0.012)) * min(size), float(rng.uniform(1.5, 6)), float(rng.uniform(0, 6.28))) for _ in range(2)
    )
    x, y = (draw_sway(rng, at, pan, 0.3 * room, 0.4) for at in middle)
    return Camera(
        Sway(x.start, x.drift_per_s, x.waves + shake[:1]),
        Sway(y.start, y.drift_per_s, y.waves + shake[1:]),
        draw_sway(rng, 0.0, 0.01, 0.04, 0.4),
    )


def seen_by(pose: Pose, view: npt.NDArray[np.float64]) -> Pose:
    """A pose of the world as it lies in the frame."""
    scale = float(view[0, 0])
    return replace(
        pose,
        x=scale * pose.x + float(view[0, 2]),
        y=scale * pose.y + float(view[1, 2]),
        longest=pose.longest * scale,
    )


@dataclass(frozen=True, slots=True)
class Light:
    """A slope of light over the frame that turns and swells."""

    angle: Sway
    slope: Sway
    gain: Sway

    def at(self, time_s: float) -> Pixels:
        """The field at a time, uint8 (6, 6), 128 meaning unchanged."""
        across, down = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 6))
        angle = self.angle.at(time_s)
        field = self.gain.at(time_s) + self.slope.at(time_s) * (np.cos(angle) * across + np.sin(angle) * down)
        return np.asarray(np.clip(np.rint(field * 128), 20, 255), np.uint8)


def draw_light(rng: np.random.Generator, strength: float) -> Light:
    """Light as constant or as unsteady as a film by hand."""
    return Light(
        angle=draw_sway(rng, float(rng.uniform(0, 6.28)), 0.3, 0.3, 0.3),
        slope=Sway(float(rng.uniform(0, 0.3)) * strength),
        gain=draw_sway(rng, 1.0, 0.02 * strength, float(rng.uniform(0, 0.15)) * strength, 0.7),
    )
