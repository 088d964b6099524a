"""A file as if it happened now: nothing ahead of its time, nothing later than it must be."""

import numpy as np

from cavs.runtime.clock import NS_PER_MS
from cavs.stream.inbox import Item
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame
from cavs.stream.playout import Playout, split

RATE_HZ = 16_000


def block(first: int, count: int) -> AudioBlock:
    samples = np.arange(first, first + count, dtype=np.float32)
    return AudioBlock(samples, first, first * 62_500, RATE_HZ)


def frame(t_ms: int) -> VideoFrame:
    return VideoFrame(np.zeros((1, 1, 3), np.uint8), t_ms * NS_PER_MS, 0)


def numbers(items: list[Item]) -> list[int]:
    return [int(sample) for item in items if isinstance(item, AudioBlock) for sample in item.samples]


def test_a_frame_is_given_at_its_time_with_all_the_sound_up_to_it() -> None:
    waiting = Playout()
    waiting.add(block(0, 480))
    waiting.add(block(480, 480))
    waiting.add(frame(40))
    assert waiting.wait_ns(0) == 40 * NS_PER_MS
    given = waiting.take(40 * NS_PER_MS)
    assert numbers(given) == list(range(640))
    assert isinstance(given[-1], VideoFrame)
    assert waiting.frames == 0


def test_nothing_of_the_sound_is_given_before_it_was_heard_and_nothing_twice() -> None:
    waiting = Playout()
    waiting.add(block(0, 960))
    heard: list[int] = []
    for now_ms in range(0, 70, 7):
        heard += numbers(waiting.take(now_ms * NS_PER_MS))
        assert heard == list(range(min(now_ms * 16, 960)))
    assert not waiting


def test_without_a_time_everything_is_given() -> None:
    waiting = Playout()
    for item in (frame(1000), block(0, 160), frame(2000)):
        waiting.add(item)
    assert len(waiting.take(None)) == 3
    assert not waiting


def test_an_event_waits_for_nothing() -> None:
    waiting = Playout()
    waiting.add(SourceEvent("warning", "file:a", "a", 10**18))
    waiting.add(frame(50))
    assert waiting.wait_ns(0) == 0
    assert [type(item) for item in waiting.take(0)] == [SourceEvent]
    assert waiting.frames == 1


def test_both_parts_of_a_block_keep_their_numbers_and_times() -> None:
    heard, rest = split(block(160, 160), 15 * NS_PER_MS)
    assert heard is not None
    assert (heard.first, heard.end, heard.t_ns) == (160, 240, 10 * NS_PER_MS)
    assert (rest.first, rest.end, rest.t_ns) == (240, 320, 15 * NS_PER_MS)
    assert split(block(160, 160), 10 * NS_PER_MS)[0] is None
