"""Events that other threads want published: the control socket and the learner's supervisor say, the live loop takes."""

from collections import deque

from cavs.stream.items import SourceEvent

WAITING_MAX = 64
"""More than a live loop leaves behind in a second; who says more is told so."""
TAKEN_PER_ROUND = 8
"""So that a flood of events cannot hold up the masks."""


class Said:
    """Bounded. Any thread says, one takes."""

    def __init__(self) -> None:
        self._waiting: deque[SourceEvent] = deque()
        self.refused = 0

    def say(self, event: SourceEvent) -> bool:
        """False, and counted, if too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            self.refused += 1
            return False
        self._waiting.append(event)
        return True

    def take(self) -> list[SourceEvent]:
        """The oldest few."""
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), TAKEN_PER_ROUND))]
