"""The results matrix: R[t, i] is the score on task i after task t was learned, for every t and i.

Forgetting          mean over earlier tasks of the best score they ever had, less the last
BWT                 backward transfer: mean over earlier tasks of the last score less the one right after learning
FWT                 forward transfer: mean over later tasks of the score right before learning less the untrained network's
Average incremental mean over t of the score on everything learned so far
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ResultsMatrix:
    """scores: (T, T) R[t, i]; NaN where a task has nothing to be tested on.

    seen: (T,), the score on all that was learned up to t, which for class scores is no mean of a row.
    untrained: (T,), scores of the network before the first task; NaN where not measured.
    """

    scores: Floats
    seen: Floats
    untrained: Floats

    def __post_init__(self) -> None:
        tasks = len(self.scores)
        shapes = self.scores.shape, self.seen.shape, self.untrained.shape
        if tasks == 0 or shapes != ((tasks, tasks), (tasks,), (tasks,)):
            raise ValueError(f"scores, seen and untrained of shapes {shapes}; expected (T, T), (T,), (T,)")

    @property
    def final(self) -> float:
        """The score on everything at the end."""
        return float(self.seen[-1])

    @property
    def forgetting(self) -> float:
        """NaN for a single task."""
        best = np.fmax.reduce(self.scores, axis=0)  # the largest that is a number
        return _mean(best[:-1] - self.scores[-1, :-1])

    @property
    def backward_transfer(self) -> float:
        return _mean(self.scores[-1, :-1] - np.diag(self.scores)[:-1])

    @property
    def forward_transfer(self) -> float:
        return _mean(np.diag(self.scores, k=1) - self.untrained[1:])

    @property
    def average_incremental(self) -> float:
        return _mean(self.seen)

    def to_json(self) -> dict[str, object]:
        """Lists; NaN becomes null, which JSON has a word for."""
        return {name: _plain(getattr(self, name)) for name in ("scores", "seen", "untrained")}

    @staticmethod
    def from_json(value: dict[str, object]) -> "ResultsMatrix":
        scores, seen, untrained = (np.array(value[name], np.float64) for name in ("scores", "seen", "untrained"))
        return ResultsMatrix(scores, seen, untrained)


def _mean(values: Floats) -> float:
    """Over what is a number; NaN when nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _plain(values: Floats) -> list[object]:
    return [_plain(row) if row.ndim else (None if np.isnan(row) else float(row)) for row in values]
