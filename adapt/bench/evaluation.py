"""Class scores of a segmenter on test clips, in both definitions of mIoU, for every task and for all that was learned.

class_miou_dataset  one confusion matrix over all frames; mean over the classes that truth holds
class_miou_avss     IoU per frame and class, mean over the frames where truth or prediction has the class, then over classes

The background is no class in either.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from cavs.adapt.methods.method import IGNORED, Rows, Segmenter

MEASURES = ("class_miou_dataset", "class_miou_avss")
Floats = npt.NDArray[np.float64]


class LabelScores:
    """Counts labels 0 .. `labels`, frame by frame; ignored pixels count for nothing."""

    def __init__(self, labels: int) -> None:
        self.confusion = np.zeros((labels + 1, labels + 1), np.int64)  # rows truth, columns prediction
        self._frame_iou = np.zeros(labels + 1)
        self._frames = np.zeros(labels + 1, np.int64)

    def add(self, predicted: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> None:
        known = truth != IGNORED
        size = len(self.confusion)
        frame = np.bincount(truth[known] * size + predicted[known], minlength=size * size).reshape(size, size)
        self.confusion += frame
        joined = _joined(frame)
        occurs = joined > 0
        self._frames += occurs
        self._frame_iou[occurs] += np.diag(frame)[occurs] / joined[occurs]

    def by_class(self) -> dict[str, Floats]:
        """IoU of labels 1 and up under each measure; NaN for a class that truth does not hold (dataset), or that neither truth
        nor prediction does (AVSS)."""
        joined = np.maximum(_joined(self.confusion), 1)
        dataset = np.where(self.confusion.sum(1) > 0, np.diag(self.confusion) / joined, np.nan)
        avss = np.where(self._frames > 0, self._frame_iou / np.maximum(self._frames, 1), np.nan)
        return {"class_miou_dataset": dataset[1:], "class_miou_avss": avss[1:]}


@torch.no_grad()
def evaluate(segmenter: Segmenter, rows: Iterable[Rows]) -> LabelScores:
    """Scores of the network on frames whose labels are those of the test rule."""
    segmenter.eval()
    scores = LabelScores(segmenter.classifier.classes)
    for one in rows:
        predicted = segmenter(one.inputs).logits.argmax(1).cpu().numpy()
        for marked, truth in zip(predicted, one.labels.cpu().numpy(), strict=True):
            scores.add(marked, truth)
    return scores


def task_scores(by_class: Floats, sizes: Sequence[int], tasks: int) -> tuple[list[float], float]:
    """Mean over the classes of each of `tasks` tasks, NaN for those to come; and over all learned."""
    ends = np.cumsum([0, *sizes])
    row = [_mean(by_class[ends[n] : ends[n + 1]]) if n < len(sizes) else float("nan") for n in range(tasks)]
    return row, _mean(by_class)


def _joined(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    joined: npt.NDArray[np.int64] = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    return joined


def _mean(values: Floats) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
