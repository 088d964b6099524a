"""Lessons of 20 s, composed of photographs and recordings of split `train`, and their labels: true, or as the learner proposes.

What `learner_bench.py` teaches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cavs.adapt.data.cast import ClipWish
from cavs.adapt.data.clip import compose_clip
from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.propose import propose
from cavs.adapt.model.network import Network
from cavs.runtime.adapter import Adapter
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import Hint, LessonRequest
from cavs.runtime.lesson_windows import Windows

SECONDS, FPS = 20.0, 8.0
SEEN_PX = 250
BESIDE = ("airplane", "boat", "train", "truck")
"""Things that may lie silent beside what is taught."""
BOX_MARGIN = 0.02


@dataclass(frozen=True)
class Shown:
    """A part of a lesson that shows one thing: windows, and the true mask of what sounds in each."""

    windows: Windows
    truth: np.ndarray


def compose_lesson(ingredients: Ingredients, cls: str, photos: int, seed: int, seconds: float = SECONDS) -> list[Shown]:
    """20 s of things that move, turn, grow, sound and fall silent; each photograph is one thing and has its share of the time.

    Photographs that the border cuts are left out, as far as there are others.
    """
    rng = np.random.default_rng([seed, photos])
    whole = [c for c in ingredients.cutouts[cls] if not c.truncated] or list(ingredients.cutouts[cls])
    chosen = [whole[i] for i in rng.permutation(len(whole))[:photos]]
    wish = ClipWish(
        targets=(cls,), sources=(1.0,), distractors=(0, 1), offscreen=0.0, switching=1.0, real_scenes=0.0, strength=0.5
    )
    parts = []
    for cutout in chosen:
        one = Ingredients(
            split=ingredients.split,
            cutouts={**ingredients.cutouts, cls: (cutout,)},
            recordings=ingredients.recordings,
            backgrounds=ingredients.backgrounds,
        )
        clip = compose_clip(one, rng, seconds=seconds / len(chosen), fps=FPS, wish=wish)
        t_ns = (np.arange(1, len(clip.frames) + 1) / FPS * NS_PER_S).astype(np.int64)
        parts.append(Shown(Windows(clip.frames, t_ns, clip.sound.astype(np.float32), 0, clip.rate_hz), clip.masks > 0))
    return parts


def true_exemplars(parts: Sequence[Shown], cls: str, samples: int, most: int, source: str) -> list[Exemplar]:
    """Exemplars with the true masks: what a perfect proposal would be."""
    found = []
    for shown in parts:
        for frame in range(len(shown.windows)):
            mask = shown.truth[frame]
            if mask.sum() > SEEN_PX:
                sound = shown.windows.sound_of(frame, samples)
                found.append(Exemplar(shown.windows.frames[frame], sound, ((cls, mask),), source, frame, 1.0))
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))] if found else []


def proposed_exemplars(
    network: Network, parent: Adapter, parts: Sequence[Shown], cls: str, number: int, *, hinted: bool = True
) -> tuple[list[Exemplar], dict[str, Any]]:
    """Exemplars as the product labels them, the person having drawn a box around each thing, where it is seen last.

    hinted: False for a person who only gives the name. A part of which nothing can be learned is left out.
    """
    found: list[Exemplar] = []
    overlaps, sounding, windows_in_all, refused = list[float](), list[bool](), 0, 0
    for shown in parts:
        seen = [frame for frame in range(len(shown.windows)) if shown.truth[frame].sum() > SEEN_PX]
        if not seen:
            continue
        end = seen[-1] + 1
        windows = replace(shown.windows, frames=shown.windows.frames[:end], t_ns=shown.windows.t_ns[:end])
        request = LessonRequest(
            id=f"20261121T160000-{number:06x}",
            kind="teach",
            name=cls,
            hint=Hint(box=_box_around(shown.truth[end - 1])) if hinted else Hint(),
            asked_wall_ns=number,
            rate_hz=windows.rate_hz,
        )
        try:
            proposal = propose(network, parent, request, windows)
        except LessonRejected as error:
            print(f"{cls}: {error}", flush=True)
            refused += 1
            continue
        found += proposal.exemplars
        windows_in_all += len(windows)
        marked = [(mask, truth) for mask, truth in zip(proposal.masks, shown.truth, strict=False) if mask.any()]
        overlaps += [float((mask & truth).sum() / (mask | truth).sum()) for mask, truth in marked]
        sounding += [bool(truth.any()) for _, truth in marked]
    outlines = [overlap for overlap, sounds in zip(overlaps, sounding, strict=True) if sounds]
    return found, {
        "parts": len(parts),
        "refused": refused,
        "windows": windows_in_all,
        "kept": len(overlaps),
        "pauses": len(found) - len(overlaps),
        "iou_with_truth": _mean(overlaps),
        "of_them_sound": _mean(sounding),
        "outline_iou": _mean(outlines),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _box_around(mask: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, width, height as fractions, with a margin."""
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    height, width = mask.shape
    left, top = max(0.0, cols[0] / width - BOX_MARGIN), max(0.0, rows[0] / height - BOX_MARGIN)
    right, bottom = min(1.0, cols[-1] / width + BOX_MARGIN), min(1.0, rows[-1] / height + BOX_MARGIN)
    return left, top, right - left, bottom - top
