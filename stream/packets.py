"""Compressed packets that wait to be decoded: the sound a little ahead of the picture, whatever the file's own order."""

from collections import deque
from typing import Any, NamedTuple

import av

from cavs.runtime.clock import NS_PER_S

LEAD_NS = NS_PER_S // 2
"""How far the sound is decoded ahead of the picture: more than any bundle looks ahead."""
HOLD_NS = 10 * NS_PER_S
HOLD_BYTES = 32 << 20
"""How much picture waits for sound that may not come (a track that starts late or ends early) before it goes on without."""


class Waiting(NamedTuple):
    """A packet and the container's time at which it is to be decoded."""

    media_ns: int
    packet: "av.Packet[Any]"
    picture: bool


class PacketOrder:
    """Decides which packet is decoded next. Holds packets, not pictures: some megabytes at most, however long the file."""

    def __init__(self, sound: bool, lead_ns: int = LEAD_NS) -> None:
        """sound: there is a sound track to wait for. lead_ns 0: in order of arrival, for what is live."""
        self._sound_track = sound
        self._lead_ns = lead_ns
        self._pictures: deque[Waiting] = deque()
        self._sounds: deque[Waiting] = deque()
        self._bytes = 0
        self.at_end = False
        """No packet will be added any more: nothing is waited for."""

    def add(self, waiting: Waiting) -> None:
        (self._pictures if waiting.picture else self._sounds).append(waiting)
        self._bytes += waiting.packet.size

    def take(self, sound_end_ns: int | None) -> Waiting | None:
        """The next packet to decode; None: more must be read first (at the end: there is none left).

        sound_end_ns: up to where the sound has been decoded; None: no sound yet.
        """
        if self._sounds and (not self._pictures or self._lead_ns == 0):
            if self._lead_ns == 0 or self.at_end or self._full():
                return self._taken(self._sounds)
            return None
        if not self._pictures:
            return None
        needed_ns = self._pictures[0].media_ns + self._lead_ns
        covered = sound_end_ns is not None and sound_end_ns >= needed_ns
        if self._sounds and not covered:
            return self._taken(self._sounds)
        if covered or not self._sound_track or self._lead_ns == 0 or self.at_end or self._full():
            return self._taken(self._pictures)
        return None

    def _full(self) -> bool:
        if self._bytes >= HOLD_BYTES:
            return True
        return any(len(held) > 1 and held[-1].media_ns - held[0].media_ns >= HOLD_NS for held in (self._pictures, self._sounds))

    def _taken(self, held: deque[Waiting]) -> Waiting:
        waiting = held.popleft()
        self._bytes -= waiting.packet.size
        return waiting
