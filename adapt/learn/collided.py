"""What a new thing is taken for: CSR of CMR (arXiv 2510.17234, section CSR) on the windows of a lesson.

CMR rehearses clips of the old classes that the old network sees in the new one. A lesson has kept clips of what was taught
before alone (`cavs.adapt.serve.rehearsal` draws those); drawn things are composed anew, and so they are shown, and let hear,
more often. Where there are statistics only (`rehearsal.py`), more weight for them brought nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.features import look, see
from cavs.adapt.methods.csr import collision_pixels, dominant_pair
from cavs.adapt.model.network import Network

DOMINANT_SHARE = 0.7
"""Of a window's collided pixels, from which on their most frequent pair counts; the paper's."""
MORE_OFTEN = 4.0
"""A class that every window of a lesson collides with comes so many times more often than one that none does."""


@torch.no_grad()
def collided(network: Network, new: Sequence[Exemplar], rows: Mapping[str, int]) -> dict[str, float]:
    """Share of the windows with a new class in which most of its pixels look to the network like an old one, by old class.

    What is seen counts, not what is marked: a thing that is not heard as the class that it looks like is not marked at all.
    rows: of the classes that the network knows; every other class that a window marks is new.
    """
    windows = [one for one in new if any(name not in rows for name in one.names)]
    names, found = {row: name for name, row in rows.items()}, Counter[str]()
    old = max(rows.values(), default=-1) + 1
    for one in windows:
        seen = see(network, look(network, one.frame[None]))
        looks_like = network.matching.pixels(seen.embedding, network.classes.unit_rows(), network.classes.used)[0].argmax(0)
        height, width = looks_like.shape
        labels = np.zeros((height, width), np.int64)
        for name, mask in one.marks:
            if name not in rows:
                labels[cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5] = old + 1
        pair = dominant_pair(collision_pixels(1 + looks_like, torch.from_numpy(labels), old), DOMINANT_SHARE)
        if pair is not None:
            found[names[pair[0] - 1]] += 1
    return {name: count / len(windows) for name, count in found.items()}


def weight(often: Mapping[str, float], name: str) -> float:
    """How often a class comes, against one that is not collided with. often: as `collided` gives it."""
    return 1 + MORE_OFTEN * often.get(name, 0.0)
