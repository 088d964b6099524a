"""CSR, collision-based sample rehearsal of CMR (arXiv 2510.17234): what the old network mistakes is rehearsed more.

A collision is a pixel of a new class that the old network gives to an old class. A clip whose collisions are mostly of one pair
counts for that pair; the old class of the pair is rehearsed once more for it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from cavs.adapt.methods.memory import Exemplar, Exemplars
from cavs.adapt.methods.method import IGNORED, Step

Pair = tuple[int, int]
"""(old class, new class), as labels."""
Frequency = dict[int, float]
"""N_c: how much more often each old class is to be rehearsed."""
Pairs = list[tuple[Pair, int]]
"""The pair of each clip that has a dominant one, and how many pixels it was seen in."""
Gather = Callable[[Pairs], Pairs]
"""From the pairs of one process to those of all."""


def collision_pixels(predicted: Tensor, labels: Tensor, old: int) -> Counter[Pair]:
    """Pixels by (old class predicted, new class labelled), both of any equal shape."""
    collided = (predicted > 0) & (predicted <= old) & (labels > old) & (labels != IGNORED)
    stacked = torch.stack([predicted[collided], labels[collided]], dim=1)
    unique, counts = torch.unique(stacked, dim=0, return_counts=True)
    return Counter({(int(a), int(b)): int(n) for (a, b), n in zip(unique.tolist(), counts.tolist(), strict=True)})


def dominant_pair(pixels: Mapping[Pair, int], share: float) -> Pair | None:
    """The most frequent pair if it makes up more than `share` of all; None otherwise, and without collisions."""
    total = sum(pixels.values())
    if not total:
        return None
    pair = max(sorted(pixels), key=lambda key: pixels[key])
    return pair if pixels[pair] / total > share else None


@torch.no_grad()
def collided_clips(steps: Iterable[Step], share: float) -> Pairs:
    """The dominant pair of every clip that has one; frames of a clip are counted together."""
    by_clip: dict[str, Counter[Pair]] = {}
    for step in steps:
        predicted = step.old_said.logits.argmax(1)
        for index, clip in enumerate(step.rows.clips):
            found = collision_pixels(predicted[index], step.rows.labels[index], step.task.old)
            by_clip.setdefault(clip, Counter()).update(found)
    dominant = {clip: dominant_pair(pixels, share) for clip, pixels in by_clip.items()}
    return [(pair, by_clip[clip][pair]) for clip, pair in dominant.items() if pair is not None]


def gather_over_ranks(pairs: Pairs) -> Pairs:
    """The pairs of all processes: each sees a share of the clips."""
    if not dist.is_available() or not dist.is_initialized():
        return pairs
    shares: list[Pairs] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(shares, pairs)
    return [pair for share in shares for pair in share]


def frequency(pairs: Pairs, by_pixels: bool = False) -> Frequency:
    """N_c, the clips that each old class collided in. by_pixels: the same sum shared out by collided pixels."""
    weights: Counter[int] = Counter()
    for (old_class, _), pixels in pairs:
        weights[old_class] += pixels if by_pixels else 1
    total = sum(weights.values())
    return {cls: len(pairs) * weight / total for cls, weight in weights.items()}


def repeated(memory: Exemplars, extra: Frequency, rng: np.random.Generator, most: int | None = None) -> list[str]:
    """Every clip of the memory once, and for each old class N_c more, drawn at random among those that hold it.

    most: no clip more often than this.
    """
    clips = list(memory.clips())
    counts = Counter(clips)
    for cls, count in sorted(extra.items()):
        holding = memory.holding(cls)
        for _ in range(round(count) if holding else 0):
            drawn = holding[int(rng.integers(len(holding)))].clip
            if most is None or counts[drawn] < most:
                counts[drawn] += 1
                clips.append(drawn)
    return clips


def weighted(memory: Exemplars, extra: Frequency, rng: np.random.Generator, draws: int | None = None) -> list[str]:
    """So many draws, or as many as `repeated` gives, with replacement: a clip weighs sum over its classes of (m_c + N_c) / m_c,
    where m_c counts the memory's clips of class c."""
    kept = memory.all()
    if not kept:
        return []
    weights = np.array([_weight(one, memory, extra) for one in kept])
    count = len(kept) + round(sum(extra.values())) if draws is None else draws
    return [kept[int(index)].clip for index in rng.choice(len(kept), count, p=weights / weights.sum())]


def _weight(one: Exemplar, memory: Exemplars, extra: Frequency) -> float:
    in_memory = {cls: len(memory.holding(cls)) for cls in one.classes}
    return sum((count + extra.get(cls, 0.0)) / count for cls, count in in_memory.items())
