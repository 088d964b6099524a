"""What is drawn: masks in their class's colour, readable at any size, and nothing outside the picture."""

import dataclasses

import numpy as np
import pytest

from cavs.stream.masks import HeardClass, SoundingObject
from cavs.stream.overlay import SILENCE_DBFS, Picture, colour_of, draw_overlay, level_dbfs, printable

GREY = 100


def picture(height: int = 240, width: int = 320) -> Picture:
    return np.full((height, width, 3), GREY, np.uint8)


def square(cls: str = "dog", *, x: int = 20, y: int = 20, side: int = 20, grid: int = 60) -> SoundingObject:
    mask = np.zeros((grid, grid), np.bool_)
    mask[y : y + side, x : x + side] = True
    return SoundingObject(1, 0, cls, 0.8, (x, y, side, side), side * side, lambda: mask)


def test_nothing_to_draw_leaves_the_picture_as_it_is() -> None:
    before = picture()
    after = draw_overlay(before, ())
    assert np.array_equal(after, before)
    assert after is not before


def test_a_mask_is_tinted_in_the_colour_of_its_class_and_the_rest_is_untouched() -> None:
    before = picture()
    after = draw_overlay(before, (square("dog"),))
    assert np.array_equal(before, picture())
    inside, outside = after[120, 160].astype(int), after[200, 300]
    assert (outside == GREY).all()
    assert np.sign(inside - GREY).tolist() == [np.sign(part - GREY) for part in colour_of("dog")]


def test_a_name_has_one_colour_everywhere_and_different_names_differ() -> None:
    names = ["dog", "cat", "kettle", "guitar", "vacuum cleaner", "baby", "piano", "siren", "unknown"]
    colours = {colour_of(name) for name in names}
    assert len(colours) == len(names)
    assert colour_of("dog") == colour_of("dog")
    assert all(max(colour) >= 230 for colour in colours)


@pytest.mark.parametrize("corner", [(0, 0), (40, 0), (0, 40), (40, 40)])
@pytest.mark.parametrize("size", [(16, 16), (48, 300), (300, 48), (720, 1280)])
def test_objects_at_the_border_and_pictures_of_any_size_are_drawn(corner: tuple[int, int], size: tuple[int, int]) -> None:
    x, y = corner
    heard = (HeardClass(0, "a class with quite a long name indeed", 0.9),)
    after = draw_overlay(picture(*size), (square("a rather long name", x=x, y=y),), heard, level=-3.0)
    assert after.shape == (*size, 3)
    assert (after != GREY).any()


def test_an_empty_mask_draws_nothing() -> None:
    empty = dataclasses.replace(square(), decode=lambda: np.zeros((60, 60), np.bool_))
    assert np.array_equal(draw_overlay(picture(), (empty,)), picture())


def test_the_meter_grows_with_the_level_and_the_bars_with_the_probability() -> None:
    def lit(level: float, probability: float) -> tuple[int, int]:
        after = draw_overlay(picture(), (), (HeardClass(0, "dog", probability),), level=level).astype(int)
        green = (after[..., 1] > after[..., 0] + 60).sum()
        dog = (np.abs(after - np.array(colour_of("dog"))).sum(axis=-1) < 10).sum()
        return int(green), int(dog)

    assert lit(-20, 0.5)[0] > lit(-50, 0.5)[0]
    assert lit(-50, 0.9)[1] > lit(-50, 0.2)[1]


def test_the_level_of_silence_is_the_floor_and_that_of_a_full_square_wave_is_zero() -> None:
    assert level_dbfs(np.zeros(100, np.int16)) == SILENCE_DBFS
    assert level_dbfs(np.zeros(0, np.int16)) == SILENCE_DBFS
    assert level_dbfs(np.full(100, -32768, np.int16)) == 0.0
    assert level_dbfs(np.full(100, 16384, np.int16)) == pytest.approx(-6.02, abs=0.01)


def test_letters_that_the_font_lacks_are_replaced() -> None:
    assert printable("Kaffeemühle") == "Kaffeem?hle"
