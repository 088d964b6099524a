"""Clips of a sliding square, written in each of the papers' layouts."""

from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.data.avss import write_avss_clip, write_avss_index
from cavs.adapt.data.clip_set import LabelledClip, Layout
from cavs.adapt.data.layouts import LAYOUTS
from cavs.adapt.data.ms3 import write_ms3_clip, write_ms3_index
from cavs.adapt.data.s4 import write_s4_clip, write_s4_index

CLASSES = ("background", "kettle", "hand-bell", "drone")
LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)


def make_clip(name: str, split: str, seconds: int = 5, sounding: tuple[str, ...] = ("drone",)) -> LabelledClip:
    rng = np.random.default_rng(len(name) + seconds)
    soft = np.linspace(0, 255, 32, dtype=np.uint8)[None, None, :, None]
    frames = np.broadcast_to(soft, (seconds, 32, 32, 3)).copy()
    frames[:, :8] = rng.integers(0, 255, (seconds, 1, 1, 3))
    masks = np.zeros((seconds, 32, 32), np.uint8)
    for second in range(seconds):
        masks[second, second : second + 9, 4:20] = CLASSES.index(sounding[second % len(sounding)]) if sounding else 0
    samples = (0.3 * np.sin(np.arange(seconds * 16_000) * 0.07)).astype(np.float32)
    return LabelledClip(name, split, sounding, frames, masks, np.ones(seconds, bool), samples)


def write(layout: Layout, root: Path, *clips: LabelledClip, classes: tuple[str, ...] = CLASSES) -> None:
    if layout == "s4":
        write_s4_index(root, [write_s4_clip(root, clip) for clip in clips])
    elif layout == "ms3":
        write_ms3_index(root, [write_ms3_clip(root, clip) for clip in clips])
    else:
        write_avss_index(root, [write_avss_clip(root, clip, classes) for clip in clips], classes)
