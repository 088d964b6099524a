"""Frames brought to the network's size."""

import numpy as np
import pytest

from cavs.runtime.preprocess import fit_frame


def gradient(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    return np.repeat(np.tile(ramp, (height, 1))[:, :, None], 3, axis=2)


def test_shrinking_by_whole_numbers_is_the_mean_of_each_block() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    expected = pixels.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(fit_frame(pixels, (4, 6)).astype(float) - expected).max() <= 0.5


@pytest.mark.parametrize("size", [(480, 640), (100, 333), (7, 5), (1, 1), (2000, 3)])
def test_every_size_is_squashed_to_the_asked_one(size: tuple[int, int]) -> None:
    fitted = fit_frame(gradient(*size), (64, 32))
    assert fitted.shape == (64, 32, 3)
    assert fitted.dtype == np.uint8


def test_growing_is_smooth() -> None:
    row = fit_frame(gradient(4, 8), (16, 64))[8, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 10


def test_it_writes_into_the_buffer_it_is_given() -> None:
    for size in ((480, 640), (16, 16), (64, 64)):
        pixels = gradient(*size)
        out = np.full((64, 64, 3), 7, np.uint8)
        assert fit_frame(pixels, (64, 64), out) is out
        assert np.array_equal(out, fit_frame(pixels, (64, 64)))


def test_a_picture_that_is_a_view_gives_the_same_as_its_copy() -> None:
    wide = gradient(40, 60)[:, ::-1]
    assert np.array_equal(fit_frame(wide, (16, 16)), fit_frame(wide.copy(), (16, 16)))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_not_an_rgb_picture_is_misuse(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(ValueError, match="pixels must be uint8"):
        fit_frame(pixels, (2, 2))


def test_a_buffer_of_another_size_is_misuse() -> None:
    with pytest.raises(ValueError, match="out must be"):
        fit_frame(gradient(8, 8), (4, 4), np.zeros((4, 5, 3), np.uint8))
