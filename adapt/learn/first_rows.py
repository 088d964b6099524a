"""Which row of the class table a new class gets, and where it begins."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cavs.adapt.learn.features import hear
from cavs.adapt.learn.lesson_loss import Parent
from cavs.adapt.learn.material import UNKNOWN
from cavs.adapt.learn.pool import Pool
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


@torch.no_grad()
def first_row(parent: Parent, pool: Pool, column: int) -> Tensor:
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
