"""Display matrices: every quarter turn, mirrored or not."""

import gc

import av
import numpy as np
import pytest

from cavs.stream.picture import Matrix, turned, upright_rgb

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize(
    "turn",
    [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0)],
)
def test_every_pixel_lands_where_the_matrix_says(turn: Matrix) -> None:
    a, b, c, d = turn
    shown = turned(PIXELS, turn)
    places = {(a * x + c * y, b * x + d * y): PIXELS[y, x] for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    assert shown.shape == (len({y for _, y in places}), len({x for x, _ in places}), 3)
    for (x, y), value in places.items():
        assert np.array_equal(shown[y - top, x - left], value)


def test_a_picture_is_let_go_as_soon_as_it_is_converted() -> None:
    """A cycle of references would keep decoded pictures until the garbage collector comes round: 90 MiB and more."""
    gc.collect()  # what earlier tests left
    gc.disable()
    try:
        before = pictures_alive()
        for _ in range(5):
            upright_rgb(av.VideoFrame(32, 16, "yuv420p"))
        assert pictures_alive() <= before
    finally:
        gc.enable()


def pictures_alive() -> int:
    return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
