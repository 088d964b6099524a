"""Frames, pieces of a sound whose samples are numbers, and aligners for them."""

import numpy as np

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.align import Aligner
from cavs.stream.items import AudioBlock, StampGrade, VideoFrame, Window

RATE_HZ = 16_000
SAMPLES = 1600
PIXELS = np.zeros((4, 4, 3), np.uint8)
RAMP = np.arange(1, 4 * RATE_HZ + 1, dtype=np.float32)
"""Sample k has the value k + 1, so that silence and the first sample differ."""


def frame(t_ms: float, index: int | None = None) -> VideoFrame:
    return VideoFrame(PIXELS, round(t_ms * NS_PER_MS), round(t_ms) if index is None else index)


def block(first: int, end: int, grade: StampGrade = StampGrade.A) -> AudioBlock:
    return AudioBlock(RAMP[first:end], first, first * NS_PER_S // RATE_HZ, RATE_HZ, grade)


def live(**changes: int | bool) -> Aligner:
    told = {"staleness_ns": 500 * NS_PER_MS, "audio_wait_ns": 120 * NS_PER_MS} | changes
    lookahead_samples = told.pop("lookahead_samples", 0)
    return Aligner(RATE_HZ, SAMPLES, lookahead_samples, live=True, **told)  # type: ignore[arg-type]


def from_file(samples: int = SAMPLES, lookahead_samples: int = 0, offset_ns: int = 0, sound: bool = True) -> Aligner:
    return Aligner(
        RATE_HZ,
        samples,
        lookahead_samples,
        live=False,
        staleness_ns=0,
        audio_wait_ns=0,
        offset_ns=offset_ns,
        audio_expected=sound,
    )


def pop_all(align: Aligner, now_ms: float = 0.0) -> list[Window]:
    windows = []
    while (window := align.pop(round(now_ms * NS_PER_MS))) is not None:
        windows.append(window)
    return windows
