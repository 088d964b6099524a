"""From a rough idea of where a thing is to its outline: GrabCut (Rother et al., SIGGRAPH 2004) inside a margin around it."""

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

ITERATIONS = 3
MARGIN = 0.4
"""Share of a thing's size that is looked at around it."""
SURE, LIKELY, POSSIBLE = 0.85, 0.5, 0.15
"""Priors from which on a pixel is surely, probably, or perhaps of the thing."""
SMALLEST_CHANGE, LARGEST_CHANGE = 0.35, 2.5
"""A cut whose area differs more than this from what was expected found something else; what was expected is then kept."""
LARGEST_ALIKE = 0.3
"""A thing that looks like the place pointed at does not fill more of the picture than this."""
SMALLEST_PX = 60
"""Of a region that GrabCut can learn colours from."""


def outline(frame: Pixels, prior: Floats) -> Mask:
    """The thing's pixels, bool (H, W).

    frame: uint8 (H, W, 3), RGB. prior: float32 (H, W), how likely each pixel belongs to it.
    """
    expected = prior > LIKELY
    if np.count_nonzero(expected) < SMALLEST_PX:
        return expected
    window = _around(prior > POSSIBLE)
    part = prior[window]
    trimap = np.full(part.shape, cv2.GC_BGD, np.uint8)
    trimap[part > POSSIBLE] = cv2.GC_PR_BGD
    trimap[part > LIKELY] = cv2.GC_PR_FGD
    core = cv2.erode((part > SURE).astype(np.uint8), np.ones((3, 3), np.uint8))
    trimap[core > 0] = cv2.GC_FGD
    if not (trimap == cv2.GC_BGD).any() and not (trimap == cv2.GC_PR_BGD).any():
        return expected
    models = np.zeros((1, 65), np.float64), np.zeros((1, 65), np.float64)
    cv2.setRNGSeed(0)  # GrabCut begins with random clusters
    everywhere = (0, 0, part.shape[1], part.shape[0])  # not read: the trimap says where
    cv2.grabCut(np.ascontiguousarray(frame[window]), trimap, everywhere, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    cut = np.zeros(prior.shape, bool)
    cut[window] = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    cut = whole(cut, expected)
    change = np.count_nonzero(cut) / np.count_nonzero(expected)
    return cut if SMALLEST_CHANGE < change < LARGEST_CHANGE else whole(expected, expected)


def whole(mask: Mask, expected: Mask) -> Mask:
    """The connected parts that meet what was expected and are not specks, smoothed, holes filled."""
    smooth = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, bool)
    largest = stats[1:, cv2.CC_STAT_AREA].max()
    kept = [
        part
        for part in range(1, count)
        if stats[part, cv2.CC_STAT_AREA] >= 0.15 * largest and (expected & (parts == part)).any()
    ]
    chosen = np.isin(parts, kept).astype(np.uint8)
    outlines, _ = cv2.findContours(chosen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(chosen, outlines, -1, 1, cv2.FILLED)
    return chosen > 0


def box_prior(shape: tuple[int, int], box: tuple[float, float, float, float]) -> Floats:
    """A thing fills the ellipse in its box, and is not outside the box. box: x, y, width, height as fractions."""
    height, width = shape
    x, y, w, h = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    apart = ((cols + 0.5 - x - w / 2) / max(w / 2, 1)) ** 2 + ((rows + 0.5 - y - h / 2) / max(h / 2, 1)) ** 2
    inside = (np.abs(cols + 0.5 - x - w / 2) <= w / 2) & (np.abs(rows + 0.5 - y - h / 2) <= h / 2)
    prior = np.where(apart < 0.12, 0.9, np.where(apart < 1.0, 0.6, 0.3))
    return np.where(inside, prior, 0.0).astype(np.float32)


def point_prior(shape: tuple[int, int], point: tuple[float, float], likeness: Floats) -> Floats:
    """What looks like the place around a point. likeness: (H, W), -1 .. 1, of each pixel to the pixel at the point."""
    height, width = shape
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    apart = np.hypot((cols - point[0] * width) / width, (rows - point[1] * height) / height)
    alike = (likeness > 0.5) & (apart < 0.5)
    _, parts = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
    here = min(height - 1, int(point[1] * height)), min(width - 1, int(point[0] * width))
    thing = (parts == parts[here]) & alike
    if not 0 < thing.mean() < LARGEST_ALIKE:  # everything looks alike to the network: colours must decide
        thing = apart < 0.12
    prior = np.where(apart < 0.03, 0.95, np.where(thing, 0.7, 0.0))
    return np.maximum(prior, np.where(apart < 0.35, 0.2, 0.0)).astype(np.float32)


def _around(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns of the mask with a margin."""
    spans = []
    for axis, side in ((1, mask.shape[0]), (0, mask.shape[1])):
        there = np.flatnonzero(mask.any(axis=axis))
        more = round(MARGIN * (there[-1] - there[0] + 1)) + 4
        spans.append(slice(max(0, int(there[0]) - more), min(side, int(there[-1]) + 1 + more)))
    return spans[0], spans[1]
