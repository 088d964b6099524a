"""The epochs of one task, whatever the method; and the start that all methods of a seed share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cavs.adapt.bench.best_epoch import BestEpoch
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.methods.classifier import GrowingClassifier
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Method, Rows, Step, TaskContext
from cavs.adapt.methods.training import learn_step
from cavs.runtime.errors import TrainingStopped


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a task is learned. The rate falls as half a cosine from step to step, so that a task ends where it settled.

    An epoch is as many steps as its current frames fill batches, whatever is rehearsed: rehearsed frames take room of current
    ones. So all methods learn a task in the same steps, except joint training, whose current frames are all seen so far.
    """

    epochs: int
    batch: int
    rate: float
    weight_decay: float
    clip_norm: float

    def rate_after(self, share: float) -> float:
        """share: of the task that is learned, 0 to 1."""
        return self.rate * (1 + math.cos(math.pi * share)) / 2


def as_they_are(rows: Rows) -> Rows:
    return rows


def learn(
    method: Method,
    context: TaskContext,
    data: TaskData,
    recipe: Recipe,
    *,
    shuffle: np.random.Generator,
    view: Callable[[Rows], Rows] = as_they_are,
    keep_best: bool = False,
    told: Callable[[float], None] = lambda share: None,
) -> int:
    """Learns a task that the method has begun; gives its steps. TrainingStopped for a loss that is no number.

    view: changes every batch. keep_best: the weights of the epoch that scores best on the task's validation clips, where it has
    any, instead of the last. told: hears how much is learned, 0 to 1.
    """
    best = BestEpoch(context.segmenter, lambda: map(view, data.validation()), context.task.new) if keep_best else None
    parameters = [p for p in context.segmenter.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.weight_decay, fused=True)
    steps, frames = 0, data.frames(data.current)
    for epoch in range(recipe.epochs):
        rehearsed = method.rehearsal(epoch, len(data.current))
        learned = 0
        for rows in data.epoch(rehearsed, recipe.batch, shuffle):
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate_after((epoch + learned / frames) / recipe.epochs)
            step = Step(view(rows), context.task, context.segmenter, context.old)
            terms = learn_step(method, step, optimiser, recipe.clip_norm)
            if not all(torch.isfinite(term) for term in terms.values()):
                said = ", ".join(f"{name} {float(term):.3g}" for name, term in terms.items())
                raise TrainingStopped(f"task {context.task.index}, loss {said}; lower the rate or the weights")
            steps, learned = steps + 1, learned + len(rows.clips)
            told((epoch + learned / frames) / recipe.epochs)
        if best is not None:
            best.look()
    if best is not None:
        best.take()
    return steps


def start_together(
    segmenter: NetworkSegmenter, file: Path, context: TaskContext, data: TaskData, *, recipe: Recipe, seed: int
) -> None:
    """Everything behind the encoders as plain cross-entropy on the first task's clips leaves it, its classifier left out.

    Computed once and kept in `file`, for every method of the seed. Only here do normalisation layers take statistics.
    """
    if not file.exists():
        _learn_start(segmenter, context, data, recipe, seed)
        _write(segmenter, file)
    segmenter.load_state_dict(load_file(file), strict=False)


def _learn_start(segmenter: NetworkSegmenter, context: TaskContext, data: TaskData, recipe: Recipe, seed: int) -> None:
    torch.manual_seed(seed)
    empty = segmenter.classifier
    segmenter.classifier = GrowingClassifier(empty.width)
    alone = FineTuning()
    alone.begin_task(context)
    segmenter.train()
    segmenter.take_statistics(True)
    learn(alone, context, data, recipe, shuffle=np.random.default_rng([seed, 0, 2]))
    segmenter.take_statistics(False)
    segmenter.classifier = empty


def _write(segmenter: NetworkSegmenter, file: Path) -> None:
    fixed = ("visual.", "audio.", "classifier.")
    kept = {name: value.contiguous() for name, value in segmenter.state_dict().items() if not name.startswith(fixed)}
    partial = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(kept, partial)
        partial.rename(file)
    except (OSError, SafetensorError) as error:
        raise TrainingStopped(f"{file}: not written ({error}); run again") from error
