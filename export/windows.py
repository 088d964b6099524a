"""Windows to compare engines on: a picture and the sound before it, from videos or drawn by our own ingredients."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from cavs.adapt.data.clip import compose_clip
from cavs.adapt.data.procedural import procedural_ingredients
from cavs.adapt.model.config import NetworkConfig
from cavs.runtime.errors import ExportError
from cavs.runtime.preprocess import fit_frame

VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg"})
WINDOWS_PER_CLIP = 4
DRAWN_CLIP_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """frame: uint8 (H, W, 3) at the network's size; sound: float32 (N,), its last sample the newest."""

    frame: npt.NDArray[np.uint8]
    sound: npt.NDArray[np.float32]


def drawn_windows(config: NetworkConfig, count: int, seed: int = 0) -> Iterator[Window]:
    """Windows from clips composed of procedural ingredients; nothing needs to be downloaded."""
    ingredients = procedural_ingredients("test", per_class=4, sounds_per_class=4, places=8, seed=seed)
    rng = np.random.default_rng(seed)
    window_s = config.sound_samples / config.sound_rate_hz
    times = tuple(np.linspace(min(window_s, DRAWN_CLIP_S) / 2, DRAWN_CLIP_S - 0.1, WINDOWS_PER_CLIP).tolist())
    size = (config.frame_height_px, config.frame_width_px)
    for index in range(count):
        if index % WINDOWS_PER_CLIP == 0:
            clip = compose_clip(ingredients, rng, seconds=DRAWN_CLIP_S, times_s=times, size=size)
        moment = index % WINDOWS_PER_CLIP
        end = round(times[moment] * config.sound_rate_hz)
        yield Window(np.ascontiguousarray(clip.frames[moment]), _newest(clip.sound[:end], config.sound_samples))


def video_windows(path: Path, config: NetworkConfig, count: int) -> Iterator[Window]:
    """Windows from a video file or from all videos below a folder, spread evenly over them.

    Raises ExportError if there is no video, or one cannot be decoded.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEOS)
    if not files:
        raise ExportError(f"{path}: no videos there ({', '.join(sorted(VIDEOS))}); give a video or a folder of them")
    shares = [len(part) for part in np.array_split(np.arange(count), len(files))]
    for file, share in zip(files, shares, strict=True):
        if share:
            yield from _windows_of(file, config, share)


def _windows_of(file: Path, config: NetworkConfig, count: int) -> Iterator[Window]:
    try:
        frames, sound = _decode(file, config)
    except (OSError, ValueError) as error:  # PyAV's errors are one or the other, by cause
        raise ExportError(f"{file}: cannot be decoded ({error}); leave it out") from error
    if not frames:
        raise ExportError(f"{file}: no pictures in it; leave it out")
    for index in np.linspace(0, len(frames) - 1, count).round().astype(int):
        time_s, frame = frames[index]
        yield Window(frame, _newest(sound[: max(0, round(time_s * config.sound_rate_hz))], config.sound_samples))


def _decode(file: Path, config: NetworkConfig) -> tuple[list[tuple[float, npt.NDArray[np.uint8]]], npt.NDArray[np.float32]]:
    size = (config.frame_height_px, config.frame_width_px)
    with av.open(str(file)) as container:
        first_s = (container.start_time or 0) / av.time_base
        frames = [
            (frame.time - first_s, fit_frame(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), size))
            for frame in container.decode(video=0)
            if frame.time is not None
        ]
        if not container.streams.audio:
            return frames, np.zeros(0, np.float32)
        container.seek(0)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=config.sound_rate_hz)
        blocks = [block.to_ndarray()[0] for packet in container.decode(audio=0) for block in resampler.resample(packet)]
    return frames, np.concatenate([np.zeros(0, np.float32), *blocks])


def _newest(sound: npt.NDArray[np.float32], samples: int) -> npt.NDArray[np.float32]:
    """The last `samples` of a sound, silence before its start."""
    window = np.zeros(samples, np.float32)
    tail = sound[-samples:] if len(sound) else sound
    if len(tail):
        window[-len(tail) :] = tail
    return window
