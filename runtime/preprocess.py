"""A camera's picture brought to the size of the network. Live, gate and training call this one function."""

import cv2
import numpy as np
import numpy.typing as npt


def fit_frame(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Squashes `pixels` (H, W, 3) to `size` (height_px, width_px); the aspect is not kept.

    Each side is first averaged over as many whole pixels as fit into one, then interpolated linearly; a side that grows is only
    interpolated. OpenCV averages over whole pixels with vector instructions, over fractions of them several times more slowly.
    Writes into `out` (uint8, C-contiguous, of that size) if given.
    """
    height, width = size
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"pixels must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    elif out.shape != (height, width, 3) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"out must be contiguous uint8 {(height, width, 3)}, not {out.dtype} {out.shape}")
    if pixels.shape == out.shape:
        np.copyto(out, pixels)
        return out
    down = max(1, pixels.shape[0] // height), max(1, pixels.shape[1] // width)
    if down != (1, 1):
        rest = pixels.shape[1] // down[1], pixels.shape[0] // down[0]
        pixels = cv2.resize(pixels, rest, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    written = cv2.resize(pixels, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
    if written is not out and not np.shares_memory(written, out):
        np.copyto(out, written)
    return out
