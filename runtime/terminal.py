"""A picture drawn with half blocks in a colour terminal, so that masks can be seen over ssh without a display."""

import os
import sys
from typing import TextIO

import cv2
import numpy as np
import numpy.typing as npt

UPPER_HALF = "\u2580"
HOME = "\x1b[H"
CLEAR = "\x1b[2J"
RESET = "\x1b[0m"
DEFAULT_COLUMNS = 80
RESERVED_ROWS = 2
"""Rows left free below the picture for the status line and the cursor."""


def can_draw(out: TextIO) -> bool:
    """True if `out` is a terminal that is likely to know 24-bit colour."""
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def half_blocks(rgb: npt.NDArray[np.uint8], columns: int, rows: int) -> str:
    """The picture as `rows` lines at most, two pixels a character, its proportions kept.

    rgb: uint8 (H, W, 3). A character is about twice as tall as wide, so half a block is about square.
    """
    if columns < 1 or rows < 1:
        raise ValueError(f"columns={columns}, rows={rows}: at least 1 expected")
    height, width = rgb.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = (max(1, round(width * scale)), max(2, 2 * round(height * scale / 2)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    lines = []
    for upper, lower in zip(small[0::2].tolist(), small[1::2].tolist(), strict=True):
        cells = [
            f"\x1b[38;2;{u[0]};{u[1]};{u[2]};48;2;{d[0]};{d[1]};{d[2]}m{UPPER_HALF}" for u, d in zip(upper, lower, strict=True)
        ]
        lines.append("".join(cells) + RESET)
    return "\n".join(lines)


def draw(rgb: npt.NDArray[np.uint8], status: str, out: TextIO = sys.stdout) -> None:
    """Draws the picture at the top of the terminal and one status line below it."""
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):  # a pipe, or a stream without a file
        columns, rows = DEFAULT_COLUMNS, DEFAULT_COLUMNS // 2
    picture = half_blocks(rgb, columns, max(1, rows - RESERVED_ROWS))
    out.write(f"{HOME}{picture}\n{status[:columns]}\x1b[K")
    out.flush()
