"""What was heard and seen, drawn on the picture: masks with names, the classes that are heard, a sound meter."""

import colorsys
import math
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from cavs.stream.masks import UNKNOWN, HeardClass, SoundingObject, resized

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

FILL = 0.42
"""How much of a mask's colour covers the picture."""
UNKNOWN_COLOUR: Colour = (232, 232, 232)
INK: Colour = (18, 18, 20)
PAPER: Colour = (245, 245, 245)
PANEL = 0.62
"""How dark the panel behind legend and meter is."""
FONT = cv2.FONT_HERSHEY_DUPLEX
REFERENCE_HEIGHT_PX = 480
"""Text and lines have their nominal size on a picture of this height and grow with it."""
SILENCE_DBFS = -60.0
LOUD_DBFS, TOO_LOUD_DBFS = -18.0, -6.0
METER_COLOURS: tuple[Colour, Colour, Colour] = ((86, 214, 120), (250, 200, 70), (244, 86, 78))
GOLDEN_ANGLE = 0.61803398875


def colour_of(name: str) -> Colour:
    """RGB of a class: bright, and the same for the same name everywhere. `unknown` is near white."""
    if name == UNKNOWN:
        return UNKNOWN_COLOUR
    code = zlib.crc32(name.encode())
    hue = (code % 1024 * GOLDEN_ANGLE) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.62 + 0.2 * ((code >> 10) % 2), 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def level_dbfs(samples: npt.NDArray[np.int16]) -> float:
    """RMS level of sound relative to full scale; SILENCE_DBFS at least."""
    if len(samples) == 0:
        return SILENCE_DBFS
    rms = math.sqrt(float(np.mean(np.square(samples.astype(np.float32))))) / 32768
    return max(SILENCE_DBFS, 20 * math.log10(rms)) if rms > 0 else SILENCE_DBFS


def draw_overlay(
    picture: Picture,
    objects: Sequence[SoundingObject],
    heard: Sequence[HeardClass] = (),
    *,
    level: float | None = None,
) -> Picture:
    """A new picture, uint8 (H, W, 3) RGB, with everything drawn in. level: dBFS of the newest sound, None for no meter."""
    canvas = np.ascontiguousarray(picture).copy()
    height, width = canvas.shape[:2]
    masks = [resized(thing.mask, height, width) for thing in objects]
    for thing, mask in zip(objects, masks, strict=True):
        _fill(canvas, mask.view(np.uint8), colour_of(thing.cls))
    scale = max(height, width * 3 // 4) / REFERENCE_HEIGHT_PX
    for thing, mask in zip(objects, masks, strict=True):
        _outline(canvas, mask.view(np.uint8), colour_of(thing.cls), scale)
    for thing, mask in zip(objects, masks, strict=True):  # tags last: they lie above every mask
        _tag(canvas, mask.view(np.uint8), thing, scale)
    _legend(canvas, heard, level, scale)
    return canvas


def _fill(canvas: Picture, mask: Picture, colour: Colour) -> None:
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    part = canvas[y : y + height, x : x + width]
    tinted = cv2.addWeighted(part, 1 - FILL, np.full_like(part, colour), FILL, 0)
    cv2.copyTo(tinted, mask[y : y + height, x : x + width], part)


def _outline(canvas: Picture, mask: Picture, colour: Colour, scale: float) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    cv2.drawContours(canvas, contours, -1, INK, max(2, round(3.4 * scale)), cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, max(1, round(1.8 * scale)), cv2.LINE_AA)


def _tag(canvas: Picture, mask: Picture, thing: SoundingObject, scale: float) -> None:
    """Name and score on the object's colour, above the object or, at the upper edge, inside it."""
    x, y, width, _ = cv2.boundingRect(mask)
    if width == 0:
        return
    text = f"{printable(thing.cls)} {thing.score:.0%}"
    pad, size = round(5 * scale), 0.5 * scale
    (text_width, text_height), _ = cv2.getTextSize(text, FONT, size, 1)
    box_width, box_height = text_width + 2 * pad, text_height + 2 * pad
    left = min(max(0, x), max(0, canvas.shape[1] - box_width))
    top = y - box_height - round(3 * scale)
    if top < 0:
        top = min(y + round(3 * scale), canvas.shape[0] - box_height)
    top = max(top, 0)
    cv2.rectangle(canvas, (left, top), (left + box_width, top + box_height), colour_of(thing.cls), cv2.FILLED)
    cv2.putText(canvas, text, (left + pad, top + pad + text_height), FONT, size, INK, max(1, round(scale)), cv2.LINE_AA)


def _legend(canvas: Picture, heard: Sequence[HeardClass], level: float | None, scale: float) -> None:
    """A panel in the lower left corner: the meter, and under it what is heard and how surely."""
    row, pad = round(20 * scale), round(8 * scale)
    rows = len(heard) + (level is not None)
    if rows == 0:
        return
    panel_width, panel_height = round(186 * scale), rows * row + pad
    left, top = pad, canvas.shape[0] - panel_height - pad
    if top < 0 or left + panel_width > canvas.shape[1]:
        return  # a picture too small to carry it
    panel = canvas[top : top + panel_height, left : left + panel_width]
    panel[:] = cv2.addWeighted(panel, 1 - PANEL, np.full_like(panel, INK), PANEL, 0)
    y = top + pad // 2
    if level is not None:
        _meter(canvas, (left + pad, y + row // 3), (panel_width - 2 * pad, row // 3), level)
        y += row
    for one in heard:
        _heard_row(canvas, one, (left + pad, y), (panel_width - 2 * pad, row), scale)
        y += row


def _meter(canvas: Picture, corner: tuple[int, int], size: tuple[int, int], level: float) -> None:
    (x, y), (width, height) = corner, size
    cv2.rectangle(canvas, (x, y), (x + width, y + height), (70, 70, 74), cv2.FILLED)
    zones = (SILENCE_DBFS, LOUD_DBFS, TOO_LOUD_DBFS, 0.0)
    for start, end, colour in zip(zones[:-1], zones[1:], METER_COLOURS, strict=True):
        if level > start:
            right = min(level, end)
            first, last = (round(width * (1 - dbfs / SILENCE_DBFS)) for dbfs in (start, right))
            cv2.rectangle(canvas, (x + first, y), (x + last, y + height), colour, cv2.FILLED)


def _heard_row(canvas: Picture, heard: HeardClass, corner: tuple[int, int], size: tuple[int, int], scale: float) -> None:
    """A bar as long as the probability, in the class's colour, with the name on it."""
    (x, y), (width, height) = corner, size
    colour = colour_of(heard.cls)
    bottom = y + height - round(3 * scale)
    cv2.rectangle(
        canvas, (x, bottom - max(1, round(3 * scale))), (x + round(width * heard.probability), bottom), colour, cv2.FILLED
    )
    text, share = printable(heard.cls), f"{heard.probability:.0%}"
    baseline, letters = bottom - round(6 * scale), 0.4 * scale
    (share_width, _), _ = cv2.getTextSize(share, FONT, letters, 1)
    most = max(1, round((width - share_width) / (8.2 * scale)))
    cv2.putText(canvas, text[:most], (x, baseline), FONT, letters, PAPER, 1, cv2.LINE_AA)
    cv2.putText(canvas, share, (x + width - share_width, baseline), FONT, letters, PAPER, 1, cv2.LINE_AA)


def printable(name: str) -> str:
    """The name in the letters that the drawing font has."""
    return name.encode("ascii", "replace").decode("ascii")
