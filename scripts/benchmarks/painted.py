"""A frame's number, painted into it as black and white blocks, so that whoever sees the picture knows which one it is."""

import numpy as np
import numpy.typing as npt

BITS = 16
BLOCK_PX = 32
"""Large enough to survive JPEG and a change of colour space; 16 of them fit into 640 pixels."""
MARGIN_PX = 8
WHITE_FROM = 128


def paint(picture: npt.NDArray[np.uint8], number: int) -> None:
    """Into the top left corner, highest bit first."""
    for bit in range(BITS):
        lit = number >> (BITS - 1 - bit) & 1
        picture[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 255 * lit


def read(picture: npt.NDArray[np.uint8]) -> int:
    """The number in a picture (H, W, 3), in whatever order its colours are."""
    number = 0
    for bit in range(BITS):
        left = bit * BLOCK_PX + MARGIN_PX
        inside = picture[MARGIN_PX : BLOCK_PX - MARGIN_PX : 8, left : left + BLOCK_PX - 2 * MARGIN_PX : 8, 1]
        number = number << 1 | int(inside.mean() >= WHITE_FROM)
    return number
