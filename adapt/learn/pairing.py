"""Which sounds a picture meets: one of what it shows, one of what it does not, and others, drawn anew each time."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cavs.adapt.learn.pool import Pool

Flags = npt.NDArray[np.bool_]

SEEN_SHARE = 0.5
"""A class is seen in a picture if some cell of the grid shows more of it than this."""
AS_IT_WAS = 0.4
"""Share of the meetings in which a frame of a lesson meets the very sound that it came with."""
NOTHING = 0.4
"""Share of the further sounds in which nothing known sounds."""


class Pairing:
    """Draws sounds for the pictures of a pool. new: the columns that the lesson teaches."""

    def __init__(self, pool: Pool, new: list[int]) -> None:
        seen = (pool.shown.amax((2, 3)) > SEEN_SHARE).numpy()
        heard = (pool.heard > 0).numpy()
        self._own = pool.own.numpy()
        self._shows_new: Flags = np.asarray(seen[:, new].any(axis=1))
        self._shows: Flags = np.asarray(seen.any(axis=1))
        self._fits = _both(seen, heard)
        self._fits_new = _both(seen[:, new], heard[:, new])
        self._quiet: Flags = ~np.asarray(heard.any(axis=1))
        self._no_new: Flags = ~np.asarray(heard[:, new].any(axis=1))

    def draw(self, pictures: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        """int64 (B, count): sounds for each of the pictures (B,); the first lets hear what is shown, if one does."""
        return torch.from_numpy(np.stack([self._meet(picture, count, rng) for picture in pictures.tolist()]))

    def _meet(self, picture: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        own, fits = int(self._own[picture]), self._fits[picture]
        first = _one_of(self._fits_new[picture] if self._fits_new[picture].any() else fits, rng)
        if own >= 0 and (not self._shows[picture] or rng.random() < AS_IT_WAS):
            first = own
        met = [first, _one_of(~fits & ~self._quiet, rng)]
        while len(met) < count:
            other = self._no_new if self._shows_new[picture] else ~self._quiet
            met.append(_one_of(self._quiet if rng.random() < NOTHING else other, rng))
        return np.array(met[:count], np.int64)


def _both(seen: Flags, heard: Flags) -> Flags:
    """(P, M): whether some class is seen (P, C) and heard (M, C)."""
    return np.asarray(seen.astype(int) @ heard.T.astype(int) > 0, np.bool_)


def _one_of(able: Flags, rng: np.random.Generator) -> int:
    """The index of one that is able; of any, if none is."""
    found = np.flatnonzero(able)
    return int(found[rng.integers(len(found))]) if len(found) else int(rng.integers(len(able)))
