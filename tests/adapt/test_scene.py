"""Composed pictures: exact masks, what was asked for, the same for the same seed."""

import numpy as np
import pytest

from cavs.adapt.data.ingredients import Backdrop, Cutout, Ingredients
from cavs.adapt.data.scene import Scene, SceneWish, compose_scene
from cavs.adapt.data.stage import SMALLEST_SHARE
from cavs.runtime.errors import DataRejected

RED, GREEN = (220, 20, 20), (20, 160, 20)


def compose(few: Ingredients, seed: int, want: SceneWish | None = None, size: int | tuple[int, int] = 96) -> Scene:
    return compose_scene(few, np.random.default_rng(seed), size=size, want=want)


def flat_set() -> Ingredients:
    """One red disc, and a green ground that is also a scene with a red square in it."""
    disc = np.zeros((80, 80, 4), np.uint8)
    rows, cols = np.mgrid[:80, :80]
    disc[..., :3] = RED
    disc[(rows - 39.5) ** 2 + (cols - 39.5) ** 2 < 39**2, 3] = 255
    ground = np.full((120, 160, 3), GREEN, np.uint8)
    with_square, ids = ground.copy(), np.zeros((120, 160), np.uint8)
    with_square[30:90, 40:100] = RED
    ids[30:90, 40:100] = 7
    scene = Backdrop("scene", "s", with_square, ids, ((7, "square"),))
    cutouts = {"disc": (Cutout("disc", "disc", "d", disc),), "square": (Cutout("q", "square", "q", disc),)}
    return Ingredients("train", cutouts, {}, (scene,), (Backdrop("ground", "g", ground),))


def test_the_same_seed_gives_the_same_picture(few: Ingredients) -> None:
    one, two, other = compose(few, 3), compose(few, 3), compose(few, 4)
    np.testing.assert_array_equal(one.frame, two.frame)
    assert all((a.mask == b.mask).all() for a, b in zip(one.instances, two.instances, strict=True))
    assert (one.frame != other.frame).any()


def test_every_wanted_class_can_be_seen(few: Ingredients) -> None:
    for seed in range(25):
        wanted = few.classes_with_both()[: 1 + seed % 3]
        scene = compose(few, seed, SceneWish(classes=wanted, real_scenes=0.3))
        for cls in wanted:
            assert scene.mask_of([cls]).sum() >= 0.9 * SMALLEST_SHARE * 96 * 96


def test_masks_do_not_overlap(few: Ingredients) -> None:
    for seed in range(15):
        scene = compose(few, seed, SceneWish(real_scenes=0.5))
        assert sum(instance.mask.astype(int) for instance in scene.instances).max() <= 1  # type: ignore[union-attr]


def test_the_mask_is_exactly_what_was_painted() -> None:
    wish = SceneWish(classes=("disc",), distractors=(0, 0), duplicates=1.0, real_scenes=0, strength=0)
    for seed in range(20):
        scene = compose(flat_set(), seed, wish)
        if (scene.frame == GREEN).all(axis=2).any():  # a painted ground has no green
            red = scene.frame[..., 0] > (RED[0] + GREEN[0]) / 2
            differs = np.count_nonzero(red != scene.mask_of(["disc"]))
            assert differs <= 0.01 * np.count_nonzero(red) + 2


def test_objects_of_a_real_scene_are_instances() -> None:
    wish = SceneWish(classes=("square",), distractors=(0, 0), duplicates=0, real_scenes=1.0, strength=0)
    for seed in range(10):
        scene = compose(flat_set(), seed, wish)
        assert [instance.source for instance in scene.instances] == ["scene"]
        red = scene.frame[..., 0] > (RED[0] + GREEN[0]) / 2
        # Nearest and area resizing may differ by the pixels of the square's border.
        assert np.count_nonzero(red != scene.instances[0].mask) <= 4 * 96


def test_a_real_scene_with_too_many_other_classes_is_not_used() -> None:
    wish = SceneWish(classes=("disc",), distractors=(0, 0), real_scenes=1.0)
    assert all(compose(flat_set(), seed, wish).mask_of(["square"]).sum() == 0 for seed in range(10))


def test_distractors_are_of_the_classes_allowed(few: Ingredients) -> None:
    first, second, *_ = few.classes_with_both()
    wish = SceneWish(classes=(first,), distractors=(1, 1), distractor_classes=(second,), real_scenes=0)
    shown = [{instance.cls for instance in compose(few, seed, wish).instances} for seed in range(12)]
    assert set().union(*shown) == {first, second}
    assert sum(second in one for one in shown) >= 10


def test_classes_are_drawn_from_the_targets(few: Ingredients) -> None:
    targets = few.classes_with_both()[:2]
    wish = SceneWish(targets=targets, distractors=(0, 0), real_scenes=0)
    shown = [{instance.cls for instance in compose(few, seed, wish).instances} for seed in range(15)]
    assert {len(one) for one in shown} == {1, 2}
    assert set().union(*shown) == set(targets)


@pytest.mark.parametrize("size", [(48, 80), (240, 135), 32])
def test_any_size_can_be_composed(few: Ingredients, size: int | tuple[int, int]) -> None:
    scene = compose(few, 0, size=size)
    expected = (size, size) if isinstance(size, int) else size
    assert scene.frame.shape == (*expected, 3)
    assert scene.frame.dtype == np.uint8
    assert all(instance.mask.shape == expected for instance in scene.instances)


def test_objects_are_as_large_as_asked_for() -> None:
    for longest in ((0.3, 0.3), (0.6, 0.6)):
        wish = SceneWish(classes=("disc",), distractors=(0, 0), duplicates=0, real_scenes=0, strength=0, longest=longest)
        scene = compose(flat_set(), 0, wish)
        assert np.ptp(np.nonzero(scene.instances[0].mask)[0]) + 1 == pytest.approx(longest[0] * 96, abs=3)


def test_composing_leaves_the_ingredients_alone(few: Ingredients) -> None:
    before = [b.pixels.copy() for b in few.backgrounds], [s.ids.copy() for s in few.scenes if s.ids is not None]
    for seed in range(5):
        compose(few, seed, SceneWish(real_scenes=0.5))
    for kept, now in zip(before[0], few.backgrounds, strict=True):
        np.testing.assert_array_equal(kept, now.pixels)
    for kept, scene in zip(before[1], few.scenes, strict=True):
        np.testing.assert_array_equal(kept, scene.ids)


def test_without_any_background_the_ground_is_painted(few: Ingredients) -> None:
    bare = Ingredients(few.split, few.cutouts, few.recordings)
    assert compose(bare, 0).frame.std() > 0


def test_unknown_classes_are_named_with_the_known_ones(few: Ingredients) -> None:
    with pytest.raises(DataRejected, match=rf"no cut-outs of unicorn in split train; known: .*{few.classes_with_both()[0]}"):
        compose(few, 0, SceneWish(classes=("unicorn",)))


def test_a_set_without_a_class_that_can_be_seen_and_heard_is_refused() -> None:
    with pytest.raises(DataRejected, match="no class that can be seen and heard"):
        compose(flat_set(), 0)


def test_more_objects_than_fit_are_refused_rather_than_tried_for_ever(few: Ingredients) -> None:
    with pytest.raises(DataRejected, match="no room"):
        compose(few, 0, SceneWish(classes=few.classes_with_both() * 30, distractors=(0, 0), real_scenes=0), size=32)
