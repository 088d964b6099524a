"""From the class indices of a mask file to the labels that a task learns from or is tested on, as CMR has it.

Classes get labels in the order they are learned, from 1. What the rules leave out:

    train   the task's classes; all else is background, which is where drift comes from. Sequential: earlier classes too
    val     the task's classes and background; the pixels of others are ignored
    test    all classes learned so far; later ones are ignored
    memory  as test: rehearsed clips carry the truth of all classes learned so far. So do those of joint training
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from cavs.adapt.bench.protocols import ClassProtocol
from cavs.adapt.methods.method import IGNORED

Role = Literal["train", "val", "test", "memory"]
Table = npt.NDArray[np.uint8]
"""(256,), label of every mask index; `table[mask]` is the labelled mask."""


def label_table(protocol: ClassProtocol, mask_classes: tuple[str, ...], task: int, role: Role) -> Table:
    """The labels of a data set's mask indices in a task. mask_classes: names by mask index, background first."""
    table = np.zeros(256, np.uint8)
    known = {name: (number, label) for number, name, label in _labels(protocol)}
    for index, name in enumerate(mask_classes):
        if index == 0:
            continue
        learned, label = known.get(name, (len(protocol.tasks), 0))
        table[index] = _label(protocol, learned, label, task, role)
    return table


def _labels(protocol: ClassProtocol) -> list[tuple[int, str, int]]:
    """(task, class, label) of every class."""
    found, count = [], 0
    for number, task in enumerate(protocol.tasks):
        for name in task.classes:
            count += 1
            label = {"classes": count, "sounding": 1, "task": number + 1}[protocol.outputs]
            found.append((number, name, label))
    return found


def _label(protocol: ClassProtocol, learned: int, label: int, task: int, role: Role) -> int:
    if role in ("test", "memory"):
        return label if learned <= task else IGNORED
    if learned == task:
        return label
    if role == "val":
        return IGNORED
    return label if protocol.setting == "sequential" and learned < task else 0
