"""Plays a file through MediaSource and keeps everything it gave."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.stream.counters import Counters
from cavs.stream.inbox import Item
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame
from cavs.stream.media import MediaSource, Rate
from cavs.stream.source import EndOfSource

RATE_HZ = 16_000
OPENED_NS = 1_000_000 * NS_PER_S


@dataclass
class Played:
    """Everything a source gave, and when."""

    frames: list[VideoFrame] = field(default_factory=list)
    blocks: list[AudioBlock] = field(default_factory=list)
    events: list[SourceEvent] = field(default_factory=list)
    given_ns: list[tuple[int, VideoFrame | AudioBlock]] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    def sound(self) -> npt.NDArray[np.float32]:
        """The sound by number, zeros where none was given."""
        line = np.zeros(self.blocks[-1].end, np.float32)
        for block in self.blocks:
            line[block.first : block.end] = block.samples
        return line

    def jumps(self) -> list[int]:
        return [after.first - before.end for before, after in itertools.pairwise(self.blocks) if after.first != before.end]


def play(path: Path | str, rate: Rate = "fast", loops: int | None = 1, clock: ManualClock | None = None) -> Played:
    clock = clock or ManualClock(OPENED_NS)
    source = MediaSource(str(path), rate_hz=RATE_HZ, clock=clock, rate=rate, loops=loops)
    played = Played(counters=source.counters)
    source.open()
    try:
        while True:
            for item in source.step():
                if isinstance(item, SourceEvent):
                    played.events.append(item)
                    continue
                played.given_ns.append((clock.now_ns(), item))
                (played.frames if isinstance(item, VideoFrame) else played.blocks).append(item)  # type: ignore[arg-type]
    except EndOfSource:
        return played
    finally:
        source.close()


def rest_of(source: MediaSource) -> Iterator[Item]:
    try:
        while True:
            yield from source.step()
    except EndOfSource:
        return
