import io

import numpy as np
import pytest

from cavs.runtime.terminal import UPPER_HALF, can_draw, draw, half_blocks


def test_every_character_shows_two_pixels() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[0] = (255, 0, 0)
    rgb[1] = (0, 0, 255)
    lines = half_blocks(rgb, columns=4, rows=2).splitlines()
    assert len(lines) == 2
    assert lines[0].count(UPPER_HALF) == 4
    assert "38;2;255;0;0;48;2;0;0;255" in lines[0]


def test_proportions_are_kept_when_the_terminal_is_wide() -> None:
    rgb = np.zeros((100, 100, 3), np.uint8)
    lines = half_blocks(rgb, columns=200, rows=10).splitlines()
    assert len(lines) == 10
    assert lines[0].count(UPPER_HALF) == 20


def test_a_terminal_without_room_is_misuse() -> None:
    with pytest.raises(ValueError, match="rows=0"):
        half_blocks(np.zeros((2, 2, 3), np.uint8), columns=1, rows=0)


def test_a_pipe_is_no_terminal_but_can_be_drawn_to() -> None:
    out = io.StringIO()
    assert not can_draw(out)
    draw(np.zeros((8, 8, 3), np.uint8), "15 fps", out)
    assert "15 fps" in out.getvalue()
