"""Where the thing is, as somebody points at it: pixels of the source picture become fractions, which fit every size."""

import cv2
import numpy as np

from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson import MASK_FILE, Hint
from cavs.stream.control_requests import Correct, Place, Point, Teach

MASK_SIDE_MAX = 8192


def hint_of(request: Teach | Correct, source: tuple[int, int]) -> Hint:
    """The hint of a lesson. source: (height, width) of the picture. Raises ControlRefused if nothing can lie there."""
    height, width = (1, 1) if request.unit == "fraction" else source
    unit = "the picture, whose sides are 1" if request.unit == "fraction" else f"the picture of {width}x{height} pixels"
    if request.box is not None:
        return Hint(box=_box(request.box, width, height, unit))
    if request.point is not None:
        return Hint(point=_point(request.point, width, height, unit))
    if isinstance(request, Teach) and request.mask is not None:
        check_mask(request.mask)
        return Hint(mask=MASK_FILE)
    return Hint() if request.object is None else Hint(object=request.object)


def check_mask(png: bytes) -> None:
    """Raises ControlRefused unless this is a PNG with something white in it."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ControlRefused("mask: no PNG; give one that is white where the thing is")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))  # IHDR, the first chunk
    if max(width, height) > MASK_SIDE_MAX:
        raise ControlRefused(f"mask: {width}x{height} pixels, at most {MASK_SIDE_MAX} a side expected")
    try:
        mask = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        mask = None
    if mask is None:
        raise ControlRefused("mask: a PNG that cannot be read; is it whole?")
    if not np.any(mask >= 128):
        raise ControlRefused("mask: nothing in it is white; paint the thing white on black")


def _box(box: Place, width: int, height: int, unit: str) -> tuple[float, float, float, float]:
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise ControlRefused(f"box {_text(box)} is empty: width and height above 0 expected, as x,y,width,height")
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
    if right <= left or bottom <= top:
        raise ControlRefused(f"box {_text(box)} lies outside of {unit}; as x,y,width,height it must overlap it")
    return left / width, top / height, (right - left) / width, (bottom - top) / height


def _point(point: Point, width: int, height: int, unit: str) -> tuple[float, float]:
    x, y = point
    if not (0 <= x <= width and 0 <= y <= height):
        raise ControlRefused(f"point {_text(point)} lies outside of {unit}")
    return x / width, y / height


def _text(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
