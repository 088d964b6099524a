"""Writes a composed clip as a real video file with sound, and the truth of every frame beside it."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from cavs.adapt.data.clip import Clip
from cavs.adapt.data.ingredients import Pixels, Samples
from cavs.runtime.errors import DataRejected

QUALITY = "20"
"""x264's constant rate factor: lower is better; 20 looks like the original."""
SOUND_BITS_PER_S = 96_000


def write_movie(path: Path, clip: Clip) -> None:
    """H.264 and AAC in an MP4, and `<name>.truth.npz` with `masks` (T, H, W), `times_s` (T,) and `class_names`."""
    write_video(path, clip.frames, fps=clip.fps, sound=clip.sound, rate_hz=clip.rate_hz)
    np.savez_compressed(
        path.with_suffix(".truth.npz"),
        masks=clip.masks,
        times_s=np.array(clip.times_s),
        class_names=np.array(clip.class_names),
    )


def write_video(
    path: Path,
    pictures: Iterable[Pixels],
    *,
    fps: float,
    sound: Samples,
    rate_hz: int,
    crf: str = QUALITY,
    preset: str = "veryfast",
) -> None:
    """H.264 and AAC in an MP4. Pictures, uint8 (H, W, 3) RGB, are taken one at a time, so that they need not fit in memory."""
    ahead = iter(pictures)
    first = next(ahead)
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise DataRejected(f"{path}: {width} x {height}; H.264 needs even sides, choose another size")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
            video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            video.height, video.width, video.pix_fmt = height, width, "yuv420p"
            video.options = {"crf": crf, "preset": preset}
            video.thread_count = 1  # clips are written in parallel already
            audio = container.add_stream("aac", rate=rate_hz, layout="mono")
            audio.bit_rate = SOUND_BITS_PER_S
            for picture in chain([first], ahead):
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(video.encode(None))
            line = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            line.sample_rate, line.pts = rate_hz, 0
            container.mux(audio.encode(line))
            container.mux(audio.encode(None))
    except (OSError, ValueError) as error:  # PyAV's errors are both, by cause; an unknown codec is a ValueError
        raise DataRejected(f"{path}: no video could be written ({error}); is the disk full, or PyAV without x264?") from None
