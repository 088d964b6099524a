"""Display matrices: every quarter turn, mirrored or not."""

import numpy as np
import pytest

from cavs.stream.picture import Matrix, turned

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
