"""The windows of a lesson: frames at the network's size and one contiguous piece of sound, as arrays and as a file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import LessonRejected

WINDOWS_FILE = "windows.safetensors"
SAFETENSORS_DTYPES = {"uint8": "U8", "int64": "I64", "float32": "F32"}
ALIGNED_BYTES = 8
FILE_BYTES_MAX = 1 << 30
"""A larger file is not of ours: a lesson is bounded by what a stream keeps in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows that a stream saw, oldest first. F frames, S samples.

    frames:   uint8 (F, H, W, 3), RGB, squashed to the bundle's frame size.
    t_ns:     int64 (F,), middle of each exposure on the stream's monotonic clock.
    sound:    float32 (S,), mono in [-1, 1], one contiguous piece; zeros where none was received.
    sound_start_ns: time of its first sample on the same clock.
    rate_hz:  of the sound.
    boxes:    float32 (F, 4) or None: x, y, width, height of the object asked for in each frame, as fractions of the
              picture; a width of 0 where it was not marked.
    """

    frames: npt.NDArray[np.uint8]
    t_ns: npt.NDArray[np.int64]
    sound: npt.NDArray[np.float32]
    sound_start_ns: int
    rate_hz: int
    boxes: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if wrong := _what_is_wrong(self):
            raise ValueError(wrong)

    def __len__(self) -> int:
        return len(self.frames)

    def sound_of(self, frame: int, samples: int, lookahead_samples: int = 0) -> npt.NDArray[np.float32]:
        """float32 (samples,): what was heard with a frame, newest last; zeros where the piece does not reach.

        samples, lookahead_samples: as the bundle's manifest says.
        """
        since_start_ns = int(self.t_ns[frame]) - self.sound_start_ns
        end = round(since_start_ns * self.rate_hz / NS_PER_S) + lookahead_samples
        start = end - samples
        first, last = max(start, 0), min(end, len(self.sound))
        heard = np.zeros(samples, np.float32)
        if last > first:
            heard[first - start : last - start] = self.sound[first:last]
        return heard


def windows_pieces(windows: Windows) -> Iterator[bytes]:
    """The safetensors file that `read_windows` reads back equal, in small pieces.

    Not by the library, which copies it whole and twice: 16 MiB kept the interpreter, and with it the live loop, from
    running for 60 ms.
    """
    tensors: dict[str, npt.NDArray[Any]] = {
        "t_ns": windows.t_ns,
        "sound_start_ns": np.array([windows.sound_start_ns], np.int64),
        "sound": windows.sound,
    }
    if windows.boxes is not None:
        tensors["boxes"] = windows.boxes
    tensors["frames"] = windows.frames  # last: the others are aligned to their items
    described, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        described[name] = {
            "dtype": SAFETENSORS_DTYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    header = json.dumps(described).encode()
    header += b" " * (-len(header) % ALIGNED_BYTES)
    yield len(header).to_bytes(8, "little") + header
    for name, tensor in tensors.items():
        for piece in tensor if name == "frames" else (tensor,):
            yield piece.tobytes()


def read_windows(path: Path, *, rate_hz: int) -> Windows:
    """Reads and checks a file. Raises LessonRejected if it is not there, torn, or not what `windows_pieces` makes."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise LessonRejected(f"{path}: {path.stat().st_size >> 20} MiB, at most {FILE_BYTES_MAX >> 20} are read")
        tensors = load_tensors(path.read_bytes())
    except OSError as error:
        raise LessonRejected(f"{path}: {error.strerror}; a lesson with windows was expected") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # the last three: a dtype that numpy does not know
        raise LessonRejected(f"{path}: not a safetensors file ({error}); torn or edited") from error
    try:
        (start_ns,) = tensors["sound_start_ns"].tolist()
        return Windows(tensors["frames"], tensors["t_ns"], tensors["sound"], int(start_ns), rate_hz, boxes=tensors.get("boxes"))
    except (KeyError, ValueError, TypeError) as error:
        raise LessonRejected(f"{path}: {error}; torn, edited or of another version") from error


def _what_is_wrong(windows: Windows) -> str | None:
    """The first thing that does not hold, in one line."""
    frames, t_ns, sound, boxes = windows.frames, windows.t_ns, windows.sound, windows.boxes
    count = len(frames)
    boxes_fit = boxes is None or (boxes.dtype == np.float32 and boxes.shape == (count, 4))
    t_ns_fits = t_ns.dtype == np.int64 and t_ns.shape == (count,) and bool(np.all(np.diff(t_ns) > 0))
    claims = {
        f"frames must be uint8 (F, H, W, 3), one at least, not {frames.dtype} {frames.shape}": (
            frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3 and count > 0
        ),
        f"t_ns must be int64 ({count},) and grow, not {t_ns.dtype} {t_ns.shape}": t_ns_fits,
        f"sound must be float32 (S,) and finite, not {sound.dtype} {sound.shape}": (
            sound.dtype == np.float32 and sound.ndim == 1 and bool(np.all(np.isfinite(sound)))
        ),
        f"boxes must be float32 ({count}, 4)": boxes_fit,
        f"rate_hz must be above 0, not {windows.rate_hz}": windows.rate_hz > 0,
    }
    return next((text for text, holds in claims.items() if not holds), None)
