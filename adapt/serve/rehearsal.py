"""Which exemplars of the memory are rehearsed, and how often: CSR of CMR (arXiv 2510.17234), on the windows of a lesson."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.exemplar_files import Kept
from cavs.adapt.serve.trial import UNKNOWN
from cavs.runtime.engine import LABEL_FIRST_CLASS

DOMINANT_SHARE = 0.7
"""Of a window's collided pixels, from which on their most frequent pair counts; the paper's."""
MOST_REPEATS = 8
"""No exemplar is rehearsed more often than this in a round: a class with one exemplar would crowd out the rest."""

Labels = npt.NDArray[np.uint8]


def draw_rehearsal(
    memory: Sequence[Kept],
    new: Sequence[Exemplar],
    said: Sequence[Labels],
    rows: Mapping[str, int],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """Ids of exemplars, some of them more than once.

    new:  windows of the lesson. said: what the old model said of each, labels (H, W) of the graph contract.
    rows: row of each class that the old model knows; classes of the lesson that it does not know are the new ones.
    """
    if not memory:
        return ()
    import torch  # takes seconds, and most of a learner's life is waiting

    from cavs.adapt.methods.csr import collision_pixels, dominant_pair, frequency, repeated
    from cavs.adapt.methods.memory import Exemplar as Numbered
    from cavs.adapt.methods.memory import Exemplars

    old = max(rows.values(), default=-1) + 1
    numbers = {name: 1 + row for name, row in rows.items()}
    fresh = sorted({name for one in new for name in one.names if name not in rows and name != UNKNOWN})
    numbers |= {name: old + 1 + k for k, name in enumerate(fresh)}
    pairs = []
    for one, labels in zip(new, said, strict=True):
        truth = np.zeros(labels.shape, np.int64)
        for name, mark in one.marks:
            truth[mark] = numbers.get(name, 0)
        named = np.maximum(labels.astype(np.int64) - LABEL_FIRST_CLASS + 1, 0)  # silent and unknown are no class
        pixels = collision_pixels(torch.from_numpy(named), torch.from_numpy(truth), old)
        pair = dominant_pair(pixels, DOMINANT_SHARE)
        if pair is not None:
            pairs.append((pair, pixels[pair]))
    known = Exemplars()
    for kept in memory:
        classes = tuple(numbers[name] for name in kept.record.names if name in numbers)
        known.add(classes[0] if classes else 0, [Numbered(kept.id, classes)])
    return tuple(repeated(known, frequency(pairs), rng, MOST_REPEATS))
