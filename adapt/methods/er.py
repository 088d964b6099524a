"""ER, experience replay (as in mammoth): a reservoir of clips, replayed beside the current ones."""

from dataclasses import dataclass

import numpy as np

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.layered import substate
from cavs.adapt.methods.memory import Reservoir
from cavs.adapt.methods.method import Reads, State, Step, TaskContext


@dataclass(frozen=True, slots=True)
class ErOptions:
    """memory: clips kept in all. share: rehearsed clips per current one; mammoth draws as many as there are new."""

    memory: int = 200
    share: float = 1.0


class Er(FineTuning):
    """Rehearsed clips are labelled whole, and count as any other.

    A clip is offered to the reservoir once, the first time it is learned from; only clips of earlier tasks are replayed, since
    a current clip drawn from the memory would show its old classes' labels before their time (our reading).
    """

    reads: Reads = "memory"

    def __init__(self, options: ErOptions | None = None) -> None:
        self.options = options or ErOptions()
        self.reservoir = Reservoir(self.options.memory)
        self.earlier: tuple[str, ...] = ()
        self._seen: set[str] = set()
        self._rng = np.random.default_rng(0)

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        self._rng = context.rng
        self.earlier = tuple(self.reservoir.kept)
        self._seen = set()

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        if not self.earlier:
            return []
        drawn = self._rng.integers(len(self.earlier), size=round(self.options.share * clips))
        return [self.earlier[int(index)] for index in drawn]

    def after_step(self, step: Step) -> None:
        for clip, rehearsed in zip(step.rows.clips, step.rows.rehearsed.tolist(), strict=True):
            if not rehearsed and clip not in self._seen:
                self._seen.add(clip)
                self.reservoir.place(clip, self._rng)

    def memory_clips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.earlier, *self.reservoir.kept)))

    def end_task(self, context: TaskContext) -> None:
        self.earlier = tuple(self.reservoir.kept)

    def state(self) -> State:
        return {"reservoir": self.reservoir.state()}

    def load(self, state: State) -> None:
        self.reservoir.load(substate(state, "reservoir"))
        self.earlier = tuple(self.reservoir.kept)
