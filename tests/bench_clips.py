"""Labelled clips of a coloured square that moves and a tone of its pitch, in the papers' layouts: data for runs of seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cavs.adapt.data.avss import write_avss_clip, write_avss_index
from cavs.adapt.data.clip_set import LabelledClip
from cavs.adapt.data.ms3 import write_ms3_clip, write_ms3_index
from cavs.adapt.data.s4 import write_s4_clip, write_s4_index
from cavs.adapt.model.checkpoint import save_checkpoint
from tests.small_network import small_network

SIDE = 64
CLASSES = ("background", "bell", "cat", "drum", "horn")
COUNTS = {"train": 2, "val": 1, "test": 1}


def moving_square(name: str, split: str, number: int, sounding: tuple[str, ...], rng: np.random.Generator) -> LabelledClip:
    """number: mask index; colour and pitch come from it."""
    frames = rng.integers(90, 130, (5, SIDE, SIDE, 3)).astype(np.uint8)
    masks = np.zeros((5, SIDE, SIDE), np.uint8)
    for t in range(5):
        top, left = rng.integers(0, SIDE - 32, 2)
        masks[t, top : top + 32, left : left + 32] = number
        frames[t][masks[t] > 0] = np.array([50 * number % 256, 255 - 60 * number % 256, (97 * number) % 256])
    tone = 0.3 * np.sin(2 * np.pi * 250 * 2 ** (number % 5) * np.arange(5 * 16_000) / 16_000)
    return LabelledClip(name, split, sounding, frames, masks, np.ones(5, bool), tone.astype(np.float32))


def squares(names: Sequence[str], counts: Mapping[str, int] = COUNTS) -> list[LabelledClip]:
    """`counts` clips of each class in each split."""
    rng = np.random.default_rng(0)
    return [
        moving_square(f"{name}-{split}-{n}", split, number, (name,), rng)
        for split, count in counts.items()
        for number, name in enumerate(names, 1)
        for n in range(count)
    ]


def write_avss(root: Path, counts: Mapping[str, int] = COUNTS) -> Path:
    write_avss_index(root, [write_avss_clip(root, clip, CLASSES) for clip in squares(CLASSES[1:], counts)], CLASSES)
    return root


def write_s4(root: Path, categories: Sequence[str], counts: Mapping[str, int] = COUNTS) -> Path:
    write_s4_index(root, [write_s4_clip(root, clip) for clip in squares(categories, counts)])
    return root


def write_ms3(root: Path, counts: Mapping[str, int]) -> Path:
    write_ms3_index(root, [write_ms3_clip(root, clip) for clip in squares(("thing",), counts)])
    return root


def write_checkpoint(file: Path) -> Path:
    save_checkpoint(small_network(), file)
    return file
