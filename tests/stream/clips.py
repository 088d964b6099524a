"""Small clips for tests: a picture whose brightness tells the frame, a tone, or clicks at known times."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Sound = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
Picture = Callable[[float], npt.NDArray[np.uint8]]


def tone(t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 kHz at half scale."""
    return 0.5 * np.sin(2 * np.pi * 1000 * t_s)


@dataclass
class Clip:
    """What is written. Times in seconds; frame_times overrides seconds and fps (variable frame rate)."""

    seconds: float = 1.0
    fps: int = 30
    width: int = 64
    height: int = 48
    codec: str = "mpeg4"
    frame_times: list[float] | None = None
    picture: Picture | None = None
    sound: Sound | None = tone
    sound_codec: str = "aac"
    sound_rate: int = 48_000
    channels: int = 2
    sound_start: float = 0.0
    sound_end: float | None = None
    turn: int = 0
    options: dict[str, str] | None = None

    def times(self) -> list[float]:
        return (
            self.frame_times if self.frame_times is not None else [i / self.fps for i in range(round(self.seconds * self.fps))]
        )


TICKS = 90_000
SOUND_BLOCK = 1024


def write_clip(path: Path, clip: Clip | None = None) -> Path:
    """Writes it; the format follows the suffix."""
    clip = clip or Clip()
    with av.open(str(path), "w", options=clip.options or {}) as container:
        video = container.add_stream(clip.codec, rate=clip.fps)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p" if clip.codec != "mjpeg" else "yuvj420p"
        video.time_base = video.codec_context.time_base = Fraction(1, TICKS if clip.codec != "mpeg4" else 1000)
        if clip.turn:
            video.set_display_rotation(clip.turn)
        audio = _sound_stream(container, clip)
        pieces = [(t, "frame") for t in clip.times()]
        if audio is not None:
            step = SOUND_BLOCK / clip.sound_rate
            end = clip.seconds if clip.sound_end is None else clip.sound_end
            pieces += [(clip.sound_start + k * step, "block") for k in range(int((end - clip.sound_start) / step) + 1)]
        for t, kind in sorted(pieces):
            if kind == "frame":
                container.mux(video.encode(_frame(clip, t, video.codec_context.time_base)))
            elif audio is not None:
                container.mux(audio.encode(_block(clip, t)))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def _sound_stream(container: av.container.OutputContainer, clip: Clip) -> "av.AudioStream | None":
    if clip.sound is None:
        return None
    stream = container.add_stream(clip.sound_codec, rate=clip.sound_rate)
    assert isinstance(stream, av.AudioStream)
    stream.layout = {1: "mono", 2: "stereo", 6: "5.1"}[clip.channels]
    return stream


def _frame(clip: Clip, t: float, time_base: Fraction) -> av.VideoFrame:
    grey = np.full((clip.height, clip.width, 3), brightness(t), np.uint8)
    pixels = grey if clip.picture is None else clip.picture(t)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = round(t / time_base), time_base
    return frame


def brightness(t: float) -> int:
    """Grey value of the frame at t."""
    return 40 + round(t * 30) * 5 % 200


def _block(clip: Clip, t: float) -> av.AudioFrame:
    assert clip.sound is not None
    t_s = t + np.arange(SOUND_BLOCK) / clip.sound_rate
    wave = np.tile(clip.sound(t_s).astype(np.float32), (clip.channels, 1))
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[clip.channels]
    if clip.sound_codec.startswith("pcm_s16"):
        packed = np.ascontiguousarray((wave.T * 32767).astype(np.int16)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
    else:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=layout)
    frame.sample_rate = clip.sound_rate
    frame.pts, frame.time_base = round(t * clip.sound_rate), Fraction(1, clip.sound_rate)
    return frame
