"""Grounds: crops of the frame's shape, and the instances they show."""

import numpy as np
import pytest

from cavs.adapt.data.backdrop import Setting, draw_crop, plain_ground, scene_ground
from cavs.adapt.data.ingredients import Backdrop, Ingredients


@pytest.mark.parametrize("picture_size", [(100, 300), (300, 100), (64, 64)])
@pytest.mark.parametrize("squash", [1.0, 0.6])
def test_a_crop_lies_in_the_picture_and_has_the_shape_of_the_frame(picture_size: tuple[int, int], squash: float) -> None:
    picture = np.zeros((*picture_size, 3), np.uint8)
    setting = Setting((90, 120), squash)
    for seed in range(20):
        crop = draw_crop(picture, np.random.default_rng(seed), setting, 0.8)
        assert crop.left >= 0
        assert crop.top >= 0
        assert crop.left + crop.width <= picture_size[1]
        assert crop.top + crop.height <= picture_size[0]
        assert crop.width / crop.height == pytest.approx(120 / 90 / squash, rel=0.1)
        assert crop.of(picture, setting.size, 1).shape == (90, 120, 3)


def test_a_plain_ground_shows_no_instance(few: Ingredients) -> None:
    black = [Backdrop("b", "b", np.zeros((100, 100, 3), np.uint8))]
    white = np.full((100, 100, 3), 255, np.uint8)
    ids = np.ones((100, 100), np.uint8)
    crowded = Ingredients("train", {}, {}, (Backdrop("s", "s", white, ids, ((1, "a"),)),), tuple(black))
    for seed in range(30):
        ground = plain_ground(crowded, np.random.default_rng(seed), Setting((32, 32), strength=0))
        assert ground.instances == ()
        assert ground.source in ("b", "painted")


def test_an_empty_corner_of_a_scene_is_a_ground_too() -> None:
    ids = np.zeros((100, 300), np.uint8)
    ids[:, :40] = 1
    scene = Backdrop("s", "s", np.full((100, 300, 3), 9, np.uint8), ids, ((1, "a"),))
    sources = [
        plain_ground(Ingredients("train", {}, {}, (scene,)), np.random.default_rng(seed), Setting((32, 32))).source
        for seed in range(30)
    ]
    assert set(sources) == {"s", "painted"}


def test_a_scene_shows_the_class_it_was_chosen_for(few: Ingredients) -> None:
    for scene in few.scenes:
        for cls in {name for _, name in scene.objects}:
            ground = scene_ground(scene, cls, np.random.default_rng(0), Setting((64, 64)))
            shown = dict(ground.instances)
            assert cls in shown
            assert shown[cls].shape == (64, 64)


def test_a_scene_whose_marks_lack_an_instance_still_gives_a_ground() -> None:
    scene = Backdrop("s", "s", np.zeros((50, 50, 3), np.uint8), np.zeros((50, 50), np.uint8), ((1, "a"),))
    assert scene_ground(scene, "a", np.random.default_rng(0), Setting((32, 32))).instances == ()
