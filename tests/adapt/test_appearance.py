"""Appearance: changes of look that keep the shape and depend on the generator alone."""

import numpy as np
import pytest

from cavs.adapt.data.appearance import (
    add_noise,
    apply_tone,
    compress,
    draw_tone,
    finish,
    light_map,
    match_light,
    shine,
    smear,
    soften,
)
from cavs.adapt.data.ingredients import Pixels


@pytest.fixture
def picture() -> Pixels:
    rng = np.random.default_rng(0)
    return np.asarray(rng.integers(0, 256, (48, 64, 3)), np.uint8)


def test_strength_zero_changes_nothing(picture: Pixels) -> None:
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(apply_tone(picture, draw_tone(rng, 0.0)).astype(int), picture, atol=1)
    np.testing.assert_array_equal(finish(picture, rng, 0.0), picture)


def test_tones_differ_and_some_are_grey(picture: Pixels) -> None:
    toned = [apply_tone(picture, draw_tone(np.random.default_rng(seed), 1.0)) for seed in range(60)]
    means = np.array([one.mean() for one in toned])
    assert means.std() > 10
    spread = [float(one.std(axis=2).mean()) for one in toned]
    assert min(spread) < 0.4 * float(np.median(spread))


def test_noise_has_the_level_asked_for() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)
    for seed in range(3):
        noisy = add_noise(flat, np.random.default_rng(seed), 8.0)
        assert float(noisy.std()) == pytest.approx(8.0, rel=0.1)


def test_noise_covers_pictures_larger_than_its_sheet() -> None:
    large = np.full((900, 1000, 3), 128, np.uint8)
    assert add_noise(large, np.random.default_rng(0), 8.0)[-50:, -50:].std() > 4


@pytest.mark.parametrize("seed", range(8))
def test_softening_removes_detail_and_keeps_the_size(picture: Pixels, seed: int) -> None:
    soft = soften(picture, np.random.default_rng(seed), 1.5)
    assert soft.shape == picture.shape
    assert soft.std() < picture.std()


def test_motion_blur_smears_along_its_direction() -> None:
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 255
    smeared = smear(dot, length_px=9, angle=0.0)
    assert np.count_nonzero(smeared[10, :, 0]) > 4
    assert not smeared[9].any()


def test_compression_keeps_the_size_and_loses_little() -> None:
    slope = np.dstack([np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))] * 3)
    assert compress(slope, 90).shape == slope.shape
    assert 0 < np.abs(compress(slope, 30).astype(int) - slope).mean() < 6


def test_even_light_changes_nothing_and_sloped_light_does(picture: Pixels) -> None:
    even = np.full((6, 6), 128, np.uint8)
    np.testing.assert_array_equal(shine(picture, even), picture)
    flat = np.full((48, 64, 3), 100, np.uint8)
    assert np.ptp(shine(flat, light_map(np.random.default_rng(0), 0.5))[..., 0].astype(int)) > 20


def test_light_is_matched_over_the_object_alone() -> None:
    rgb = np.full((10, 10, 3), 40, np.uint8)
    rgb[:, 5:] = 220
    alpha = np.zeros((10, 10), np.uint8)
    alpha[:, :5] = 255
    moved = match_light(rgb, alpha, np.full((10, 10, 3), 80, np.uint8), 1.0)
    assert (moved[:, :5] == 80).all()
    assert (moved[:, 5:] > 220).all()
