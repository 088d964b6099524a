"""A thing's outline carried from one frame through all others: optical flow moves it, GrabCut draws it again."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cavs.adapt.learn.outline import Floats, Mask, Pixels, outline

SOFT_PX = 4.0
"""How unsure a carried outline is."""
LOST_SHARE = 0.12
"""A thing whose area fell below this share of what it was is lost ..."""
SMALLEST_PX = 100
"""... and so is one with fewer pixels than this ..."""
UNLIKE = 0.8
"""... and one whose colours are this far (Hellinger distance) from those in the frame before."""
COLOUR_BINS = 6


def follow(frames: Sequence[Pixels], start: int, mask: Mask, known: Mapping[int, Floats] | None = None) -> list[Mask]:
    """The outline in every frame, empty where it is lost. frames: uint8 (H, W, 3), in order of time.

    mask: in frame `start`. known: what else is known of where it is, by frame: a prior (H, W) as `outline` takes.
    """
    masks = [np.zeros(mask.shape, bool) for _ in frames]
    masks[start] = mask
    grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames]
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # its types lack the call without a first guess
    for order in (range(start + 1, len(frames)), range(start - 1, -1, -1)):
        before, last, usual, colours = start, mask, int(np.count_nonzero(mask)), _colours(frames[start], mask)
        for index in order:
            prior = _carried(last, flow.calc(grey[index], grey[before], None))
            extra = (known or {}).get(index)
            if extra is not None:
                prior = _joined(prior, extra)
            found = outline(frames[index], prior)
            area = int(np.count_nonzero(found))
            if area < max(SMALLEST_PX, LOST_SHARE * usual):
                break
            now = _colours(frames[index], found)
            if cv2.compareHist(colours, now, cv2.HISTCMP_BHATTACHARYYA) > UNLIKE:
                break
            colours = now
            usual = max(area, round(0.8 * usual))
            masks[index], before, last = found, index, found
    return masks


def _colours(frame: Pixels, mask: Mask) -> Floats:
    """Shares of the colours of the thing."""
    bins, span = [COLOUR_BINS] * 3, [0, 256] * 3
    counts = cv2.calcHist([frame], [0, 1, 2], mask.astype(np.uint8), bins, span).astype(np.float32)
    shares: Floats = counts / max(1.0, float(counts.sum()))
    return shares


def _carried(mask: Mask, flow: Floats) -> Floats:
    """Where the mask is now, by the flow from this frame to the one before; unsure along its edge."""
    height, width = mask.shape
    cols, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(mask.astype(np.float32), cols + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
    soft: Floats = np.asarray(cv2.GaussianBlur(moved, (0, 0), SOFT_PX), np.float32)
    return soft


def _joined(carried: Floats, known: Floats) -> Floats:
    """What both say, where they meet at all; otherwise what was carried."""
    shared = np.minimum(carried, known).sum() / max(1.0, float(np.maximum(carried, known).sum()))
    joined: Floats = (0.5 * (carried + known)).astype(np.float32) if shared > 0.25 else carried
    return joined
