"""Learning a task: every method takes the same steps, whatever it rehearses."""

from pathlib import Path

import numpy as np
import torch

from cavs.adapt.bench.clip_store import ClipStore
from cavs.adapt.bench.learning import Recipe, learn
from cavs.adapt.bench.named_protocols import make_protocol
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.data.avss import read_avss
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Reads, Step, Task, TaskContext
from cavs.adapt.methods.training import frozen_copy
from tests.bench_clips import CLASSES, SIDE
from tests.small_network import small_network

RECIPE = Recipe(epochs=3, batch=2, rate=1e-3, weight_decay=0.0, clip_norm=5.0)


class Rehearsing(FineTuning):
    """Fine-tuning that asks for some clips in every epoch and writes down the batches it gets."""

    reads: Reads = "memory"

    def __init__(self, clips: list[str]) -> None:
        self.clips = clips
        self.seen: list[list[bool]] = []

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        return self.clips

    def memory_clips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.clips))

    def after_step(self, step: Step) -> None:
        self.seen.append(step.rows.rehearsed.tolist())


def second_task(avss: Path, cache: Path, rehearsed: int) -> tuple[int, list[list[bool]]]:
    """The steps of a task of two current frames, and which frames of each batch were rehearsed."""
    torch.manual_seed(0)
    segmenter = NetworkSegmenter(small_network())
    segmenter.classifier.grow(2)
    store = ClipStore([read_avss(avss, size_px=SIDE)], segmenter, cache)
    protocol = make_protocol("cis-2-1", "overlapped", CLASSES[1:])
    old = TaskData(store, protocol, 0, FineTuning()).current
    method = Rehearsing([old[n % len(old)] for n in range(rehearsed)])
    data = TaskData(store, protocol, 1, method)
    assert data.frames(data.current) == 2
    context = TaskContext(Task(1, 2, 1), segmenter, frozen_copy(segmenter), data.in_order, np.random.default_rng(0))
    method.begin_task(context)
    return learn(method, context, data, RECIPE, shuffle=np.random.default_rng(0)), method.seen


def test_rehearsed_frames_share_the_steps_of_current_ones(avss: Path, tmp_path: Path) -> None:
    alone, current = second_task(avss, tmp_path, 0)
    mixed, both = second_task(avss, tmp_path, 8)
    assert alone == mixed == RECIPE.epochs
    assert current == [[False, False]] * RECIPE.epochs
    assert [len(batch) for batch in both] == [2] * RECIPE.epochs
    assert any(map(any, both))
