"""CL-AVS, the protocols of ATLAS (arXiv 2603.08967) on the layouts S4 and MS3. No clip of an earlier task is read again.

Known are the names of the four protocols and the 11-2 split of CIL; class order, domains and the stream are our reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cavs.adapt.bench.corruptions import CORRUPTIONS
from cavs.adapt.bench.protocols import ClassProtocol, Clip, ProtocolTask, split_classes

DOMAINS: dict[str, tuple[str, ...]] = {
    "human": ("baby_laughter", "female_singing", "male_speech"),
    "animal": ("dog_barking", "cat_meowing", "lions_roaring", "horse_clip-clop", "coyote_howling", "mynah_bird_singing"),
    "instrument": (
        "playing_acoustic_guitar", "playing_tabla", "playing_violin", "playing_piano", "playing_ukulele",
        "playing_glockenspiel",
    ),
    "vehicle": ("helicopter", "race_car", "driving_buses", "ambulance_siren"),
    "tool": ("typing_on_computer_keyboard", "chainsawing_trees", "cap_gun_shooting", "lawn_mowing"),
}  # fmt: skip
"""The 23 categories of S4 in five groups."""
S4_CLASSES: tuple[str, ...] = tuple(name for names in DOMAINS.values() for name in names)
BASE, STEP = 11, 2
SOUNDING = "sounding"
"""The one class of a stream."""


def class_order(classes: Sequence[str], seed: int) -> tuple[str, ...]:
    """The classes shuffled by a seed, whatever order they came in."""
    names = sorted(classes)
    return tuple(names[int(index)] for index in np.random.default_rng(seed).permutation(len(names)))


def cil(classes: Sequence[str] = S4_CLASSES, seed: int = 0, base: int = BASE, step: int = STEP) -> ClassProtocol:
    """Class-incremental: binary masks, classes only order the stream."""
    return ClassProtocol(f"cil-{base}-{step}", split_classes(class_order(classes, seed), base, step), outputs="sounding")


def til(classes: Sequence[str] = S4_CLASSES, seed: int = 0, base: int = BASE, step: int = STEP) -> ClassProtocol:
    """Task-incremental: an output for each task, and the task is told at test time."""
    tasks = split_classes(class_order(classes, seed), base, step)
    return ClassProtocol(f"til-{base}-{step}", tasks, outputs="task", task_known=True)


def dil(classes: Sequence[str] = S4_CLASSES) -> ClassProtocol:
    """Domain-incremental: the groups one after another, one output throughout. ValueError for a class of no group."""
    strange = sorted(set(classes) - set(S4_CLASSES))
    if strange:
        raise ValueError(f"{', '.join(strange)} in none of the groups {', '.join(DOMAINS)}; dil-corrupted takes any classes")
    present = {name: tuple(one for one in of_group if one in classes) for name, of_group in DOMAINS.items()}
    tasks = tuple(ProtocolTask(name, of_group) for name, of_group in present.items() if of_group)
    return ClassProtocol("dil", tasks, outputs="sounding")


def dil_corrupted() -> ClassProtocol:
    """Domain-incremental: clips of all categories, in a condition of light or sound at a time."""
    tasks = tuple(ProtocolTask(name, (name,)) for name in CORRUPTIONS)
    return ClassProtocol("dil-corrupted", tasks, outputs="sounding")


def tf_cl() -> ClassProtocol:
    """Task-free: what is learned, and tested on, as one; `TaskFree` has the stream."""
    return ClassProtocol("tf-cl", (ProtocolTask("stream", (SOUNDING,)),), outputs="sounding")


@dataclass(frozen=True, slots=True)
class TaskFree:
    """A stream without boundaries: every training clip once, in an order fixed by a seed.

    batch: clips at a time. passes: over each batch, before it is gone. evaluate_every: batches between two evaluations.
    """

    name: str = "tf-cl"
    seed: int = 0
    batch: int = 4
    passes: int = 1
    evaluate_every: int = 10

    def batches(self, clips: Sequence[Clip]) -> Iterator[list[Clip]]:
        train = [clip for clip in clips if clip.split == "train"]
        order = np.random.default_rng(self.seed).permutation(len(train))
        for start in range(0, len(train), self.batch):
            yield [train[int(index)] for index in order[start : start + self.batch]]
