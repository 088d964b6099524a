"""Decoded items that wait for their time, so that a file is heard and seen as if it happened now."""

from collections import deque

from cavs.runtime.clock import NS_PER_S
from cavs.stream.inbox import Item
from cavs.stream.items import AudioBlock, VideoFrame


class Playout:
    """Gives a frame at its time, and of the sound always what has been heard up to now, even within a block."""

    def __init__(self) -> None:
        self._sounds: deque[AudioBlock] = deque()
        self._others: deque[Item] = deque()
        self.frames = 0
        """Frames that wait."""

    def __bool__(self) -> bool:
        return bool(self._sounds or self._others)

    def add(self, item: Item) -> None:
        """Items of one kind are added in the order of their time."""
        if isinstance(item, AudioBlock):
            self._sounds.append(item)
            return
        self._others.append(item)
        self.frames += isinstance(item, VideoFrame)

    def wait_ns(self, now_ns: int) -> int:
        """How long until the next frame, or without one until the next block has been heard."""
        if self._others:
            return self._others[0].t_ns - now_ns if isinstance(self._others[0], VideoFrame) else 0
        return end_ns(self._sounds[0]) - now_ns if self._sounds else 0

    def take(self, now_ns: int | None) -> list[Item]:
        """What is due, the sound first; None: everything."""
        due: list[Item] = []
        while self._sounds and (now_ns is None or end_ns(self._sounds[0]) <= now_ns):
            due.append(self._sounds.popleft())
        if self._sounds and now_ns is not None:
            heard, rest = split(self._sounds[0], now_ns)
            if heard is not None:
                self._sounds[0] = rest
                due.append(heard)
        while self._others and (now_ns is None or self.wait_ns(now_ns) <= 0):
            item = self._others.popleft()
            self.frames -= isinstance(item, VideoFrame)
            due.append(item)
        return due

    def clear(self) -> None:
        """Forgets what waits."""
        self._sounds.clear()
        self._others.clear()
        self.frames = 0


def end_ns(block: AudioBlock) -> int:
    """When its last sample has been heard."""
    return block.t_ns + len(block.samples) * NS_PER_S // block.rate_hz


def split(block: AudioBlock, t_ns: int) -> tuple[AudioBlock | None, AudioBlock]:
    """The block up to a time and from it on; None if nothing of it lies before."""
    count = min(max((t_ns - block.t_ns) * block.rate_hz // NS_PER_S, 0), len(block.samples))
    if count == 0:
        return None, block
    rest_ns = block.t_ns + count * NS_PER_S // block.rate_hz
    heard = AudioBlock(block.samples[:count], block.first, block.t_ns, block.rate_hz, block.grade)
    return heard, AudioBlock(block.samples[count:], block.first + count, rest_ns, block.rate_hz, block.grade)
