"""Shots: the owner of a pixel is who was painted there."""

import cv2
import numpy as np
import pytest

from cavs.adapt.data.motion import WORLD, Camera, Light, Path, Sway
from cavs.adapt.data.shot import Role, Shot
from cavs.adapt.data.sprite import Pose, Sprite

SIZE = (64, 64)
SIDE = round(64 * WORLD)
GREY, RED, BLUE = (100, 100, 100), (250, 0, 0), (0, 0, 250)
EVEN = Light(Sway(0.0), Sway(0.0), Sway(1.0))
STAND = Camera(Sway(SIDE / 2), Sway(SIDE / 2), Sway(0.0))


def role(cls: str | None, colour: tuple[int, int, int], x: Sway, longest: float = 20.0) -> Role:
    sprite = Sprite(np.full((20, 20, 3), colour, np.uint8), np.full((20, 20), 255, np.uint8))
    pose = Pose(x=0, y=0, longest=longest)
    return Role(cls, sprite, Path(pose, x, Sway(39.5), Sway(0.0), Sway(0.0)))


def shot(*roles: Role, camera: Camera = STAND, fixed: bool = False, noise: float = 0.0, blur_px: float = 0.0) -> Shot:
    world = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    ids = np.zeros((SIDE, SIDE), np.uint8)
    if fixed:
        world[:20], ids[:20] = (0, 200, 0), 1
    return Shot(
        size=SIZE, world=world, ids=ids, fixed=("tree",) if fixed else (), roles=roles, camera=camera, light=EVEN,
        focus_px=Sway(blur_px), noise=noise, jpeg=None, seed=1,
    )  # fmt: skip


def test_every_object_owns_its_pixels_and_the_one_in_front_hides_the_other() -> None:
    both = shot(role("red", RED, Sway(34.5)), role("blue", BLUE, Sway(44.5)))
    frame, owner = both.frame_at(0.0)
    assert both.owners == ("red", "blue")
    np.testing.assert_array_equal(owner == 1, (frame == RED).all(axis=2))
    np.testing.assert_array_equal(owner == 2, (frame == BLUE).all(axis=2))
    assert np.count_nonzero(owner == 2) == 20 * 20
    assert 0 < np.count_nonzero(owner == 1) < 20 * 20


def test_instances_of_the_photograph_move_with_the_camera() -> None:
    panning = Camera(Sway(SIDE / 2), Sway(SIDE / 2, -4.0), Sway(0.0))
    take = shot(role("red", RED, Sway(39.5)), camera=panning, fixed=True)
    seen = []
    for time_s in (0.0, 1.0, 2.0):
        frame, owner = take.frame_at(time_s)
        assert take.owners == ("tree", "red")
        assert np.count_nonzero((owner == 1) != (frame[..., 1] == 200)) <= 2 * 64  # nearest against linear, at the border
        seen.append(np.count_nonzero(owner == 1))
    assert seen[0] < seen[1] < seen[2]


def test_something_without_a_class_only_hides() -> None:
    take = shot(role("red", RED, Sway(39.5)), role(None, BLUE, Sway(39.5), longest=10))
    frame, owner = take.frame_at(0.0)
    assert take.owners == ("red", None)
    assert np.count_nonzero(owner == 1) == 20 * 20 - 10 * 10
    np.testing.assert_array_equal(owner == 2, (frame == BLUE).all(axis=2))


def test_owners_alone_are_those_of_the_frame() -> None:
    take = shot(role("red", RED, Sway(30.0, 5.0, ((3.0, 1.0, 0.0),))), noise=5.0, blur_px=1.0)
    for time_s in (0.0, 0.7, 3.3):
        np.testing.assert_array_equal(take.owner_at(time_s), take.frame_at(time_s)[1])


def test_a_moment_looks_the_same_whenever_it_is_asked_for() -> None:
    take = shot(role("red", RED, Sway(30.0, 5.0)), noise=5.0)
    first = take.frame_at(0.4)[0]
    take.frame_at(0.8)
    np.testing.assert_array_equal(first, take.frame_at(0.4)[0])
    assert (first != take.frame_at(0.44)[0]).any()


@pytest.mark.parametrize("time_s", [0.0, 4.0])
def test_an_object_may_leave_the_picture(time_s: float) -> None:
    _, owner = shot(role("red", RED, Sway(40.0, 30.0))).frame_at(time_s)
    assert owner.any() == (time_s == 0.0)


def test_shadow_and_blur_change_the_frame_but_not_the_owner() -> None:
    plain = role("red", RED, Sway(39.5))
    shaded = Role("red", plain.sprite, plain.path, shadow=(0.3, 0.3, 0.5))
    frame, owner = shot(shaded, blur_px=1.0).frame_at(0.0)
    reference, same = shot(plain).frame_at(0.0)
    np.testing.assert_array_equal(owner, same)
    assert cv2.absdiff(frame, reference).max() > 20
