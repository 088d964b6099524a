"""Sounds change places between frames of a batch that are labelled with the same classes.

A picture and a sound that were never recorded together are as true a pair, wherever what sounds is what is labelled: each class
that is heard has its pixels, and nothing labelled is silent. So a few clips show more pairs than there are clips, and what
merely lay about while something sounded is not learned for its cause. The pairing is ours; that a sound may be replaced by
another of its class is old in audio-visual separation.
"""

from dataclasses import replace

import torch
from torch import Generator

from cavs.adapt.methods.layered import Layered
from cavs.adapt.methods.method import Rows, Step, TaskContext


def same_labels(rows: Rows) -> list[list[int]]:
    """Frames by the labels in them; rehearsed ones apart, since more classes are labelled there."""
    groups: dict[tuple[bool, ...], list[int]] = {}
    for index, (labels, rehearsed) in enumerate(zip(rows.labels, rows.rehearsed.tolist(), strict=True)):
        groups.setdefault((rehearsed, *torch.unique(labels).tolist()), []).append(index)
    return list(groups.values())


class Exchange(Layered):
    """Another method, every batch of which has the sounds of such frames permuted at random."""

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        self._random = Generator().manual_seed(int(context.rng.integers(2**31)))

    def prepare(self, step: Step) -> None:
        super().prepare(step)
        source = torch.arange(len(step.rows.clips))
        for group in map(torch.tensor, same_labels(step.rows)):
            source[group] = group[torch.randperm(len(group), generator=self._random)]
        inputs = replace(step.rows.inputs, sounds=tuple(sound[source] for sound in step.rows.inputs.sounds))
        step.rows = replace(step.rows, inputs=inputs)
