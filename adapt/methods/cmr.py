"""CMR, collision-based multi-modal rehearsal (arXiv 2510.17234): MSS chooses the memory, CSR how often it is rehearsed.

Neither adds a loss: they stand on another method, PLOP in the paper, or LRA. Where its released code is at odds with the paper
or itself, we do what is meant, and `reference_compat` does what the code does, so that the difference can be measured.
"""

from dataclasses import dataclass, replace
from typing import Literal

from cavs.adapt.methods.csr import Frequency, Gather, Pairs, collided_clips, frequency, gather_over_ranks, repeated, weighted
from cavs.adapt.methods.layered import Layered, substate
from cavs.adapt.methods.memory import Exemplars, clips_by_class
from cavs.adapt.methods.method import Method, Reads, State, TaskContext
from cavs.adapt.methods.mss import Criterion, choose, score_clips
from cavs.adapt.methods.plop import Plop, PlopOptions
from cavs.adapt.methods.training import frozen_copy


@dataclass(frozen=True, slots=True)
class CmrOptions:
    """per_class:  exemplars of each class. criterion: of MSS.
    uni_modal:  what MSS compares with: a network `trained` without sound, or the same network `muted`.
    share:      of a clip's collisions that its pair must exceed. extra: alpha in m_c + alpha N_c.
    sampler:    `repeats`, drawn once for a task as in the paper, or `weighted`, drawn for every epoch.
    balance:    of the weighted sampler, clips drawn for each current one; None draws as many as there would be repeats.
    by_pixels:  N_c shared out by collided pixels instead of clips. most: repeats of a clip.
    recount_every: epochs after which collisions are counted again, with the network as it is then (our reading: the old one
                would find the same again); None counts once.
    reference_compat: as the released code. MSS sums IoU over all outputs and frames, collisions are those of one process, and
                PLOP below overwrites the labels of memory clips and has neither schedule nor adaptive factor.
    """

    per_class: int = 5
    criterion: Criterion = "abs_min"
    uni_modal: Literal["trained", "muted"] = "trained"
    share: float = 0.7
    extra: float = 1.0
    sampler: Literal["repeats", "weighted"] = "repeats"
    balance: float | None = None
    by_pixels: bool = False
    most: int | None = None
    recount_every: int | None = None
    reference_compat: bool = False


class Cmr(Layered):
    """Rehearsal on top of `below`; PLOP when none is given."""

    def __init__(self, options: CmrOptions | None = None, below: Method | None = None, gather: Gather = gather_over_ranks):
        self.options = options or CmrOptions()
        plop = PlopOptions()
        super().__init__(below or Plop(plop.reference() if self.options.reference_compat else plop))
        self.reads: Reads = "memory"
        self.memory = Exemplars()
        self.frequency: Frequency = {}
        self.pairs: Pairs = []
        self.gather = gather
        self._context: TaskContext | None = None
        self._expanded: list[str] = []

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        self._context = context
        self.frequency = self._count(context)
        self._expanded = repeated(self.memory, self._extra(), context.rng, self.options.most)

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        context, every = self._context, self.options.recount_every
        if context is None:
            raise ValueError("rehearsal before begin_task")
        if every and epoch and epoch % every == 0 and context.old is not None:
            self.frequency = self._count(replace(context, old=frozen_copy(context.segmenter)))
            self._expanded = repeated(self.memory, self._extra(), context.rng, self.options.most)
        if self.options.sampler == "weighted":
            balance = self.options.balance
            return weighted(self.memory, self._extra(), context.rng, None if balance is None else round(balance * clips))
        return list(self._expanded)

    def _count(self, context: TaskContext) -> Frequency:
        if context.old is None:
            return {}
        pairs = collided_clips(context.steps(), self.options.share)
        if not self.options.reference_compat:
            pairs = self.gather(pairs)
        self.pairs = pairs
        return frequency(pairs, self.options.by_pixels)

    def _extra(self) -> Frequency:
        return {cls: self.options.extra * count for cls, count in self.frequency.items()}

    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        uni_modal = None
        if self.options.uni_modal == "trained" and self.options.criterion != "random":
            if context.train_uni_modal is None:
                raise ValueError("MSS with a trained uni-modal network: the trainer offers none; choose uni_modal muted")
            uni_modal = context.train_uni_modal()
        scores = {} if self.options.criterion == "random" else score_clips(context, uni_modal, self.options.reference_compat)
        for cls, clips in clips_by_class(context).items():
            self.memory.add(cls, choose(clips, scores, self.options.per_class, self.options.criterion, context.rng))
        self._context = None

    def collisions(self) -> list[tuple[int, int, int]]:
        """Of the last count."""
        return [(old, new, pixels) for (old, new), pixels in self.pairs]

    def memory_clips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.memory.clips(), *super().memory_clips())))

    def state(self) -> State:
        return {**super().state(), "memory": self.memory.state()}

    def load(self, state: State) -> None:
        super().load(state)
        self.memory.load(substate(state, "memory"))
