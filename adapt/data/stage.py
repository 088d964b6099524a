"""The picture while it is being composed: what lies on it, and whether one more object hides somebody too much."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from cavs.adapt.data.backdrop import Ground, Setting, plain_ground
from cavs.adapt.data.ingredients import Cutout, Ingredients, Pixels
from cavs.adapt.data.sprite import SOLID, Mask, Placed, Pose, Sprite, cast_shadow, dress, light_like, paste, place

SMALLEST_SHARE = 250 / (224 * 224)
"""A placed object shows at least this share of the frame (250 px at 224 x 224)."""
LARGEST_COVERED = 0.35
"""... and at most this share of it is hidden by others."""
SMALLEST_INSIDE = 0.5
"""At least this share of a placed object lies inside the frame."""
LONGEST_OF_FRAME = {1: (0.25, 0.9), 2: (0.28, 0.7), 3: (0.25, 0.6)}
"""Range of the longest side of an object as a share of the frame, by the number of objects (from three on the same)."""
POSES = 6
"""Poses tried per object."""
LARGEST_TURN = np.deg2rad(20)


@dataclass(slots=True, eq=False)
class Actor:
    """An object on the stage: the mask of what can still be seen of it.

    whole_px: what could be seen when nothing lay on it.
    fixed:    it is part of the photograph, and may be tiny.
    """

    cls: str
    mask: Mask
    whole_px: int
    source: str
    fixed: bool


@dataclass(slots=True, eq=False)
class Stage:
    """A frame, uint8 (H, W, 3), that objects are put on one after the other."""

    frame: Pixels
    setting: Setting
    actors: list[Actor] = field(default_factory=list)

    @classmethod
    def on(cls, ground: Ground, setting: Setting) -> "Stage":
        """A stage with the instances of its ground."""
        actors = [Actor(n, mask, int(np.count_nonzero(mask)), ground.source, fixed=True) for n, mask in ground.instances]
        return cls(ground.frame, setting, actors)

    @property
    def smallest_px(self) -> int:
        """Fewest visible pixels of a placed object."""
        return max(4, round(SMALLEST_SHARE * self.setting.size[0] * self.setting.size[1]))

    def hides_too_much(self, mask: Mask) -> bool:
        """Whether an object with this mask would leave too little of one that is there."""
        for actor in self.actors:
            seen = int(np.count_nonzero(actor.mask))
            left = int(np.count_nonzero(actor.mask & ~mask))
            tiny = actor.fixed and actor.whole_px < self.smallest_px
            if left < seen and (left < (1 - LARGEST_COVERED) * actor.whole_px or (left < self.smallest_px and not tiny)):
                return True
        return False

    def add(self, cutout: Cutout, rng: np.random.Generator, crowd: int, shrink: float) -> bool:
        """Puts the cut-out where it is seen well and hides nobody too much; False when no pose does.

        crowd: number of objects that share the frame.
        """
        sprite = dress(cutout, rng, self.setting.strength)
        for _ in range(POSES):
            pose = draw_pose(sprite, rng, self.setting, crowd, shrink)
            placed = place(sprite, pose, self.setting.size)
            if placed is None:
                continue
            whole_px = np.count_nonzero(sprite.alpha > SOLID) * (pose.longest / max(sprite.alpha.shape)) ** 2
            if np.count_nonzero(placed.alpha > SOLID) < max(self.smallest_px, SMALLEST_INSIDE * whole_px):
                continue
            mask = self._mask_of(placed)
            if not self.hides_too_much(mask):
                self._light(placed, pose, rng)
                self._cover(mask)
                self.actors.append(Actor(cutout.cls, mask, int(np.count_nonzero(mask)), cutout.id, fixed=False))
                return True
        return False

    def add_occluder(self, ingredients: Ingredients, rng: np.random.Generator) -> None:
        """Puts something shapeless in front of one of the objects, unless that hides somebody too much."""
        movable = [actor for actor in self.actors if not actor.fixed]
        if not movable:
            return
        rows, cols = np.nonzero(movable[int(rng.integers(len(movable)))].mask)
        spot = int(rng.integers(len(rows)))
        reach = max(4.0, float(np.sqrt(len(rows))) * 0.6)
        axes = (max(2, int(rng.uniform(0.15, 0.9) * reach)), max(2, int(rng.uniform(0.15, 0.9) * reach)))
        alpha = np.zeros(self.setting.size, np.uint8)
        cv2.ellipse(alpha, (int(cols[spot]), int(rows[spot])), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        if self.hides_too_much(alpha > SOLID):
            return
        texture = plain_ground(ingredients, rng, Setting(self.setting.size)).frame
        everything = slice(0, self.setting.size[0]), slice(0, self.setting.size[1])
        paste(self.frame, Placed(*everything, texture, alpha))
        self._cover(alpha > SOLID)

    def _light(self, placed: Placed, pose: Pose, rng: np.random.Generator) -> None:
        """Pastes the sprite, sometimes in the light of its place and with a shadow."""
        if rng.random() < 0.4 * self.setting.strength:
            placed = light_like(placed, self.frame, rng.uniform(0.1, 0.6))
        if rng.random() < 0.35 * self.setting.strength:
            offset = (rng.uniform(-0.15, 0.15) * pose.longest, rng.uniform(0, 0.15) * pose.longest)
            cast_shadow(self.frame, placed, offset, rng.uniform(0.15, 0.5))
        paste(self.frame, placed)

    def _mask_of(self, placed: Placed) -> Mask:
        mask = np.zeros(self.setting.size, bool)
        mask[placed.rows, placed.cols] = placed.alpha > SOLID
        return mask

    def _cover(self, mask: Mask) -> None:
        for actor in self.actors:
            actor.mask &= ~mask


def draw_pose(sprite: Sprite, rng: np.random.Generator, setting: Setting, crowd: int, shrink: float) -> Pose:
    """A random pose; what its photograph cut off is usually put at the frame's border again."""
    height, width = setting.size
    strength = setting.strength
    low, high = setting.longest or LONGEST_OF_FRAME[min(max(crowd, 1), 3)]
    longest = float(rng.uniform(low, high)) * min(setting.size) * shrink
    across, down = (longest * side / max(sprite.alpha.shape) / 2 for side in sprite.alpha.shape[::-1])
    loose = rng.random() < 0.2 * strength
    x, y = (_draw_centre(rng, half, side, loose) for half, side in ((across, width), (down, height)))
    turn = float(rng.uniform(-LARGEST_TURN, LARGEST_TURN)) * strength
    if sprite.cut_side is not None and rng.random() < 0.75:
        turn *= 0.2
        x = {"left": across * 0.95, "right": width - across * 0.95}.get(sprite.cut_side, x)
        y = {"top": down * 0.95, "bottom": height - down * 0.95}.get(sprite.cut_side, y)
    tilted = rng.random() < 0.3 * strength
    return Pose(
        x=x,
        y=y,
        longest=longest,
        aspect=setting.squash * float(np.exp(rng.normal(0, 0.12) * strength)),
        turn=turn,
        shear=float(rng.normal(0, 0.08)) * strength,
        tilt=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.25, 0.25))) if tilted else (0.0, 0.0),
    )


def _draw_centre(rng: np.random.Generator, half: float, side: int, loose: bool) -> float:
    low, high = (0.0, float(side)) if loose or 2 * half >= side else (half, side - half)
    return float(rng.uniform(low, high))
