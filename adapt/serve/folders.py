"""Labelled clips of a folder as exemplars: what `cavs-adapt learn` and `--anchors` take.

Either a folder of a published layout (AVSS, MS3, S4), or videos with masks:

PATH/<class>/<name>.mp4          any video with sound that PyAV reads
PATH/<class>/<name>/000042.png   white where <class> sounds in frame 42 of it, counted from 0; others are not used
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import soxr

from cavs.adapt.data.clip_set import RATE_HZ, ClipSet, read_binary_mask
from cavs.adapt.data.layouts import METADATA, USUAL_FOLDERS, read_clips
from cavs.adapt.learn.exemplar import Exemplar
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import DataRejected, LessonRejected
from cavs.runtime.lesson import check_class_name
from cavs.runtime.preprocess import fit_frame

VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi")
MOST = 4000
"""Windows taken of one folder: more would not fit the memory anyway."""

Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A window of a folder. held: it belongs to a split that is not for training."""

    exemplar: Exemplar
    held: bool


@dataclass(frozen=True, slots=True)
class FolderReader:
    """Reads folders at a bundle's sizes. source, wall_ns: of the exemplars."""

    bundle: Bundle
    source: str
    wall_ns: int

    def read(self, path: Path) -> Iterator[Labelled]:
        """Every labelled window of a folder. Raises DataRejected, naming the file that is at fault."""
        rate_hz = self.bundle.manifest.sound.rate_hz
        if rate_hz != RATE_HZ:
            raise DataRejected(f"{path}: the bundle hears {rate_hz} Hz, folders are read at {RATE_HZ} Hz")
        if not path.is_dir():
            raise DataRejected(f"{path}: {'a file' if path.exists() else 'not there'}, a folder of labelled clips expected")
        count = 0
        for count, window in enumerate(self._of_layout(read_clips(path)) if _is_layout(path) else self._of_videos(path), 1):
            if count > MOST:
                raise DataRejected(f"{path}: more than {MOST} labelled frames; teach it in parts")
            yield window
        if not count:
            raise DataRejected(
                f"{path}: no labelled frame in it; expected a published layout, or <class>/<video> with masks beside it"
            )

    def _of_layout(self, clips: ClipSet) -> Iterator[Labelled]:
        sound = self.bundle.manifest.sound
        for index, files in enumerate(clips.files):
            clip = clips.clip(index)
            for t in np.flatnonzero(clip.annotated).tolist():
                heard = _ending_at((t + 1) * RATE_HZ + sound.lookahead_samples, clip.samples, sound.samples)
                shown = [k for k in np.unique(clip.masks[t]).tolist() if k > 0]
                marks = [(clips.classes[k], clip.masks[t] == k) for k in shown]
                yield Labelled(self._exemplar(clip.frames[t], heard, marks), files.split != "train")

    def _of_videos(self, path: Path) -> Iterator[Labelled]:
        for folder in sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith(".")):
            try:
                name = check_class_name(folder.name)
            except LessonRejected as error:
                raise DataRejected(f"{folder}: {error}") from None
            for video in sorted(item for item in folder.iterdir() if item.suffix.lower() in VIDEOS):
                masks = {int(mask.stem): mask for mask in video.with_suffix("").glob("*.png") if mask.stem.isdecimal()}
                if not masks:
                    raise DataRejected(f"{video}: no masks in {video.with_suffix('')}; expected PNGs, 000042.png for frame 42")
                yield from self._of_video(video, name, masks)

    def _of_video(self, video: Path, name: str, masks: dict[int, Path]) -> Iterator[Labelled]:
        wanted = self.bundle.manifest.sound
        sound, start_s = _sound_of(video)
        seen = 0
        for number, pixels, time_s in _frames_of(video):
            if number not in masks:
                continue
            seen += 1
            mark = read_binary_mask(masks[number]).labels > 0
            if mark.shape != pixels.shape[:2]:
                raise DataRejected(f"{masks[number]}: {mark.shape}, its frame is {pixels.shape[:2]}; the sizes must be equal")
            heard = _ending_at(round((time_s - start_s) * RATE_HZ) + wanted.lookahead_samples, sound, wanted.samples)
            yield Labelled(self._exemplar(pixels, heard, [(name, mark)] if mark.any() else []), held=False)
        if seen < len(masks):
            raise DataRejected(f"{video}: {len(masks)} masks, but it has frames for {seen} of them; number masks from 0")

    def _exemplar(
        self, pixels: npt.NDArray[np.uint8], heard: Sound, named: Sequence[tuple[str, npt.NDArray[np.bool_]]]
    ) -> Exemplar:
        size = (self.bundle.manifest.frame.height_px, self.bundle.manifest.frame.width_px)
        frame = fit_frame(np.ascontiguousarray(pixels), size)
        fitted = [
            (name, cv2.resize(mark.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0) for name, mark in named
        ]
        marks = tuple((name, mark) for name, mark in fitted if mark.any())
        return Exemplar(frame, heard, marks, self.source, self.wall_ns, 1.0)


def _is_layout(path: Path) -> bool:
    return any((path / name).is_file() for name in METADATA.values()) or any(
        (path / folder).is_dir() for folder in USUAL_FOLDERS.values()
    )


def _frames_of(video: Path) -> Iterator[tuple[int, npt.NDArray[np.uint8], float]]:
    """Number, RGB pixels and time of every frame."""
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise DataRejected(f"{video}: no picture in it")
            for number, frame in enumerate(container.decode(container.streams.video[0])):
                yield number, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), float(frame.time or 0.0)
    except (OSError, ValueError) as error:  # PyAV's errors are one of the two
        raise DataRejected(f"{video}: cannot be decoded ({error})") from None


def _sound_of(video: Path) -> tuple[Sound, float]:
    """Mono at RATE_HZ, and the time of its first sample."""
    try:
        with av.open(str(video)) as container:
            if not container.streams.audio:
                raise DataRejected(f"{video}: no sound in it; what sounds cannot be learned from it")
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp", layout="mono")
            pieces: list[Sound] = []
            start_s: float | None = None
            for frame in container.decode(stream):
                start_s = float(frame.time or 0.0) if start_s is None else start_s
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            rate_hz = stream.rate
    except (OSError, ValueError) as error:
        raise DataRejected(f"{video}: its sound cannot be decoded ({error})") from None
    if not pieces:
        raise DataRejected(f"{video}: its sound track is empty; what sounds cannot be learned from it")
    whole = np.concatenate(pieces).astype(np.float32)
    return np.asarray(whole if rate_hz == RATE_HZ else soxr.resample(whole, rate_hz, RATE_HZ), np.float32), start_s or 0.0


def _ending_at(end: int, sound: Sound, samples: int) -> Sound:
    """`samples` of a sound up to its sample `end`; zeros where it does not reach."""
    start = end - samples
    heard = np.zeros(samples, np.float32)
    first, last = max(start, 0), min(end, len(sound))
    if last > first:
        heard[first - start : last - start] = sound[first:last]
    return heard
