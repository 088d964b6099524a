"""One run: a method through the tasks of a protocol, kept after every task so that a killed run goes on where it was.

    plan.json         what the run was told
    tasks/<t>/        segmenter.safetensors, method.pt, progress.json; appears whole, by a rename
    run.json          the results; written last

Weights are safetensors, the method's state is read with `weights_only`: nothing is unpickled.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cavs.adapt.bench.clip_store import ClipStore
from cavs.adapt.bench.evaluation import MEASURES, evaluate, task_scores
from cavs.adapt.bench.learning import Recipe, learn, start_together
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.protocols import ClassProtocol, Scored, check_clips
from cavs.adapt.bench.report import RUN_FILE, RunRecord
from cavs.adapt.bench.results import ResultsMatrix
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.methods.catalogue import make_method
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Rows, Segmenter, Task, TaskContext
from cavs.adapt.methods.training import frozen_copy
from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.errors import TrainingStopped

SHARED = {"protocol", "common", "batch", "weight_decay", "clip_norm", "head", "conditioning", "data", "network"}
"""What the shared start depends on, with the first rate and the seed."""


class RunPlan(BaseModel):
    """What a run was told. epochs: of the first task and of each later one; rates likewise.

    common:     epochs that all methods of a seed share, before the first task (`learning.start_together`); 0 for a network
                that is trained already.
    head:       what learns behind the encoders: the network's own, or `lean_segmenter`.
    conditioning: False for the network without ATLAS's pre-fusion conditioning.
    scored:     split that scores are taken on; `val` while anything is still being chosen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    method: str
    options: dict[str, JsonValue] = {}
    seed: int = 0
    common: int = Field(0, ge=0)
    epochs: tuple[int, int] = (10, 5)
    batch: int = Field(16, ge=1)
    rates: tuple[float, float] = (1e-3, 1e-3)
    weight_decay: float = Field(1e-2, ge=0)
    clip_norm: float = Field(5.0, gt=0)
    scored: Scored = "test"
    head: Literal["network", "lean"] = "network"
    conditioning: bool = True
    data: tuple[str, ...] = ()
    network: str = ""

    def recipe(self, task: int) -> Recipe:
        later = min(task, 1)
        return Recipe(self.epochs[later], self.batch, self.rates[later], self.weight_decay, self.clip_norm)

    def common_file(self) -> str:
        """A name of the shared start that changes with whatever it depends on."""
        matters = self.model_dump_json(include=SHARED)
        return f"{hashlib.sha256(f'{matters} {self.rates[0]}'.encode()).hexdigest()[:16]}-{self.seed}.safetensors"


class BenchRun:
    """Runs a plan in a folder. `after_task` hears the number of each finished task.

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
        self.rows: list[dict[str, tuple[list[float], float]]] = []
        self.confusions: list[list[list[int]]] = []
        self.seconds = 0.0

    def run(self) -> RunRecord:
        """Goes through the tasks that are not done yet. TrainingStopped if the folder is in use or holds another run."""
        (self.out / "tasks").mkdir(parents=True, exist_ok=True)
        with _alone(self.out):
            _pin(self.out / "plan.json", self.plan)
            done = self._resume()
            for number in range(done, len(self.protocol.tasks)):
                self._task(number)
                self.after_task(number)
            record = self._record()
            _write(self.out / RUN_FILE, record.model_dump_json(indent=1))
        return record

    def _task(self, number: int) -> None:
        started_ns = self.clock.now_ns()
        torch.manual_seed(1000 * self.plan.seed + number)
        data = TaskData(self.store, self.protocol, number, self.method)
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
        start = frozen_copy(self.segmenter)
        context = replace(context, train_uni_modal=lambda: self._uni_modal(start, context, data))
        self.method.begin_task(context)
        self.segmenter.train()
        learn(self.method, context, data, recipe, shuffle=self._shuffle(number))
        self.method.end_task(context)
        said = evaluate(self.segmenter, data.scored(self.plan.scored))
        self.confusions.append(said.confusion.tolist())
        scores = said.by_class()
        sizes = self.segmenter.classifier.sizes
        self.rows.append({name: task_scores(scores[name], sizes, len(self.protocol.tasks)) for name in MEASURES})
        self.seconds += (self.clock.now_ns() - started_ns) / NS_PER_S
        self._keep(number)

    def _shuffle(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.plan.seed, number, 1])

    def _uni_modal(self, start: NetworkSegmenter, context: TaskContext, data: TaskData) -> Segmenter:
        """Learns the task with its ears shut, from the network as it was before the task."""
        for part in (start.neck, start.listener, start.decoder, start.classifier):
            part.requires_grad_(True)

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
        partial, target = self.out / "tasks" / f".{number}", self.out / "tasks" / str(number)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            save_file({n: t.contiguous() for n, t in self.segmenter.state_dict().items()}, partial / "segmenter.safetensors")
            torch.save(self.method.state(), partial / "method.pt")
            progress = {
                "rows": self.rows,
                "confusions": self.confusions,
                "seconds": self.seconds,
                "sizes": self.segmenter.classifier.sizes,
            }
            _write(partial / "progress.json", json.dumps(progress))
            partial.rename(target)
        except (OSError, SafetensorError) as error:
            raise TrainingStopped(f"{target}: not written ({error}); the tasks before it are kept, run again") from error

    def _resume(self) -> int:
        """Takes up the newest task that is whole; gives how many are done."""
        done = sorted(int(folder.name) for folder in (self.out / "tasks").iterdir() if folder.name.isdigit())
        if not done:
            return 0
        folder = self.out / "tasks" / str(done[-1])
        progress = json.loads((folder / "progress.json").read_text())
        for size in progress["sizes"]:
            self.segmenter.classifier.grow(size)
        self.segmenter.load_state_dict(load_file(folder / "segmenter.safetensors"))
        self.method.load(torch.load(folder / "method.pt", weights_only=True))
        self.rows = [{name: (row[name][0], row[name][1]) for name in MEASURES} for row in progress["rows"]]
        self.confusions, self.seconds = progress["confusions"], progress["seconds"]
        return done[-1] + 1

    def _record(self) -> RunRecord:
        plan = self.plan.model_dump(
            mode="json", include={"common", "epochs", "batch", "rates", "scored", "head", "conditioning"}
        )
        unknown = np.full(len(self.protocol.tasks), np.nan)  # a network without outputs for a class has no score on it
        measures = {}
        for name in MEASURES:
            scores, seen = np.array([row[name][0] for row in self.rows]), np.array([row[name][1] for row in self.rows])
            measures[name] = ResultsMatrix(scores, seen, unknown).to_json()
        return RunRecord.model_validate(
            {
                "protocol": self.protocol.name,
                "method": self.plan.method,
                "options": self.plan.options,
                "seed": self.plan.seed,
                "recipe": plan,
                "tasks": [task.classes for task in self.protocol.tasks],
                "measures": measures,
                "confusions": self.confusions,
                "memory_clips": len(self.method.memory_clips()),
                "seconds": self.seconds,
            }
        )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingStopped(f"{out}: another run is at work there; wait for it or give another --out") from None
        yield


def _pin(file: Path, plan: RunPlan) -> None:
    wanted = json.loads(plan.model_dump_json())
    if not file.exists():
        _write(file, json.dumps(wanted, indent=1))
        return
    there = json.loads(file.read_text())
    differing = sorted(key for key in wanted if there.get(key) != wanted[key])
    if differing:
        raise TrainingStopped(f"{file.parent}: holds a run that differs in {', '.join(differing)}; give another --out")


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.part")
    partial.write_text(text + "\n")
    partial.rename(file)
