"""The scores of a network on every task of a protocol, those still to come as well.

Class outputs       class_miou_dataset, class_miou_avss: a task without outputs yet has no score (evaluation.py)
                    sounding_miou: any class marked against any that sounds, so every task has a score, and forward transfer
                    is defined. It says nothing about which class, so it is no measure of forgetting alone.
One output or one   binary_miou and max_f of the probability that a pixel sounds, as the S4 and MS3 scripts have them
a task              (cavs.adapt.metrics). Where the task is told, its own output is read, and the others are left out of
                    the softmax; before a task is learned, the newest output stands in for it (our reading).

Truth has the size of the logits, a quarter of the frame or, for the lean head, an eighth.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cavs.adapt.bench.evaluation import LabelScores, task_scores
from cavs.adapt.bench.protocols import ClassProtocol, ListedClip
from cavs.adapt.bench.protocols import Scored as Split
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.methods.method import Rows, Segmenter
from cavs.adapt.metrics import binary_iou, f_curves, max_f

Score = tuple[list[float], float]
"""Of every task, NaN where there is none; and over all that was learned."""
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CLASS_MEASURES = ("class_miou_dataset", "class_miou_avss", "sounding_miou")
BINARY_MEASURES = ("binary_miou", "max_f")


@dataclass(frozen=True, slots=True, eq=False)
class TaskScores:
    """scores: by measure. confusion: pixels by true and predicted label, for class outputs; empty otherwise."""

    scores: dict[str, Score]
    confusion: list[list[int]] = field(default_factory=list)


def measures_of(protocol: ClassProtocol) -> tuple[str, ...]:
    """What the runs of a protocol are measured by."""
    return CLASS_MEASURES if protocol.outputs == "classes" else BINARY_MEASURES


def score(segmenter: Segmenter, data: TaskData, split: Split = "test") -> TaskScores:
    """Scores on the clips of a split, with the task of `data` as the last that was learned."""
    segmenter.eval()
    frames = _Frames(data, split)
    return _score_classes(segmenter, frames) if data.protocol.outputs == "classes" else _score_binary(segmenter, frames)


class _Frames:
    """Batches of scored frames, with what sounds in each at all and the tasks whose classes are said to sound in its clip."""

    def __init__(self, data: TaskData, split: Split) -> None:
        self.protocol, self.task = data.protocol, data.task
        self._data, self._split = data, split
        self._tasks = {clip.key: tasks_of(data.protocol, clip) for clip in data.store.clips}

    def __iter__(self) -> Iterator[tuple[Rows, Bools, list[tuple[int, ...]]]]:
        for rows in self._data.scored(self._split):
            store, places = self._data.store, zip(rows.clips, rows.frames, strict=True)
            masks = [store.features(key).masks_at(frame, store.label_stride) for key, frame in places]
            yield rows, torch.stack(masks).numpy() > 0, [self._tasks[key] for key in rows.clips]


def tasks_of(protocol: ClassProtocol, clip: ListedClip) -> tuple[int, ...]:
    """The tasks whose classes are said to sound in a clip."""
    return tuple(number for number, task in enumerate(protocol.tasks) if set(task.classes) & set(clip.sounding))


@torch.no_grad()
def _score_classes(segmenter: Segmenter, frames: _Frames) -> TaskScores:
    count = len(frames.protocol.tasks)
    labels, overlaps = LabelScores(segmenter.classifier.classes), _ByTask(count)
    for rows, sounding, tasks in frames:
        predicted = segmenter(rows.inputs).logits.argmax(1).cpu().numpy()
        for marked, truth in zip(predicted, rows.labels.cpu().numpy(), strict=True):
            labels.add(marked, truth)
        overlaps.add(tasks, binary_iou(predicted > 0, sounding)[:, None])
    scores = {name: task_scores(values, segmenter.classifier.sizes, count) for name, values in labels.by_class().items()}
    return TaskScores({**scores, "sounding_miou": overlaps.scores(frames.task, _mean)}, labels.confusion.tolist())


@torch.no_grad()
def _score_binary(segmenter: Segmenter, frames: _Frames) -> TaskScores:
    count = len(frames.protocol.tasks)
    overlaps, curves = _ByTask(count), _ByTask(count)
    for rows, sounding, tasks in frames:
        logits = segmenter(rows.inputs).logits
        outputs = [max(of_frame, default=0) if frames.protocol.task_known else 0 for of_frame in tasks]
        probability = sounding_probability(logits, outputs).cpu().numpy()
        overlaps.add(tasks, binary_iou(probability > 0.5, sounding)[:, None])
        heard = np.asarray(sounding.any((1, 2)))
        curves.add(
            [one for one, some in zip(tasks, heard.tolist(), strict=True) if some], f_curves(_bytes(probability), sounding)
        )
    return TaskScores({"binary_miou": overlaps.scores(frames.task, _mean), "max_f": curves.scores(frames.task, max_f)})


def sounding_probability(logits: Tensor, outputs: Sequence[int]) -> Tensor:
    """Probability (B, h, w) that a pixel sounds, each frame by one of the outputs (B, 1 + outputs, h, w), the newest where the
    network lacks it."""
    known = logits.shape[1] - 1
    chosen = torch.tensor([1 + min(output, known - 1) for output in outputs], device=logits.device)
    sounding = logits.gather(1, chosen[:, None, None, None].expand(-1, 1, *logits.shape[2:]))[:, 0]
    return (sounding - logits[:, 0]).sigmoid()  # a softmax of two


class _ByTask:
    """Values of frames (B, n), kept apart by task."""

    def __init__(self, tasks: int) -> None:
        self._found: list[list[Floats]] = [[] for _ in range(tasks)]

    def add(self, tasks: Sequence[tuple[int, ...]], of_frames: Floats) -> None:
        for of_frame, values in zip(tasks, of_frames, strict=True):
            for task in of_frame:
                self._found[task].append(values)

    def scores(self, learned: int, summed: Callable[[Floats], float]) -> Score:
        """learned: the last task that was."""
        row = [summed(np.stack(found)) if found else float("nan") for found in self._found]
        seen = [values for found in self._found[: learned + 1] for values in found]
        return row, summed(np.stack(seen)) if seen else float("nan")


def _bytes(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.floor(255 * probability).astype(np.uint8)


def _mean(values: Floats) -> float:
    return float(values.mean())
