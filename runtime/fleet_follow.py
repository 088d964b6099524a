"""Follows a remote again and again: slower while it is away, and without saying anything twice."""

from dataclasses import dataclass
from typing import Literal

from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.errors import CavsError
from cavs.runtime.fleet_pull import Puller, Taken

EVERY_S = 30.0
"""Between two looks: a new model is worth waiting for, a listing costs money in some storages."""
BACK_OFF_MAX_NS = 600 * NS_PER_S
"""Between two tries at the longest, unless a look is due less often anyway."""

SayingKind = Literal["taken", "refused", "away", "back"]


@dataclass(frozen=True, slots=True)
class Saying:
    """Something that happened. `refused` releases and an `away` remote (or a full disk) are said once."""

    kind: SayingKind
    text: str
    taken: Taken | None = None


class Follower:
    """One thread calls `step` and `wait` in turn."""

    def __init__(self, puller: Puller, clock: Clock, every_s: float = EVERY_S) -> None:
        if not every_s > 0:
            raise ValueError(f"every_s must be positive, not {every_s}")
        self._puller = puller
        self._clock = clock
        self._every_ns = int(every_s * NS_PER_S)
        self._failures = 0
        self._failure: type[CavsError] | None = None
        self._failing_since_ns = 0
        self._refused: frozenset[str] = frozenset()

    @property
    def delay_ns(self) -> int:
        """Until the next look: twice as long after each failure in a row."""
        longest = max(self._every_ns, BACK_OFF_MAX_NS)
        return min(self._every_ns << min(self._failures, 30), longest)

    def step(self) -> tuple[Saying, ...]:
        """One look at the remote; what is new to say."""
        try:
            pulled = self._puller.pull()
        except CavsError as error:
            return self._fail(error)
        sayings = list(self._recover())
        sayings += [Saying("refused", text) for text in pulled.refused if text not in self._refused]
        self._refused = frozenset(pulled.refused)
        if pulled.taken is not None:
            sayings.append(Saying("taken", said(pulled.taken), pulled.taken))
        return tuple(sayings)

    def wait(self) -> None:
        """Until it is time for the next look."""
        self._clock.sleep_ns(self.delay_ns)

    def _fail(self, error: CavsError) -> tuple[Saying, ...]:
        """Said at the first failure in a row, and when it becomes one of another kind; a text may differ each time."""
        self._failures += 1
        if self._failures == 1:
            self._failing_since_ns = self._clock.now_ns()
        is_known, self._failure = self._failure is type(error), type(error)
        return () if is_known else (Saying("away", f"{error}; tried again later"),)

    def _recover(self) -> tuple[Saying, ...]:
        if not self._failures:
            return ()
        self._failures, self._failure = 0, None
        away_s = (self._clock.now_ns() - self._failing_since_ns) / NS_PER_S
        return (Saying("back", f"the remote can be followed again after {away_s:.0f} s"),)


def said(taken: Taken) -> str:
    """A release that was taken, as one line."""
    how = "is now" if taken.is_new else "was here already as"
    return f"release {taken.number}, signed by {taken.signer}, {how} version {taken.version}; it is current"
