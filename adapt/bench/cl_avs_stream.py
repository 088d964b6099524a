"""TF-CL: a stream without boundaries, learned in a single pass (ATLAS, arXiv 2603.08967; its construction is our reading).

The run is kept and scored after every `evaluate_every` batches. A method hears of no task but the one that begins with the
stream, and a batch is gone when it was learned: the data layer then refuses its clips. In the results, row t of R is the t-th
evaluation and there is one column with numbers, the whole test set: forgetting is the best score ever less the last.
"""

from collections.abc import Iterator

import numpy as np
import torch

from cavs.adapt.bench.cl_avs import TaskFree
from cavs.adapt.bench.clip_store import StoredClip
from cavs.adapt.bench.results import ResultsMatrix
from cavs.adapt.bench.runner import BenchRun
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.methods.layered import substate
from cavs.adapt.methods.method import Rows, State, Step, Task, TaskContext
from cavs.adapt.methods.training import learn_step
from cavs.runtime.errors import TrainingStopped

BOUNDARY_FREE = ("fine-tuning", "lra-stream")
"""Methods that need no task to begin or to end."""


class StreamRun(BenchRun):
    """Of the plan: batch is in clips, the first of the epochs is the passes over each batch, and the rate does not fall."""

    _optimiser: torch.optim.Optimizer | None = None
    _remembered: State | None = None

    @property
    def stream(self) -> TaskFree:
        return TaskFree(self.plan.protocol, self.plan.seed, self.plan.batch, self.plan.epochs[0], self.plan.evaluate_every)

    @property
    def batches(self) -> list[list[StoredClip]]:
        return list(self.stream.batches(self.store.clips))

    @property
    def parts(self) -> int:
        return -(-len(self.batches) // self.plan.evaluate_every)

    def _task(self, number: int) -> None:
        data = TaskData(self.store, self.protocol, 0, self.method)
        if not number:
            self.untrained = self._score_untrained(data)
        torch.manual_seed(1000 * self.plan.seed + number)
        rng = np.random.default_rng([self.plan.seed, number])
        task = Task(0, self.segmenter.classifier.classes, 0 if number else self.protocol.new_labels(0))
        if not number:
            self.method.begin_task(TaskContext(task, self.segmenter, None, _nothing, rng))
        every = self.plan.evaluate_every
        batches = self.batches[number * every : (number + 1) * every]
        for done, clips in enumerate(batches, 1):
            self._learn(data, clips, Task(0, 0, self.segmenter.classifier.classes))
            self.told(number, done / len(batches))
        self._score(data)

    def _learn(self, data: TaskData, clips: list[StoredClip], task: Task) -> None:
        keys = [clip.key for clip in clips]
        self.store.allow(keys)
        self.segmenter.train()
        optimiser = self._ready_optimiser()
        for _ in range(self.plan.epochs[0]):
            terms = learn_step(
                self.method, Step(data.of_clips(keys), task, self.segmenter, None), optimiser, self.plan.clip_norm
            )
            if not all(torch.isfinite(term) for term in terms.values()):
                raise TrainingStopped(f"{self.out}: a loss that is no number; lower the rate or the weights")
        self.store.allow(())

    def _ready_optimiser(self) -> torch.optim.Optimizer:
        """One for the whole stream: its moments go on over evaluations and kills."""
        if self._optimiser is None:
            learning = [p for p in self.segmenter.parameters() if p.requires_grad]
            self._optimiser = torch.optim.AdamW(learning, lr=self.plan.rates[0], weight_decay=self.plan.weight_decay)
            if self._remembered is not None:
                self._optimiser.load_state_dict(dict(self._remembered))
        return self._optimiser

    def _state(self) -> State:
        return {"method": self.method.state(), "optimiser": self._ready_optimiser().state_dict()}

    def _load_state(self, state: State) -> None:
        self.method.load(substate(state, "method"))
        self._remembered = substate(state, "optimiser")

    def _matrix(self, measure: str) -> ResultsMatrix:
        over_all = np.array([row[measure][1] for row in self.rows])
        count = len(over_all)
        scores, untrained = np.full((count, count), np.nan), np.full(count, np.nan)
        scores[:, 0], untrained[0] = over_all, self.untrained[measure][1]
        return ResultsMatrix(scores, over_all, untrained)


def _nothing() -> Iterator[Rows]:
    return iter(())
