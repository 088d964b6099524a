"""Where captured items wait for the main loop: bounded, in order of arrival, and what is dropped is counted."""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from cavs.runtime.clock import NS_PER_S
from cavs.stream.counters import Counters
from cavs.stream.drift import samples_to_ns
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame

Item = VideoFrame | AudioBlock | SourceEvent
Queued = TypeVar("Queued", VideoFrame, AudioBlock, SourceEvent)

EVENT_CAPACITY = 256
"""Events are rare and small; more than this means that nobody takes them."""


class Strategy(str, Enum):
    """What `put` does when there is no room."""

    WAIT = "wait"
    """Block the producer: files, where every frame counts."""
    DROP_OLDEST = "drop_oldest"
    """Drop the oldest of that kind and count it: live, where the newest counts."""


class _Lane(Generic[Queued]):
    """The waiting items of one kind, each with its place in the order of arrival. Its size is in units of its own."""

    def __init__(self, capacity: int, size_of: Callable[[Queued], int], dropped: str) -> None:
        self.capacity = capacity
        self.dropped = dropped
        self._size_of: Callable[[Queued], int] = size_of
        self._items: deque[tuple[int, Queued]] = deque()
        self._filled = 0

    def has_room_for(self, item: Queued) -> bool:
        """An item larger than the whole lane is let in when the lane is empty, or it could never pass."""
        return not self._items or self._filled + self._size_of(item) <= self.capacity

    def append(self, place: int, item: Queued) -> None:
        self._items.append((place, item))
        self._filled += self._size_of(item)

    def drop_oldest(self) -> None:
        _, item = self._items.popleft()
        self._filled -= self._size_of(item)

    def drain(self) -> list[tuple[int, Queued]]:
        taken = list(self._items)
        self._items.clear()
        self._filled = 0
        return taken

    def __len__(self) -> int:
        return len(self._items)


class Inbox:
    """Any number of producers put, one consumer takes. Nothing is lost without being counted.

    producers: how many sources will call `end`; the inbox has ended when all have and everything was taken.
    frame_capacity, block_capacity_s: room for frames, and for seconds of sound.
    """

    def __init__(
        self,
        strategy: Strategy | str,
        *,
        frame_capacity: int,
        block_capacity_s: float,
        counters: Counters | None = None,
        producers: int = 1,
    ) -> None:
        if frame_capacity < 1 or block_capacity_s <= 0 or producers < 1:
            raise ValueError(
                f"frame_capacity={frame_capacity}, block_capacity_s={block_capacity_s}, producers={producers}: "
                "all must be positive"
            )
        self.strategy = Strategy(strategy)
        self.counters = counters if counters is not None else Counters()
        self._frames: _Lane[VideoFrame] = _Lane(frame_capacity, lambda _: 1, "frames_dropped_inbox")
        self._blocks: _Lane[AudioBlock] = _Lane(
            round(block_capacity_s * NS_PER_S),
            lambda block: samples_to_ns(len(block.samples), block.rate_hz),
            "blocks_dropped_inbox",
        )
        self._events: _Lane[SourceEvent] = _Lane(EVENT_CAPACITY, lambda _: 1, "events_dropped_inbox")
        self.counters.declare(self._frames.dropped, self._blocks.dropped, self._events.dropped)
        self._producers = producers
        self._ended_names: set[str] = set()
        self._error: BaseException | None = None
        self._closed = False
        self._place = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._made_room = threading.Condition(self._lock)

    def put(self, item: Item) -> bool:
        """Queues an item; False once the inbox is closed, which tells the producer to stop. Any thread."""
        with self._lock:
            if isinstance(item, VideoFrame):
                return self._queue(self._frames, item)
            if isinstance(item, AudioBlock):
                return self._queue(self._blocks, item)
            return self._queue(self._events, item)

    def take(self, timeout_ns: int) -> list[Item]:
        """Everything that waits, oldest first; empty if nothing came within the time, or at the end.

        Raises the error of `fail`, once what was queued before it has been taken.
        """
        with self._lock:
            self._arrived.wait_for(lambda: self._waiting() or self._over(), max(timeout_ns, 0) / NS_PER_S)
            queued: list[tuple[int, Item]] = [*self._frames.drain(), *self._blocks.drain(), *self._events.drain()]
            if not queued and self._error is not None:
                raise self._error
            self._made_room.notify_all()
        queued.sort(key=lambda placed: placed[0])
        return [item for _, item in queued]

    def fail(self, error: BaseException) -> None:
        """A producer died: `take` will raise this error in the main loop. The first error is the one that is kept."""
        with self._lock:
            if self._error is None:
                self._error = error
            self._arrived.notify_all()

    def end(self, name: str) -> None:
        """The producer of this name has nothing more to give."""
        with self._lock:
            self._ended_names.add(name)
            self._arrived.notify_all()

    @property
    def ended(self) -> bool:
        """True when all producers have ended, or it was closed, and everything was taken. A failure is not an end."""
        with self._lock:
            finished = self._closed or len(self._ended_names) >= self._producers
            return finished and not self._waiting() and self._error is None

    def close(self) -> None:
        """Wakes everyone; no item gets in any more. What is queued can still be taken."""
        with self._lock:
            self._closed = True
            self._arrived.notify_all()
            self._made_room.notify_all()

    def __len__(self) -> int:
        with self._lock:
            return self._waiting()

    def _queue(self, lane: "_Lane[Queued]", item: Queued) -> bool:
        if self.strategy is Strategy.WAIT:
            self._made_room.wait_for(lambda: self._closed or lane.has_room_for(item))
        if self._closed:
            return False
        while not lane.has_room_for(item):
            lane.drop_oldest()
            self.counters.count(lane.dropped)
        lane.append(self._place, item)
        self._place += 1
        self._arrived.notify()
        return True

    def _waiting(self) -> int:
        return len(self._frames) + len(self._blocks) + len(self._events)

    def _over(self) -> bool:
        return self._closed or self._error is not None or len(self._ended_names) >= self._producers
