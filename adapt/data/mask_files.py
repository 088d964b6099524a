"""Writes the files that the layouts consist of: frames, masks, sound."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from cavs.adapt.data.clip_set import Pixels, Samples
from cavs.adapt.data.palette import Labels, palette
from cavs.runtime.errors import DataRejected

JPEG_QUALITY = 95


def write_frame(path: Path, frame: Pixels) -> None:
    """Writes RGB as JPEG or PNG, by the ending of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    written, data = cv2.imencode(path.suffix, frame[..., ::-1], options)
    if not written:
        raise ValueError(f"{path}: a frame of {frame.shape} {frame.dtype} cannot be written")
    _write(path, data.tobytes())


def write_binary_mask(path: Path, labels: Labels, mode: Literal["L", "P"]) -> None:
    """White where a class sounds (L), or palette index 1 (P)."""
    sounding = labels > 0
    if mode == "L":
        _write_mask(path, sounding.astype(np.uint8) * 255, None)
    else:
        _write_mask(path, sounding.astype(np.uint8), palette(2))


def write_colour_mask(path: Path, labels: Labels, classes: int) -> None:
    """A palette picture: opened as RGB it shows the colours."""
    _write_mask(path, labels, palette(classes))


def write_index_mask(path: Path, labels: Labels) -> None:
    """Grey values that are the class indices."""
    _write_mask(path, labels, None)


def write_sound(path: Path, samples: Samples, rate_hz: int) -> None:
    """A WAV file with 16 bits."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    except (OSError, RuntimeError) as error:  # libsndfile's own error is a RuntimeError
        raise DataRejected(f"{path}: cannot be written ({error}); is the disk full?") from None


def _write_mask(path: Path, values: Labels, colours: Pixels | None) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.ascontiguousarray(values))
    if colours is not None:
        picture.putpalette(colours.tobytes())
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror or error}; is there room on the disk?") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror}; is there room on the disk?") from None
