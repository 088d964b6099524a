"""Small real media files for tests: a coloured square on a dark ground, and a tone that begins and ends."""

from pathlib import Path

import av
import numpy as np

SAMPLES_PER_FRAME = 1024


def write_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: int = 30,
    width: int = 160,
    height: int = 120,
    colour: tuple[int, int, int] = (230, 20, 20),
    rate_hz: int = 48000,
    sounding_s: tuple[float, float] | None = (0.5, 1.5),
) -> Path:
    """H.264 and AAC. sounding_s: when the tone sounds; None leaves the sound track out."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=rate_hz, layout="mono") if sounding_s else None
        picture = np.full((height, width, 3), 16, np.uint8)
        picture[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = colour
        for index in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sounding_s is not None:
            times = np.arange(round(seconds * rate_hz)) / rate_hz
            sounding = (times >= sounding_s[0]) & (times < sounding_s[1])
            tone = (0.5 * np.sin(2 * np.pi * 440 * times) * sounding).astype(np.float32)
            for first in range(0, len(tone), SAMPLES_PER_FRAME):
                block = av.AudioFrame.from_ndarray(tone[None, first : first + SAMPLES_PER_FRAME], "fltp", "mono")
                block.sample_rate, block.pts = rate_hz, first
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path
