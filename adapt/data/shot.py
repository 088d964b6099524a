"""One take of the camera: a world, objects on their paths, and the picture with exact owners at any time."""

from dataclasses import dataclass

import cv2
import numpy as np

from cavs.adapt.data.appearance import add_noise, compress, shine
from cavs.adapt.data.ingredients import Pixels
from cavs.adapt.data.motion import Camera, Light, Path, Sway, seen_by
from cavs.adapt.data.sprite import Sprite, cast_shadow, paste, place

MS_PER_S = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """An object in a shot. cls is None for something without a class that only hides others."""

    cls: str | None
    sprite: Sprite
    path: Path
    source: str = ""
    shadow: tuple[float, float, float] | None = None
    """Offset (x, y) relative to the longest side, and depth."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """Everything that was decided at random before the first frame; `frame_at` only computes.

    world:   uint8 (H, W, 3), larger than the frame.  ids: uint8 (H, W), 0 or 1 + index into `fixed`.
    fixed:   classes of the instances in the photograph itself.
    roles:   objects from back to front.
    focus_px: blur; noise: standard deviation in grey levels; jpeg: quality or None.
    """

    size: tuple[int, int]
    world: Pixels
    ids: Pixels
    fixed: tuple[str, ...]
    roles: tuple[Role, ...]
    camera: Camera
    light: Light
    focus_px: Sway
    noise: float
    jpeg: int | None
    seed: int
    source: str = ""

    @property
    def owners(self) -> tuple[str | None, ...]:
        """Class of every owner; owner number k of `frame_at` is entry k - 1."""
        return self.fixed + tuple(role.cls for role in self.roles)

    def frame_at(self, time_s: float) -> tuple[Pixels, Pixels]:
        """The frame uint8 (H, W, 3) and the owner of each pixel, uint8 (H, W): 0 or 1 + index into `owners`."""
        frame, owner = self._staged(time_s, lit=True)
        frame = shine(frame, self.light.at(time_s))
        blur_px = self.focus_px.at(time_s)
        if blur_px > 0.3:
            frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), blur_px), np.uint8)
        if self.noise > 0:
            frame = add_noise(frame, np.random.default_rng([self.seed, round(time_s * MS_PER_S)]), self.noise)
        return (compress(frame, self.jpeg) if self.jpeg else frame), owner

    def owner_at(self, time_s: float) -> Pixels:
        """Only the owners of the pixels."""
        return self._staged(time_s, lit=False)[1]

    def _staged(self, time_s: float, lit: bool) -> tuple[Pixels, Pixels]:
        view = self.camera.view(time_s, self.size)
        window = self.size[::-1]
        border = cv2.BORDER_REFLECT_101
        frame = np.asarray(cv2.warpAffine(self.world, view, window, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)
        owner = np.asarray(cv2.warpAffine(self.ids, view, window, flags=cv2.INTER_NEAREST, borderMode=border), np.uint8)
        for number, role in enumerate(self.roles, 1 + len(self.fixed)):
            pose = seen_by(role.path.at(time_s), view)
            placed = place(role.sprite, pose, self.size)
            if placed is None:
                continue
            if lit and role.shadow is not None:
                x, y, depth = role.shadow
                cast_shadow(frame, placed, (x * pose.longest, y * pose.longest), depth)
            owner[paste(frame, placed)] = number
        return frame, owner
