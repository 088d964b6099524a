"""One run: a method through the tasks of a protocol, kept after every task so that a killed run goes on where it was.

    plan.json         what the run was told
    tasks/<t>/        segmenter.safetensors, method.pt, progress.json; appears whole, by a rename
    run.json          the results; written last

Weights are safetensors, the method's state is read with `weights_only`: nothing is unpickled.
"""

import json
import resource
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cavs.adapt.bench.clip_store import ClipStore
from cavs.adapt.bench.learning import learn, start_together
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.bench.protocols import ClassProtocol, check_clips
from cavs.adapt.bench.report import RUN_FILE, RunRecord
from cavs.adapt.bench.results import ResultsMatrix
from cavs.adapt.bench.run_files import alone, pin, write_whole
from cavs.adapt.bench.scoring import Score, measures_of, score
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.methods.catalogue import make_method
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Rows, Segmenter, State, Task, TaskContext
from cavs.adapt.methods.training import frozen_copy
from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.errors import TrainingStopped

BYTES_PER_MIB = 2**20
KIB_PER_MIB = 2**10
Row = dict[str, Score]
"""The scores after one task, by measure."""


class BenchRun:
    """Runs a plan in a folder. `after_task` hears the number of each finished task, `told` the number of the task under way and
    how much of it is learned, 0 to 1.

    common: folder of the starts that runs share.
    """

    def __init__(
        self,
        plan: RunPlan,
        protocol: ClassProtocol,
        store: ClipStore,
        segmenter: NetworkSegmenter,
        *,
        out: Path,
        clock: Clock,
        common: Path | None = None,
        after_task: Callable[[int], None] = lambda task: None,
    ) -> None:
        self.gaps = check_clips(protocol, store.clips)
        self.plan, self.protocol, self.store, self.segmenter = plan, protocol, store, segmenter
        self.out, self.clock, self.after_task = out, clock, after_task
        self.method = make_method(plan.method, plan.options)
        self.common = out if common is None else common
        self.told: Callable[[int, float], None] = lambda task, share: None
        self.untrained: Row = {}
        self.rows: list[Row] = []
        self.confusions: list[list[list[int]]] = []
        self.collisions: list[list[list[int]]] = []
        self.steps: list[int] = []
        self.seconds, self.peak_mib = 0.0, 0.0

    @property
    def parts(self) -> int:
        """After how many parts the run is scored and kept: its tasks."""
        return len(self.protocol.tasks)

    def run(self) -> RunRecord:
        """Goes through the tasks that are not done yet. TrainingStopped if the folder is in use or holds another run."""
        with alone(self.out):
            pin(self.out, self.plan)
            for number in range(self.resume(), self.parts):
                started_ns = self.clock.now_ns()
                self._task(number)
                self.seconds += (self.clock.now_ns() - started_ns) / NS_PER_S
                self.peak_mib = max(self.peak_mib, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB)
                self._keep(number)
                self.after_task(number)
            record = self._record()
            write_whole(self.out / RUN_FILE, record.model_dump_json(indent=1))
        return record

    def _task(self, number: int) -> None:
        data = TaskData(self.store, self.protocol, number, self.method)
        if not number:
            self.untrained = self._score_untrained(data)
        new, recipe = self.protocol.new_labels(number), self.plan.recipe(number)
        task = Task(number, self.segmenter.classifier.classes, new)
        context = TaskContext(
            task=task,
            segmenter=self.segmenter,
            old=frozen_copy(self.segmenter) if number else None,
            rows=data.in_order,
            rng=np.random.default_rng([self.plan.seed, number]),
        )
        if self.plan.common and not number:
            file = self.common / self.plan.common_file()
            longer = replace(recipe, epochs=self.plan.common)
            start_together(self.segmenter, file, context, data, recipe=longer, seed=self.plan.seed)
        torch.manual_seed(1000 * self.plan.seed + number)  # whether the shared start was learned just now or read
        start = frozen_copy(self.segmenter)
        context = replace(context, train_uni_modal=lambda: self._uni_modal(start, context, data))
        self.method.begin_task(context)
        self.segmenter.train()
        best = self.plan.kept_epoch == "best"
        told = partial(self.told, number)
        steps = learn(self.method, context, data, recipe, shuffle=self._shuffle(number), keep_best=best, told=told)
        self.steps.append(steps)
        self.method.end_task(context)
        self._score(data)

    def _score(self, data: TaskData) -> None:
        found = score(self.segmenter, data, self.plan.scored)
        self.rows.append(found.scores)
        self.confusions.append(found.confusion)
        self.collisions.append([list(one) for one in self.method.collisions()])

    def _score_untrained(self, data: TaskData) -> Row:
        """Of the network with a classifier that knows nothing: what forward transfer is counted from."""
        blank = frozen_copy(self.segmenter)
        torch.manual_seed(self.plan.seed)
        blank.classifier.grow(self.protocol.new_labels(0))
        return score(blank, data, self.plan.scored).scores

    def _shuffle(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.plan.seed, number, 1])

    def _uni_modal(self, start: NetworkSegmenter, context: TaskContext, data: TaskData) -> Segmenter:
        """Learns the task with its ears shut, from the network as it was before the task."""
        start.learn_again()

        def shut(rows: Rows) -> Rows:
            return replace(rows, inputs=start.muted(rows.inputs))

        def all_shut() -> Iterable[Rows]:
            return (shut(rows) for rows in context.rows())

        blind, alone = replace(context, segmenter=start, rows=all_shut), FineTuning()
        alone.begin_task(blind)
        start.train()
        number = context.task.index
        learn(alone, blind, data, self.plan.recipe(number), shuffle=self._shuffle(number), view=shut)
        return start

    def _keep(self, number: int) -> None:
        staged, target = self.out / "tasks" / f".{number}", self.out / "tasks" / str(number)
        shutil.rmtree(staged, ignore_errors=True)
        try:
            staged.mkdir()
            save_file({n: t.contiguous() for n, t in self.segmenter.state_dict().items()}, staged / "segmenter.safetensors")
            torch.save(self._state(), staged / "method.pt")
            progress = {
                "untrained": self.untrained,
                "rows": self.rows,
                "confusions": self.confusions,
                "collisions": self.collisions,
                "steps": self.steps,
                "seconds": self.seconds,
                "peak_mib": self.peak_mib,
                "sizes": self.segmenter.classifier.sizes,
            }
            write_whole(staged / "progress.json", json.dumps(progress))
            staged.rename(target)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch says RuntimeError when the disk is full
            raise TrainingStopped(f"{target}: not written ({error}); the tasks before it are kept, run again") from error

    def _state(self) -> State:
        """What a resumed run needs besides weights and scores."""
        return self.method.state()

    def _load_state(self, state: State) -> None:
        self.method.load(state)

    def resume(self) -> int:
        """Takes up the newest task that is whole; gives how many are done."""
        done = sorted(int(folder.name) for folder in (self.out / "tasks").glob("[0-9]*"))
        if not done:
            return 0
        folder = self.out / "tasks" / str(done[-1])
        progress = json.loads((folder / "progress.json").read_text())
        for size in progress["sizes"]:
            self.segmenter.classifier.grow(size)
        self.segmenter.load_state_dict(load_file(folder / "segmenter.safetensors"))
        self._load_state(torch.load(folder / "method.pt", weights_only=True))
        # A run that an earlier version began lacks what that did not measure yet.
        self.untrained, self.rows = _row(progress.get("untrained", {})), [_row(row) for row in progress["rows"]]
        self.confusions, self.collisions = progress["confusions"], progress.get("collisions", [])
        self.steps = progress.get("steps", [])
        self.seconds, self.peak_mib = progress["seconds"], progress.get("peak_mib", 0.0)
        return done[-1] + 1

    def _matrix(self, measure: str) -> ResultsMatrix:
        scores, seen = zip(*(row[measure] for row in self.rows), strict=True)
        unknown = [float("nan")] * len(scores)
        return ResultsMatrix(np.array(scores), np.array(seen), np.array(self.untrained.get(measure, (unknown, 0.0))[0]))

    def _record(self) -> RunRecord:
        recipe = self.plan.model_dump(mode="json", exclude={"protocol", "method", "options", "seed", "data", "network"})
        measured = [name for name in measures_of(self.protocol) if all(name in row for row in self.rows)]
        memory = self.method.memory_clips()
        state = (self.out / "tasks" / str(self.parts - 1) / "method.pt").stat().st_size
        return RunRecord.model_validate(
            {
                "protocol": self.protocol.name,
                "method": self.plan.method,
                "options": self.plan.options,
                "seed": self.plan.seed,
                "recipe": recipe,
                "steps": self.steps,
                "tasks": [task.classes for task in self.protocol.tasks],
                "measures": {name: self._matrix(name).to_json() for name in measured},
                "confusions": self.confusions,
                "collisions": self.collisions,
                "memory_clips": len(memory),
                "memory_mib": (sum(map(self.store.source_bytes, memory)) + state) / BYTES_PER_MIB,
                "peak_mib": self.peak_mib,
                "seconds": self.seconds,
            }
        )


def _row(values: dict[str, list[Any]]) -> Row:
    return {name: (of_tasks, over_all) for name, (of_tasks, over_all) in values.items()}
