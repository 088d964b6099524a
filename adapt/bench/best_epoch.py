"""The weights of the epoch that was best on validation clips."""

from collections.abc import Callable, Iterable

import numpy as np
from torch import Tensor

from cavs.adapt.bench.evaluation import evaluate
from cavs.adapt.methods.method import Rows, Segmenter


class BestEpoch:
    """Scores a segmenter whenever told to look, and can bring back the weights that were best.

    rows: validation frames, made anew for every look. new: how many of the newest labels count; all if 0.
    """

    def __init__(self, segmenter: Segmenter, rows: Callable[[], Iterable[Rows]], new: int) -> None:
        self._segmenter, self._rows, self._new = segmenter, rows, new
        self._best = -np.inf
        self._weights: dict[str, Tensor] = {}

    def look(self) -> None:
        """Nothing is kept where no frame says anything of the newest labels. The segmenter goes on learning."""
        by_class = evaluate(self._segmenter, self._rows()).by_class()["class_miou_dataset"][-self._new :]
        self._segmenter.train()
        known = by_class[~np.isnan(by_class)]
        if len(known) and known.mean() > self._best:
            self._best = float(known.mean())
            self._weights = {name: tensor.clone() for name, tensor in self._segmenter.state_dict().items()}

    def take(self) -> None:
        """Back to the best weights; the last ones stay if nothing was kept."""
        if self._weights:
            self._segmenter.load_state_dict(self._weights)
