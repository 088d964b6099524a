"""Labelled clips on disk, whatever their layout: what a clip consists of, which clips are whole, and reading one.

The papers' loaders take the sound from pickled log-mel tensors; here it is always read from the waveform beside them, and
nothing is ever unpickled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.palette import Labels
from cavs.runtime.errors import DataRejected

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Value = TypeVar("Value", bound=np.generic)

Layout = Literal["s4", "ms3", "avss"]
SPLITS = ("train", "val", "test")
RATE_HZ = 16_000
"""Sound is handed out at this rate, whatever the file holds."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClip:
    """One clip, one frame per second.

    frames:    uint8 (T, H, W, 3), RGB. masks: uint8 (T, H, W), index into the set's classes; 0 where not annotated.
    annotated: bool (T,), the frames that have a mask. present: bool (T,), False for padding.
    samples:   float32 (N,), mono, at rate_hz.
    sounding:  classes said to sound somewhere in the clip; empty where the layout does not say.
    notes:     one line for everything that had to be mended while reading.
    """

    id: str
    split: str
    sounding: tuple[str, ...]
    frames: Pixels
    masks: Labels
    annotated: Flags
    samples: Samples
    rate_hz: int = RATE_HZ
    present: Flags | None = None
    notes: tuple[str, ...] = ()

    def second(self, index: int) -> Samples:
        """The sound of the second that ends at frame `index`, float32 (rate_hz,); where the sound ends early, its last
        whole second again, as the papers' loaders do."""
        if not 0 <= index < len(self.frames):
            raise ValueError(f"second {index} of a clip of {len(self.frames)} frames")
        whole = len(self.samples) // self.rate_hz
        start = (index if index < whole or whole == 0 else whole - 1) * self.rate_hz
        second = np.zeros(self.rate_hz, np.float32)
        piece = self.samples[start : start + self.rate_hz]
        second[: len(piece)] = piece
        return second

    def padded(self, frames: int) -> "LabelledClip":
        """The clip with black, unannotated, silent seconds up to `frames` of them; the same when it is long enough."""
        lacking = frames - len(self.frames)
        if lacking <= 0:
            return self
        present = np.ones(len(self.frames), bool) if self.present is None else self.present
        seconds = [self.second(i) for i in range(len(self.frames))] + [np.zeros(self.rate_hz, np.float32)] * lacking
        return replace(
            self,
            frames=_lengthened(self.frames, lacking),
            masks=_lengthened(self.masks, lacking),
            annotated=_lengthened(self.annotated, lacking),
            present=_lengthened(present, lacking),
            samples=np.concatenate(seconds),
        )


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """Where one clip lies: a frame per second, masks of some of them as (frame index, file), and its sound."""

    id: str
    split: str
    sounding: tuple[str, ...]
    frames: tuple[Path, ...]
    masks: tuple[tuple[int, Path], ...]
    sound: Path

    def lacking(self) -> tuple[Path, ...]:
        """Files that are not there."""
        return tuple(file for file in (*self.frames, *(mask for _, mask in self.masks), self.sound) if not file.is_file())


@dataclass(frozen=True, slots=True, eq=False)
class MaskRead:
    """A mask file as class indices (H, W), and what in it stands for no class: description -> pixels."""

    labels: Labels
    unknown: dict[str, int]


