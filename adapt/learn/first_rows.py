"""Which row of the class table a new class gets, where it begins, and the rows of a lesson while they learn."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.learn.features import hear
from cavs.adapt.learn.lesson_loss import Parent, Rows
from cavs.adapt.learn.material import UNKNOWN
from cavs.adapt.learn.pool import Pool
from cavs.adapt.model.network import Network
from cavs.runtime.adapter import Adapter
from cavs.runtime.errors import AdaptError


def rows_with(parent: Adapter, names: Sequence[str]) -> dict[str, int]:
    """Row of every class: the parent's, then for each new name the first free row. Raises AdaptError if there is none."""
    rows = {name: row for row, name in parent.classes}
    free = [row for row, used in enumerate(parent.tensors["classes.used"]) if not used]
    for name in dict.fromkeys(names):
        if name not in rows and name != UNKNOWN:
            if not free:
                raise AdaptError(f"class {name}: all {len(rows)} rows of the class table are taken; a larger bundle is needed")
            rows[name] = free.pop(0)
    return rows


class NewRows:
    """The rows that a lesson adds, and with them those in use: the ones that the losses compare with.

    values: (n, D), those of `fresh`, the row numbers that the parent does not use; they learn, at any length.
    """

    def __init__(self, network: Network, rows: Mapping[str, int], parent: Adapter) -> None:
        """rows: as `rows_with` gives them. network: has the parent in it."""
        self._network, self._rows = network, dict(rows)
        self._active = sorted(rows.values())
        self._begun = False
        self.fresh = [row for name, row in rows.items() if (row, name) not in parent.classes]
        self.values = nn.Parameter(torch.zeros(len(self.fresh), network.config.embedding_width))

    def place(self, name: str) -> int:
        """Of a class among the rows in use; -1 for what has none."""
        return self._active.index(self._rows[name]) if name in self._rows else -1

    def begin(self, parent: Parent, pool: Pool, columns: Sequence[str]) -> None:
        """A new class begins where its pixels and its voices are."""
        self._network.classes.used[self.fresh] = 1
        start = torch.zeros_like(self.values)
        names = {row: name for name, row in self._rows.items()}
        for index, row in enumerate(self.fresh):
            if names[row] in columns:
                start[index] = _first_row(parent, pool, columns.index(names[row]))
        with torch.no_grad():
            self.values.copy_(F.normalize(start + 1e-6, dim=1))
        self._begun = True
        self.give()

    def give(self) -> None:
        """Puts them into the table, where the network reads them; nothing before they have begun."""
        if self.fresh and self._begun:
            with torch.no_grad():
                self._network.classes.used[self.fresh] = 1
                self._network.classes.table[self.fresh] = F.normalize(self.values, dim=1)

    def before(self) -> Rows:
        """All rows that parent or child use, as the parent has them."""
        active = torch.tensor(self._active)
        table, used = self._network.classes.unit_rows()[active].detach(), self._network.classes.used[active].clone()
        return Rows(table, used, torch.tensor([row in self.fresh for row in self._active]))

    def now(self) -> Rows:
        """The same with the new ones, and a gradient to them."""
        rows = self.before()
        if not self.fresh:
            return rows
        places = torch.tensor([self._active.index(row) for row in self.fresh])
        table = rows.table.index_copy(0, places, F.normalize(self.values, dim=1))
        return Rows(table, rows.used.index_fill(0, places, 1.0), rows.learning)


@torch.no_grad()
def _first_row(parent: Parent, pool: Pool, column: int) -> Tensor:
    """Where a new class begins, (D,): between the mean of its pixels and the mean of its voices, one for each sound."""
    share = F.avg_pool2d(pool.shown[:, column : column + 1].float(), 2)
    embedding = parent.seen(torch.arange(len(pool.looks))).embedding
    pixels = F.normalize((embedding * (share > 0.5)).sum((0, 2, 3)), dim=0)
    others = torch.arange(pool.heard.shape[1]) != column
    alone = (pool.heard[:, column] > 0) & (pool.heard[:, others].sum(1) == 0)
    if not alone.any():
        return pixels
    voices = hear(parent.network, pool.listened[alone]).voices
    nearest = (voices @ pixels).argmax(dim=1)
    voice = F.normalize(voices[torch.arange(len(voices)), nearest].sum(0), dim=0)
    return F.normalize(pixels + voice, dim=0)
