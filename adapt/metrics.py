"""Scores of masks, each in the definition its name says; papers differ, so nothing here is called just "mIoU".

Binary IoU     per frame intersection / union, mean over frames. A frame without a sounding pixel scores the agreement
               of the background (AVSBench's S4 and MS3 scripts).
MaxF           F with beta^2 = 0.3 over 255 thresholds, averaged over frames that have a sounding pixel, then the best
               threshold (over the whole set, or per batch as the reference scripts do).
mIoU, dataset  one confusion matrix over all frames, IoU per class, mean over the classes that occur (CMR).
mIoU, AVSS     IoU per frame and class, mean over the frames in which the class occurs in truth or prediction, then
               mean over all classes, 0 for one that never occurs.
Mask mass      share of the frame's pixels that are marked; for frames where nothing may be marked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BETA_SQUARED = 0.3  # AVSBench weighs precision more than recall
THRESHOLDS = 255
BINARY_EPS = 1e-7
LIT_SHARE = 0.01  # a frame counts as lit when more than 1 % of it is marked

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def binary_iou(marked: Bools, truth: Bools) -> Floats:
    """IoU of each frame, (N, H, W) -> (N,). A frame with empty truth scores its background's agreement."""
    _same_shape(marked, truth)
    axes = (1, 2)
    pixels = marked.shape[1] * marked.shape[2]
    shared = (marked & truth).sum(axes).astype(np.float64)
    joined = (marked | truth).sum(axes).astype(np.float64)
    empty = ~truth.any(axes)
    shared[empty] = pixels - joined[empty]
    joined[empty] = pixels
    iou: Floats = shared / (joined + BINARY_EPS)
    return iou


def f_curves(confidence: Bytes, truth: Bools) -> Floats:
    """F of each frame that has truth, at 255 thresholds: (N, H, W) -> (M, 255), M <= N."""
    _same_shape(confidence, truth)
    rows = [_f_curve(c, t) for c, t in zip(confidence, truth, strict=True) if t.any()]
    return np.stack(rows) if rows else np.zeros((0, THRESHOLDS))


def _f_curve(confidence: Bytes, truth: Bools) -> Floats:
    # The mask at threshold i holds the pixels whose confidence byte is at least i.
    all_counts = np.bincount(confidence.ravel(), minlength=256)[::-1].cumsum()[::-1][:THRESHOLDS]
    hit_counts = np.bincount(confidence[truth], minlength=256)[::-1].cumsum()[::-1][:THRESHOLDS]
    precision = hit_counts / np.maximum(all_counts, 1)
    recall = hit_counts / truth.sum()
    below = BETA_SQUARED * precision + recall
    f = np.divide((1 + BETA_SQUARED) * precision * recall, below, out=np.zeros(THRESHOLDS), where=below > 0)
    return np.asarray(f, dtype=np.float64)


def max_f(curves: Floats, batch: int | None = None) -> float:
    """The best mean F over thresholds. `batch` takes the best per so many frames and averages those (the reference)."""
    if len(curves) == 0:
        return float("nan")
    if batch is None:
        return float(curves.mean(0).max())
    return float(np.mean([curves[i : i + batch].mean(0).max() for i in range(0, len(curves), batch)]))


@dataclass(slots=True)
class ClassScores:
    """Counts labels against truth, frame by frame, for both class definitions of mIoU.

    Labels follow the graph contract: 0 silent, 1 unknown, 2 + k class row k. `unknown` where truth has a class is a
    miss of that class and no hit of another.
    """

    classes: int
    confusion: npt.NDArray[np.int64] = field(init=False)
    _frame_iou: Floats = field(init=False)
    _frame_occurs: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        size = self.classes + 2
        self.confusion = np.zeros((size, size), np.int64)  # rows truth, columns prediction
        self._frame_iou = np.zeros(size)
        self._frame_occurs = np.zeros(size, np.int64)

    def add(self, labels: Bytes, truth: Bytes) -> None:
        """One frame, two label maps (H, W)."""
        _same_shape(labels, truth)
        size = self.classes + 2
        if max(int(labels.max()), int(truth.max())) >= size:
            raise ValueError(
                f"a label of {max(int(labels.max()), int(truth.max()))}, but {self.classes} classes end at {size - 1}"
            )
        counts = np.bincount(truth.ravel().astype(np.int64) * size + labels.ravel(), minlength=size * size)
        frame = counts.reshape(size, size)
        self.confusion += frame
        hits = np.diag(frame)
        joined = frame.sum(0) + frame.sum(1) - hits
        occurs = joined > 0
        self._frame_occurs += occurs
        self._frame_iou[occurs] += hits[occurs] / joined[occurs]

    def iou_by_class(self) -> Floats:
        """Dataset IoU of each class row; NaN where neither truth nor prediction has it."""
        hits = np.diag(self.confusion)
        joined = self.confusion.sum(0) + self.confusion.sum(1) - hits
        iou = np.full(len(hits), np.nan)
        np.divide(hits, joined, out=iou, where=joined > 0)
        return iou[2:]

    def miou_dataset(self) -> float:
        """Mean over the classes that truth holds; a class only predicted costs the others, not a zero of its own."""
        iou = self.iou_by_class()[self.confusion.sum(1)[2:] > 0]
        return float(iou.mean()) if len(iou) else float("nan")

    def miou_avss(self, rows: Sequence[int] | None = None, background: bool = False) -> float:
        """Per frame and class, then over frames, then over classes; one that never occurs counts 0.

        rows: the classes that could occur, by default all. background: label 0 is one more class.
        """
        means = self._frame_iou / np.maximum(self._frame_occurs, 1)
        kept = [0] * background + [row + 2 for row in (range(self.classes) if rows is None else rows)]
        return float(means[kept].mean())


def mask_mass(marked: Bools) -> Floats:
    """Share of marked pixels of each frame, (N, H, W) -> (N,)."""
    return np.asarray(marked.mean((1, 2)), dtype=np.float64)


def lit_share(marked: Bools) -> float:
    """Share of frames of which more than 1 % is marked."""
    return float((mask_mass(marked) > LIT_SHARE).mean()) if len(marked) else float("nan")


def _same_shape(seen: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> None:
    if seen.shape != truth.shape:
        raise ValueError(f"masks of shape {seen.shape} against truth of shape {truth.shape}")
