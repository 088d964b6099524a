"""A decoded picture -> upright RGB."""

from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer

Matrix = tuple[int, int, int, int]
UPRIGHT: Matrix = (1, 0, 0, 1)


def upright_rgb(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """The picture as it is to be looked at: uint8 (H, W, 3), RGB, contiguous, read-only.

    A display matrix (phones write one) is followed to the nearest quarter turn, mirrored or not.
    """
    # One thread: by default every picture would start some of its own, hundreds a second, for less than a millisecond of work.
    pixels: npt.NDArray[np.uint8] = np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
    turn = display_turn(frame)
    if turn != UPRIGHT:
        pixels = np.ascontiguousarray(turned(pixels, turn))
    pixels.flags.writeable = False
    return pixels


def display_turn(frame: av.VideoFrame) -> Matrix:
    """The display matrix as (a, b, c, d) of -1, 0, 1: a point (x, y) of the picture is shown at (ax + cy, bx + dy)."""
    # Not `frame.side_data`: the frame would keep that, and that the frame, until the garbage collector comes round. Hundreds of
    # decoded pictures, 90 MiB and more, were found waiting for it.
    make: Any = SideDataContainer  # its types lack the argument
    data: Any = make(frame).get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d, *_ = np.frombuffer(memoryview(data), np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (_sign(a), 0, 0, _sign(d))
    return (0, _sign(b), _sign(c), 0)


def turned(pixels: npt.NDArray[np.uint8], turn: Matrix) -> npt.NDArray[np.uint8]:
    """A view of (H, W, 3) pixels, turned or mirrored by whole quarters."""
    a, b, c, d = turn
    if a == 0:  # rows become columns: what was x is shown as y
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[::d, ::a]


def _sign(value: int) -> int:
    return -1 if value < 0 else 1
