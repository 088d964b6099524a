"""Writes a composed clip as a real video file with sound, and the truth of every frame beside it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from cavs.adapt.data.clip import Clip
from cavs.runtime.errors import DataRejected

QUALITY = "20"
"""x264's constant rate factor: lower is better; 20 looks like the original."""
SOUND_BITS_PER_S = 96_000


def write_movie(path: Path, clip: Clip) -> None:
    """H.264 and AAC in an MP4, and `<name>.truth.npz` with `masks` (T, H, W), `times_s` (T,) and `class_names`."""
    height, width = clip.frames.shape[1:3]
    if height % 2 or width % 2:
        raise DataRejected(f"{path}: {width} x {height}; H.264 needs even sides, choose another size")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with av.open(str(path), "w", format="mp4") as container:
            _write_streams(container, clip)
    except (OSError, ValueError) as error:  # PyAV's errors are both, by cause; an unknown codec is a ValueError
        raise DataRejected(f"{path}: no video could be written ({error}); is the disk full, or PyAV without x264?") from None
    np.savez_compressed(
        path.with_suffix(".truth.npz"),
        masks=clip.masks,
        times_s=np.array(clip.times_s),
        class_names=np.array(clip.class_names),
    )


def _write_streams(container: "av.container.OutputContainer", clip: Clip) -> None:
    video = container.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1001))
    video.height, video.width = clip.frames.shape[1:3]
    video.pix_fmt = "yuv420p"
    video.options = {"crf": QUALITY, "preset": "veryfast"}
    video.thread_count = 1  # clips are written in parallel already
    audio = container.add_stream("aac", rate=clip.rate_hz, layout="mono")
    audio.bit_rate = SOUND_BITS_PER_S
    for picture in clip.frames:
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(video.encode(None))
    sound = av.AudioFrame.from_ndarray(clip.sound[None], format="fltp", layout="mono")
    sound.sample_rate = clip.rate_hz
    sound.pts = 0
    container.mux(audio.encode(sound))
    container.mux(audio.encode(None))