class ClipSet:
    """The clips of one layout that are whole, in the order of the metadata.

    layout:  `s4`, `ms3` or `avss`. classes: names by mask index, 0 is what does not sound.
    view:    what a subclass makes of the same files, to tell caches of it apart; empty for the clips as they are.
    missing: (clip, first file that is not there) of every clip that the metadata names but the folder lacks.
    """

    view = ""

    def __init__(
        self,
        layout: Layout,
        root: Path,
        listed: Sequence[ClipFiles],
        *,
        classes: tuple[str, ...],
        read_mask: Callable[[Path], MaskRead],
        size_px: int | None = None,
    ) -> None:
        self.layout = layout
        self.root = root
        self.classes = classes
        self.listed = tuple(listed)
        self.read_mask = read_mask
        whole: list[ClipFiles] = []
        missing: list[tuple[ClipFiles, Path]] = []
        for files in listed:
            lacking = files.lacking()
            if lacking:
                missing.append((files, lacking[0]))
            else:
                whole.append(files)
        self.files = tuple(whole)
        self.missing = tuple(missing)
        self._size_px = size_px

    def __len__(self) -> int:
        return len(self.files)

    def clip(self, index: int) -> LabelledClip:
        """Reads one clip. Raises DataRejected when a file cannot be read."""
        files = self.files[index]
        notes: list[str] = []
        first = read_frame(files.frames[0])
        size = (self._size_px, self._size_px) if self._size_px else (first.shape[0], first.shape[1])
        frames = np.zeros((len(files.frames), *size, 3), np.uint8)
        for t, path in enumerate(files.frames):
            frames[t] = _resized(first if t == 0 else read_frame(path), size, cv2.INTER_LINEAR)
        masks = np.zeros((len(files.frames), *size), np.uint8)
        annotated = np.zeros(len(files.frames), bool)
        for t, path in files.masks:
            mask = self.read_mask(path)
            notes += [f"{path}: {count} pixels of {what} taken as background" for what, count in mask.unknown.items()]
            if mask.labels.shape != size and self._size_px is None:
                notes.append(f"{path}: {_size(mask.labels)}, resized to its frame's {size[1]}x{size[0]}")
            masks[t] = _resized(mask.labels, size, cv2.INTER_NEAREST)
            annotated[t] = True
        samples = read_sound(files.sound)
        present = np.ones(len(frames), bool)
        return LabelledClip(
            files.id, files.split, files.sounding, frames, masks, annotated, samples, present=present, notes=tuple(notes)
        )


def read_frame(path: Path) -> Pixels:
    """A picture as uint8 (H, W, 3), RGB."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror}, expected a picture; restore it or drop the clip") from None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise DataRejected(f"{path}: {len(data)} bytes that are no picture; restore it or drop the clip")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_stored(path: Path, mode: str | None = None) -> Pixels:
    """The values of a mask file as stored (a palette picture gives its indices), or converted to a Pillow mode."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture if mode is None else picture.convert(mode))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        reason = str(error).replace(str(path), "the file").replace("''", "")
        raise DataRejected(f"{path}: no mask can be read from it ({reason}); restore it or drop the clip") from None


def read_binary_mask(path: Path) -> MaskRead:
    """1 where any channel, or the palette index, is above 0."""
    values = read_stored(path)
    some = values[..., :3].max(axis=2) if values.ndim == 3 else values
    return MaskRead((some > 0).astype(np.uint8), {})


def read_sound(path: Path) -> Samples:
    """Mono float32 at RATE_HZ. Raises DataRejected for a file without samples."""
    import soundfile
    import soxr

    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # libsndfile's own error is a RuntimeError
        reason = str(error).split(": ", 1)[-1]
        raise DataRejected(f"{path}: no sound can be read from it ({reason}); restore it or drop the clip") from None
    if len(samples) == 0:
        raise DataRejected(f"{path}: 0 samples, expected sound; restore it or drop the clip")
    if not np.isfinite(samples).all():
        raise DataRejected(f"{path}: samples that are no numbers; restore it or drop the clip")
    mono = samples.mean(axis=1)
    return np.asarray(mono if rate_hz == RATE_HZ else soxr.resample(mono, rate_hz, RATE_HZ), np.float32)


def _resized(picture: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    if picture.shape[:2] == size:
        return picture
    shrinks = interpolation == cv2.INTER_LINEAR and picture.shape[0] > size[0]
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else interpolation))


def _size(picture: Pixels) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"


def _lengthened(values: npt.NDArray[Value], count: int) -> npt.NDArray[Value]:
    return np.concatenate([values, np.zeros((count, *values.shape[1:]), values.dtype)])
