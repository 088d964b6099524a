"""The stage: nobody is hidden too much."""

import numpy as np

from cavs.adapt.data.backdrop import Ground, Setting
from cavs.adapt.data.ingredients import Cutout, Ingredients
from cavs.adapt.data.sprite import Sprite
from cavs.adapt.data.stage import LARGEST_COVERED, Actor, Stage, draw_pose

SIZE = (100, 100)


def half_covered(columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros(SIZE, bool)
    mask[:, :columns] = True
    return mask


def stage_with(actor_columns: int, *, fixed: bool = False) -> Stage:
    mask = half_covered(actor_columns)
    actor = Actor("a", mask, int(mask.sum()), "a.png", fixed)
    return Stage(np.zeros((*SIZE, 3), np.uint8), Setting(SIZE), [actor])


def test_up_to_a_third_of_an_object_may_be_hidden() -> None:
    stage = stage_with(40)
    assert not stage.hides_too_much(half_covered(int(40 * LARGEST_COVERED)))
    assert stage.hides_too_much(half_covered(int(40 * LARGEST_COVERED) + 1))


def test_too_little_of_a_small_object_may_not_be_left() -> None:
    stage = stage_with(1)  # 100 px, 50 are the least
    lower = np.zeros(SIZE, bool)
    lower[:30] = True
    assert not stage.hides_too_much(lower)
    stage.actors[0].whole_px = 60
    stage.actors[0].mask[60:] = False
    assert stage.hides_too_much(lower)


def test_tiny_things_of_the_photograph_count_by_their_share_only() -> None:
    stage = stage_with(1, fixed=True)
    stage.actors[0].mask[20:] = False
    stage.actors[0].whole_px = 20
    upper = np.zeros(SIZE, bool)
    upper[:5] = True
    assert not stage.hides_too_much(upper)


def test_a_newcomer_takes_pixels_from_those_below() -> None:
    rgba = np.full((50, 50, 4), 255, np.uint8)
    for seed in range(30):
        stage = stage_with(40)
        if stage.add(Cutout("b", "b", "b", rgba), np.random.default_rng(seed), crowd=2, shrink=1.0):
            below, above = stage.actors
            assert not (below.mask & above.mask).any()
            assert below.mask.sum() >= (1 - LARGEST_COVERED) * below.whole_px


def test_an_object_that_fits_nowhere_is_not_put_up() -> None:
    stage = stage_with(100)
    full = np.full((50, 50, 4), 255, np.uint8)
    stage.actors[0].whole_px = 10**6  # already hidden too much
    assert not stage.add(Cutout("b", "b", "b", full), np.random.default_rng(0), crowd=1, shrink=1.0)
    assert len(stage.actors) == 1
    assert not stage.frame.any()


def test_what_a_photograph_cut_off_usually_lies_at_the_border() -> None:
    sprite = Sprite(np.zeros((40, 20, 3), np.uint8), np.full((40, 20), 255, np.uint8), cut_side="bottom")
    rng = np.random.default_rng(0)
    bottoms = []
    for _ in range(100):
        pose = draw_pose(sprite, rng, Setting(SIZE), crowd=1, shrink=1.0)
        bottoms.append(pose.y + pose.longest / 2)
    assert np.mean(np.array(bottoms) > 99) > 0.6


def test_an_occluder_takes_away_no_more_than_it_may(few: Ingredients) -> None:
    hidden = 0
    for seed in range(20):
        stage = stage_with(60)
        stage.add_occluder(few, np.random.default_rng(seed))
        left = int(stage.actors[0].mask.sum())
        assert left >= (1 - LARGEST_COVERED) * stage.actors[0].whole_px
        hidden += left < stage.actors[0].whole_px
        assert stage.frame.any() == (left < stage.actors[0].whole_px)
    assert hidden > 10


def test_an_empty_stage_has_nothing_to_occlude(few: Ingredients) -> None:
    stage = Stage.on(Ground(np.zeros((*SIZE, 3), np.uint8)), Setting(SIZE))
    stage.add_occluder(few, np.random.default_rng(0))
    assert not stage.frame.any()
