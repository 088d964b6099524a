"""The inbox: bounded, in order, counted. Threads appear only where a producer must block."""

import threading

import numpy as np
import pytest

from cavs.runtime.errors import CameraLost
from cavs.stream.inbox import EVENT_CAPACITY, Inbox, Item, Strategy
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame

PIXELS = np.zeros((2, 2, 3), np.uint8)
SOUND = np.zeros(1600, np.float32)
LONG_NS = 20_000_000_000
"""Longer than any of these tests may take: a wait this long means that nobody was woken."""


def frame(index: int) -> VideoFrame:
    return VideoFrame(PIXELS, index, index)


def block(index: int) -> AudioBlock:
    return AudioBlock(SOUND, index * 1600, index, 16_000)


def inbox(strategy: Strategy = Strategy.DROP_OLDEST, frames: int = 2, seconds: float = 0.3, producers: int = 1) -> Inbox:
    return Inbox(strategy, frame_capacity=frames, block_capacity_s=seconds, producers=producers)


def indices(items: list[Item]) -> list[int]:
    return [item.t_ns for item in items if isinstance(item, VideoFrame | AudioBlock)]


def test_items_of_all_kinds_come_out_in_the_order_in_which_they_came() -> None:
    box = inbox()
    event = SourceEvent("recovered", "mic", "back", 1)
    items: list[Item] = [block(0), frame(1), event, block(2), frame(3)]
    for item in items:
        assert box.put(item)
    assert box.take(0) == items
    assert box.take(0) == []


def test_live_the_oldest_frame_makes_room_and_is_counted() -> None:
    box = inbox(frames=2)
    for index in range(5):
        assert box.put(frame(index))
    assert indices(box.take(0)) == [3, 4]
    assert box.counters["frames_dropped_inbox"] == 3
    assert box.counters["blocks_dropped_inbox"] == 0


def test_frames_never_push_out_sound_nor_sound_frames() -> None:
    box = inbox(frames=1, seconds=0.3)
    for index in range(10):
        box.put(frame(index))
        box.put(block(index))
    assert indices(box.take(0)) == [7, 8, 9, 9]
    assert box.counters.to_dict() == {
        "frames_dropped_inbox": 9,
        "blocks_dropped_inbox": 7,
        "events_dropped_inbox": 0,
    }


def test_sound_is_bounded_in_seconds_whatever_the_size_of_the_blocks() -> None:
    box = inbox(seconds=0.3)
    box.put(block(0))
    box.put(block(1))
    box.put(AudioBlock(np.zeros(4000, np.float32), 3200, 2, 16_000))  # 0.25 s: only itself fits
    assert indices(box.take(0)) == [2]
    box.put(AudioBlock(np.zeros(160_000, np.float32), 7200, 3, 16_000))  # 10 s: passes when alone
    assert indices(box.take(0)) == [3]


def test_room_is_counted_anew_after_everything_was_taken() -> None:
    box = inbox(frames=2)
    for round_ in range(3):
        box.put(frame(2 * round_))
        box.put(frame(2 * round_ + 1))
        box.take(0)
    assert box.counters["frames_dropped_inbox"] == 0


def test_events_are_bounded_too() -> None:
    box = inbox()
    for index in range(EVENT_CAPACITY + 5):
        box.put(SourceEvent("warning", "camera", str(index), index))
    assert len(box.take(0)) == EVENT_CAPACITY
    assert box.counters["events_dropped_inbox"] == 5


def test_waiting_a_producer_blocks_until_there_is_room_and_nothing_is_lost() -> None:
    box = inbox(Strategy.WAIT, frames=2)

    def produce() -> None:
        for index in range(200):
            box.put(frame(index))
        box.end("file")

    producer = threading.Thread(target=produce)
    producer.start()
    seen: list[int] = []
    while not box.ended:
        taken = box.take(LONG_NS)
        assert len(taken) <= 2
        seen += indices(taken)
    producer.join()
    assert seen == list(range(200))
    assert box.counters["frames_dropped_inbox"] == 0


def test_several_producers_lose_nothing_and_keep_their_own_order() -> None:
    box = inbox(Strategy.WAIT, frames=3, producers=4)

    def produce(name: int) -> None:
        for index in range(50):
            box.put(frame(name * 1000 + index))
        box.end(str(name))

    producers = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for producer in producers:
        producer.start()
    seen: list[int] = []
    while not box.ended:
        seen += indices(box.take(LONG_NS))
    for producer in producers:
        producer.join()
    for name in range(4):
        assert [index for index in seen if index // 1000 == name] == [name * 1000 + index for index in range(50)]


def test_a_full_lane_of_one_kind_does_not_block_another_kind() -> None:
    box = inbox(Strategy.WAIT, frames=1)
    box.put(frame(0))
    assert box.put(block(1))
    assert len(box) == 2


def test_closing_wakes_a_blocked_producer_and_tells_it_to_stop() -> None:
    box = inbox(Strategy.WAIT, frames=1)
    box.put(frame(0))
    accepted: list[bool] = []
    producer = threading.Thread(target=lambda: accepted.append(box.put(frame(1))))
    producer.start()
    box.close()
    producer.join(20)
    assert accepted == [False]
    assert indices(box.take(LONG_NS)) == [0]
    assert box.ended


def test_closing_wakes_the_consumer_at_once() -> None:
    box = inbox()
    taken: list[list[Item]] = []
    consumer = threading.Thread(target=lambda: taken.append(box.take(LONG_NS)))
    consumer.start()
    box.close()
    consumer.join(10)
    assert taken == [[]]


def test_the_end_of_one_of_two_sources_is_not_the_end() -> None:
    box = inbox(producers=2)
    box.put(block(0))
    box.end("mic")
    box.end("mic")
    assert not box.ended
    box.end("camera")
    assert not box.ended, "what is queued must still be taken"
    box.take(0)
    assert box.ended


def test_a_failure_is_raised_after_what_was_queued_before_it() -> None:
    box = inbox()
    box.put(frame(0))
    box.fail(CameraLost("camera 0: no frame for 212 ms"))
    box.fail(CameraLost("a later one"))
    box.end("camera")
    assert indices(box.take(LONG_NS)) == [0]
    assert not box.ended, "a failed run must not look finished"
    with pytest.raises(CameraLost, match="212 ms"):
        box.take(LONG_NS)


def test_a_failure_wakes_the_consumer_at_once() -> None:
    box = inbox()
    raised: list[BaseException] = []

    def consume() -> None:
        try:
            box.take(LONG_NS)
        except CameraLost as error:
            raised.append(error)

    consumer = threading.Thread(target=consume)
    consumer.start()
    box.fail(CameraLost("gone"))
    consumer.join(10)
    assert len(raised) == 1


def test_a_strategy_may_be_given_by_name_and_a_wrong_name_is_refused() -> None:
    assert Inbox("wait", frame_capacity=1, block_capacity_s=1).strategy is Strategy.WAIT
    with pytest.raises(ValueError, match="newest"):
        Inbox("newest", frame_capacity=1, block_capacity_s=1)
    with pytest.raises(ValueError, match="frame_capacity=0"):
        inbox(frames=0)
