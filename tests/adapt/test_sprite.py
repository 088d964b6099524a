"""Sprites: the pasted pixels and the mask are the same ones."""

import numpy as np
import pytest

from cavs.adapt.data.ingredients import Cutout
from cavs.adapt.data.sprite import Pose, Sprite, cast_shadow, dress, light_like, paste, place

SIZE = (60, 80)


def square(side: int = 20, colour: tuple[int, int, int] = (250, 10, 10), **look: float) -> Sprite:
    rgb = np.full((side, side, 3), colour, np.uint8)
    return Sprite(rgb, np.full((side, side), 255, np.uint8), **look)  # type: ignore[arg-type]


def grey() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.full((*SIZE, 3), 100, np.uint8)


def test_a_sprite_lies_where_its_pose_says() -> None:
    frame = grey()
    placed = place(square(), Pose(x=39.5, y=29.5, longest=20), SIZE)
    assert placed is not None
    mask = paste(frame, placed)
    expected = np.zeros(SIZE, bool)
    expected[20:40, 30:50] = True
    np.testing.assert_array_equal(mask, expected)
    assert (frame[mask] == (250, 10, 10)).all()
    assert (frame[~mask] == 100).all()


@pytest.mark.parametrize("turn", [0.0, 0.3, -1.0])
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.2, -0.1)])
@pytest.mark.parametrize("longest", [6.0, 20.0, 41.5])
def test_the_mask_is_what_was_painted(turn: float, tilt: tuple[float, float], longest: float) -> None:
    frame = grey()
    placed = place(square(), Pose(40, 30, longest, aspect=0.7, turn=turn, shear=0.1, tilt=tilt), SIZE)
    assert placed is not None
    mask = paste(frame, placed)
    painted = frame[..., 0] > 175  # half way between the ground and the sprite
    assert np.count_nonzero(mask != painted) <= 0.02 * np.count_nonzero(mask) + 2
    assert np.count_nonzero(mask) == pytest.approx(longest**2, rel=0.35)


def test_a_sprite_outside_the_frame_is_not_placed() -> None:
    assert place(square(), Pose(x=-40, y=30, longest=20), SIZE) is None


def test_a_sprite_at_the_border_keeps_its_part_inside() -> None:
    placed = place(square(), Pose(x=-0.5, y=29.5, longest=20), SIZE)
    assert placed is not None
    assert int(paste(grey(), placed).sum()) == 10 * 20


def test_eaten_edges_make_the_mask_smaller() -> None:
    pose = Pose(x=39.5, y=29.5, longest=20)
    whole, eaten = place(square(), pose, SIZE), place(square(erode_px=1), pose, SIZE)
    assert whole is not None
    assert eaten is not None
    assert int(paste(grey(), eaten).sum()) == 18 * 18 < int(paste(grey(), whole).sum())


def test_a_mirrored_cutout_is_cut_on_the_other_side() -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[5:15, :10] = 255
    cutout = Cutout("a", "a", "a", rgba, truncated=True)
    sides = set()
    for seed in range(20):
        sprite = dress(cutout, np.random.default_rng(seed), 0.0)
        mirrored = bool(sprite.alpha[10, 15])
        sides.add((sprite.cut_side, mirrored))
    assert sides == {("left", False), ("right", True)}


def test_a_sprite_takes_on_the_light_of_its_place() -> None:
    placed = place(square(colour=(200, 200, 200)), Pose(x=39.5, y=29.5, longest=20), SIZE)
    assert placed is not None
    assert light_like(placed, grey(), 0.5).rgb.mean() == pytest.approx(150, abs=1)


def test_a_shadow_darkens_beside_the_sprite_and_nothing_else() -> None:
    frame = grey()
    placed = place(square(), Pose(x=20, y=20, longest=20), SIZE)
    assert placed is not None
    cast_shadow(frame, placed, (8.0, 8.0), 0.5)
    assert frame[28, 28, 0] < 75
    assert (frame[:, 60:] == 100).all()
