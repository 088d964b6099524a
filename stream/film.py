"""A video file with sound that grows while one watches and can be played whatever ends it."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import CavsError

VIDEO_CLOCK_HZ = 90_000
NOMINAL_FPS = 30
SUFFIXES = (".mp4", ".mov", ".mkv")
X264_OPTIONS = {"preset": "superfast", "crf": "21", "bf": "0", "g": "30", "rc-lookahead": "5"}
"""A key picture a second starts a fragment; a short look-ahead, so that a film that breaks off lacks little."""
FRAGMENTS = "frag_keyframe+delay_moov"
HYBRID_SINCE = (61, 7)
"""libavformat from which a fragmented MP4 becomes a plain one, which every player can seek in, when it is closed."""
LONGEST_SILENCE_S = 10
"""Longer holes in the sound stay holes: they may be an hour."""


class FilmError(CavsError):
    """The video file cannot be written: its directory, the disk, the format."""


class Film:
    """Writes pictures at their own times, and the sound between them. One thread.

    The first picture sets size and start; sound before it is left out, sound that never came is silence.
    MP4 is written in fragments, so that a full disk or a killed process leaves a file that plays.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise FilmError(f"{path}: format {path.suffix or '(none)'} is not written; use one of {', '.join(SUFFIXES)}")
        self.path = path
        self.pictures = 0
        self._broken = False
        self._last_pts = -1
        self._start_ns = 0
        self._sound_end = 0
        self._streams: tuple[VideoStream, AudioStream] | None = None
        try:
            path.open("wb").close()  # FFmpeg opens it with the first picture; whether it can be written is said now
            self._file: OutputContainer | None = av.open(str(path), "w", options=_options(path))
        except (OSError, av.FFmpegError) as error:
            raise FilmError(f"{path}: cannot be written: {_reason(error)}") from None

    def add(
        self, picture: npt.NDArray[np.uint8], t_ns: int, samples: npt.NDArray[np.int16], *, rate_hz: int, first: int
    ) -> None:
        """One picture, uint8 (H, W, 3) RGB, and new mono sound; `first` counts samples since time 0. Raises FilmError."""
        if self._file is None:
            raise ValueError(f"{self.path} is closed")
        try:
            if self._streams is None:
                self._streams = self._begin(self._file, picture.shape, rate_hz)
                self._start_ns, self._sound_end = t_ns, round(t_ns * rate_hz / NS_PER_S)
            video, audio = self._streams
            self._add_picture(self._file, video, picture, t_ns)
            self._add_sound(self._file, audio, samples, first)
        except (OSError, av.FFmpegError) as error:
            self._broken = True
            raise FilmError(f"{self.path}: {_reason(error)} after {self.pictures} pictures; what was written plays") from None

    def close(self) -> None:
        """Finishes the file; idempotent. Raises FilmError if its end could not be written."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if self._streams is not None and not self._broken:
                for stream in self._streams:
                    file.mux(stream.encode(None))
            file.close()
        except (OSError, av.FFmpegError) as error:
            if not self._broken:
                raise FilmError(f"{self.path}: {_reason(error)} at the end; what was written plays") from None

    def _begin(self, file: OutputContainer, shape: tuple[int, ...], rate_hz: int) -> tuple[VideoStream, AudioStream]:
        video = file.add_stream("libx264", rate=NOMINAL_FPS, options=X264_OPTIONS)
        video.width, video.height = shape[1] // 2 * 2, shape[0] // 2 * 2  # yuv420p has no odd sides
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, VIDEO_CLOCK_HZ)
        video.codec_context.thread_count = 1  # the stream that is watched needs the other cores
        return video, file.add_stream("aac", rate=rate_hz, layout="mono")

    def _add_picture(self, file: OutputContainer, video: VideoStream, picture: npt.NDArray[np.uint8], t_ns: int) -> None:
        pts = round((t_ns - self._start_ns) * VIDEO_CLOCK_HZ / NS_PER_S)
        if pts <= self._last_pts:
            return  # two frames of one moment, or a stream that began again at an earlier time
        if picture.shape[:2] != (video.height, video.width):
            picture = _fitted(picture, video.height, video.width)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = pts, Fraction(1, VIDEO_CLOCK_HZ)
        file.mux(video.encode(frame))
        self._last_pts = pts
        self.pictures += 1

    def _add_sound(self, file: OutputContainer, audio: AudioStream, samples: npt.NDArray[np.int16], first: int) -> None:
        known = self._sound_end - first
        if known < -LONGEST_SILENCE_S * audio.rate:
            self._sound_end = first
        elif known < 0:
            samples = np.concatenate([np.zeros(-known, np.int16), samples])
        elif known > 0:
            samples = samples[known:]
        if len(samples) == 0:
            return
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = audio.rate, Fraction(1, audio.rate)
        frame.pts = self._sound_end - round(self._start_ns * audio.rate / NS_PER_S)
        file.mux(audio.encode(frame))
        self._sound_end += len(samples)


def _options(path: Path) -> dict[str, str]:
    if path.suffix.lower() == ".mkv":
        return {"flush_packets": "1"}
    hybrid = av.library_versions["libavformat"][:2] >= HYBRID_SINCE
    return {"flush_packets": "1", "movflags": f"hybrid_fragmented+{FRAGMENTS}" if hybrid else FRAGMENTS}


def _fitted(picture: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Another size: an odd side loses a line, everything else (a source that changed) is scaled."""
    if picture.shape[0] - height in (0, 1) and picture.shape[1] - width in (0, 1):
        return np.ascontiguousarray(picture[:height, :width])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
