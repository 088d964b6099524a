"""Streaming equals offline: whatever the blocks' sizes, the frames' times and the order in which the two kinds arrive."""

import math
from collections.abc import Iterator
from itertools import pairwise
from random import Random

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.items import AudioBlock, VideoFrame
from tests.stream.aligning import PIXELS, RAMP, RATE_HZ, SAMPLES, from_file


def offline(end_ns: int, start_ns: int, holes: set[int], length: int) -> npt.NDArray[np.float32]:
    """The sound that ends at this time, cut from the whole recording at once."""
    end = math.ceil((end_ns - start_ns) * RATE_HZ / NS_PER_S)
    numbers = np.arange(end - SAMPLES, end)
    there = (numbers >= 0) & (numbers < length) & ~np.isin(numbers // 400, list(holes))
    return np.where(there, RAMP[np.clip(numbers, 0, length - 1)], 0).astype(np.float32)


Recording = tuple[list[VideoFrame], list[AudioBlock], set[int], int, int]
"""Frames, blocks, which 25 ms of the sound are lost, when it starts, and how many samples it has."""


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Any sizes of blocks, some 25 ms of sound lost here and there, any frame times in µs."""
    start_ns = draw(st.integers(-NS_PER_S, NS_PER_S))
    pieces = draw(st.integers(1, 80))
    holes = draw(st.sets(st.integers(0, pieces - 1), max_size=pieces // 4)) - {0}
    length = pieces * 400
    edges = set(draw(st.lists(st.integers(1, length), max_size=40))) | {0, length}
    edges |= {edge for hole in holes for edge in (hole * 400, hole * 400 + 400)}
    cuts = sorted(edges)
    blocks = [
        AudioBlock(RAMP[first:end], first, start_ns + first * NS_PER_S // RATE_HZ, RATE_HZ)
        for first, end in pairwise(cuts)
        if first // 400 not in holes
    ]
    times_us = draw(st.lists(st.integers(-500_000, 2_500_000), min_size=1, max_size=40, unique=True))
    frames = [VideoFrame(PIXELS, t_us * 1000, index) for index, t_us in enumerate(sorted(times_us))]
    return frames, blocks, holes, start_ns, length


@given(recordings(), st.integers(0, 400), st.integers(-200, 200), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_streaming_equals_offline_at_every_cut(recording: Recording, lookahead: int, offset_ms: int, random: Random) -> None:
    frames, blocks, holes, start_ns, length = recording
    offset_ns = offset_ms * NS_PER_MS
    align = from_file(lookahead_samples=lookahead, offset_ns=offset_ns)
    order = [True] * len(frames) + [False] * len(blocks)
    random.shuffle(order)
    waiting: dict[bool, Iterator[VideoFrame | AudioBlock]] = {True: iter(frames), False: iter(blocks)}
    heard: list[tuple[int, npt.NDArray[np.float32], int]] = []

    def collect() -> None:
        while (window := align.pop(random.randrange(10**12))) is not None:
            heard.append((window.frame.t_ns, window.sound.copy(), window.missing))

    for is_frame in order:
        align.push(next(waiting[is_frame]))
        if random.random() < 0.7:
            collect()
    align.flush()
    collect()
    assert [t_ns for t_ns, _, _ in heard] == [frame.t_ns for frame in frames]
    for t_ns, sound, missing in heard:
        end_ns = t_ns + lookahead * NS_PER_S // RATE_HZ - offset_ns
        expected = offline(end_ns, start_ns, holes, length)
        np.testing.assert_array_equal(sound, expected)
        assert missing == np.count_nonzero(expected == 0)
