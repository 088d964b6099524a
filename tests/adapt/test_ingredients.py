"""Ingredients: when a recording is active, how a cut-out is made ready, sets of them."""

from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.data.ingredient_folder import load_ingredients
from cavs.adapt.data.ingredients import (
    BLOCK,
    RATE_HZ,
    Cutout,
    Ingredients,
    Pixels,
    Recording,
    continue_colours,
    cutout_from,
    merge,
)


def recording(samples: np.ndarray[tuple[int], np.dtype[np.floating]]) -> Recording:
    return Recording("a.wav", "a", "a", samples.astype(np.float32))


def seconds(count: float) -> int:
    return int(count * RATE_HZ)


def test_a_burst_is_active_only_while_it_lasts() -> None:
    samples = np.zeros(seconds(2))
    samples[seconds(0.5) : seconds(0.7)] = 0.3
    loud = recording(samples).loud
    assert loud.nonzero()[0].tolist() == list(range(25, 35))


def test_the_noise_behind_a_bark_is_not_active() -> None:
    samples = np.random.default_rng(0).normal(0, 0.02, seconds(2))
    samples[seconds(1) : seconds(1.2)] += 0.3 * np.sin(np.arange(seconds(0.2)))
    loud = recording(samples).loud
    assert loud.nonzero()[0].tolist() == list(range(50, 60))


def test_steady_noise_is_active_throughout() -> None:
    rain = recording(np.random.default_rng(0).normal(0, 0.05, seconds(3)))
    assert rain.loud.all()
    assert rain.loud_rms == pytest.approx(0.05, rel=0.02)


def test_the_last_block_may_be_partial() -> None:
    assert len(recording(np.full(BLOCK + 1, 0.1)).envelope) == 2


def red_square() -> Pixels:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 10:30] = (200, 30, 10, 255)
    return rgba


def test_colours_go_on_under_the_transparent_part() -> None:
    continued = continue_colours(red_square())
    np.testing.assert_array_equal(continued[..., 3], red_square()[..., 3])
    np.testing.assert_allclose(continued[8, 8:32, :3], [[200, 30, 10]] * 24, atol=2)
    np.testing.assert_array_equal(continued[10:30, 10:30], red_square()[10:30, 10:30])


def test_a_large_cutout_is_shrunk() -> None:
    large = np.full((600, 300, 4), 255, np.uint8)
    assert cutout_from(large, id="a", cls="a", group="a").rgba.shape == (256, 128, 4)


def test_the_side_cut_by_the_photograph_is_known() -> None:
    rgba = red_square()[:30, 5:35]
    assert Cutout("a", "a", "a", rgba, truncated=True).cut_side == "bottom"
    assert Cutout("a", "a", "a", rgba, truncated=False).cut_side is None
    assert Cutout("a", "a", "a", red_square(), truncated=True).cut_side is None


def test_sets_of_one_split_can_be_merged(few: Ingredients, ingredient_folder: Path) -> None:
    both = merge(few, load_ingredients(ingredient_folder, split="train"))
    assert all(len(some) == 6 for some in both.cutouts.values())
    assert len(both.scenes) == 4
    with pytest.raises(ValueError, match="one split"):
        merge(few, load_ingredients(ingredient_folder, split="val"))
