"""Clips to measure on: a moving picture with grain, as a camera gives it, and sound that comes and goes."""

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 640, 480, 30
SOUND_HZ = 48_000
SAMPLES_PER_FRAME = 1024
GRAIN = 6.0
"""Standard deviation of the noise in grey levels: without it a decoder has nothing to do."""
GRAINS = 8
"""Fields of noise that are used in turn, shifted; drawing each anew would take longer than encoding."""


def clip(folder: Path, seconds: float, *, sound: bool = True) -> Path:
    """A 640x480 H.264 clip at 30 fps with AAC sound; made once per folder and length."""
    path = folder / f"clip-{seconds:g}s{'' if sound else '-silent'}.mp4"
    if path.exists():
        return path
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_HZ, layout="mono") if sound else None
        for index, picture in enumerate(pictures(max(round(seconds * FPS), 1))):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            samples = sound_samples(seconds, SOUND_HZ)
            for first in range(0, len(samples), SAMPLES_PER_FRAME):
                block = av.AudioFrame.from_ndarray(samples[None, first : first + SAMPLES_PER_FRAME], "fltp", "mono")
                block.sample_rate, block.pts = SOUND_HZ, first
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def pictures(count: int) -> Iterator[Picture]:
    """Coloured discs that wander over a soft ground, with grain."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(30, 200, (6, 8, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    grains = [rng.normal(0, GRAIN, (HEIGHT, WIDTH, 3)).astype(np.int16) for _ in range(GRAINS)]
    for index in range(count):
        picture = ground.copy()
        for disc, colour in enumerate(((230, 40, 30), (40, 200, 60), (50, 80, 230))):
            angle = 0.03 * index + 2.1 * disc
            centre = (int(320 + 200 * np.cos(angle)), int(240 + 140 * np.sin(1.3 * angle)))
            cv2.circle(picture, centre, 50 + 15 * disc, colour, -1, cv2.LINE_AA)
        grain = np.roll(grains[index % GRAINS], 37 * index, axis=1)
        yield np.clip(picture.astype(np.int16) + grain, 0, 255).astype(np.uint8)


def sound_samples(seconds: float, rate_hz: int) -> npt.NDArray[np.float32]:
    """A tone that sounds every other second, over a little noise; float32 mono."""
    times = np.arange(max(round(seconds * rate_hz), SAMPLES_PER_FRAME)) / rate_hz
    tone = 0.4 * np.sin(2 * np.pi * 440 * times) * (times % 2 < 1)
    noisy: npt.NDArray[np.float32] = (tone + np.random.default_rng(1).normal(0, 0.01, len(times))).astype(np.float32)
    return noisy


def wav(folder: Path, seconds: float, rate_hz: int) -> Path:
    """The same sound as a mono 16 bit file."""
    path = folder / f"sound-{seconds:g}s-{rate_hz}.wav"
    if not path.exists():
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes((sound_samples(seconds, rate_hz) * 32767).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> npt.NDArray[np.float32]:
    """A whole mono 16 bit file in memory."""
    with wave.open(str(path), "rb") as file:
        raw = file.readframes(file.getnframes())
    return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
