"""How long after a sound begins its mask appears, in composed streams."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cavs.adapt.data.ingredients import BLOCK, RATE_HZ
from cavs.adapt.data.scene import SceneWish, compose_scene
from cavs.adapt.data.sound import SoundWish, compose_line
from cavs.adapt.metrics import binary_iou
from cavs.adapt.model.network import Network
from cavs.adapt.scenarios import CaseSource
from cavs.adapt.serving import answer
from cavs.runtime.engine import LABEL_SILENT

HOP_S = 0.033  # one frame of a camera at 30 fps
BEFORE_S = 0.2  # watched before the onset: a mask there is a false alarm
AFTER_S = 1.2
FOUND_IOU = 0.3  # of the mask with the object that began to sound
STREAM_SEED = 77_000  # apart from the seeds of the scenarios


@dataclass(frozen=True, slots=True)
class Onset:
    """One stream. latency_s is None when no mask reached FOUND_IOU within AFTER_S."""

    cls: str
    latency_s: float | None
    early: bool


def onset_latency(network: Network, source: CaseSource, streams: int, seed: int, hop_s: float = HOP_S) -> dict[str, Any]:
    """JSON: median and 90th percentile over streams in which the object was found, and over all (missed = never).

    hop_s: from one window to the next.
    """
    onsets = [_watch(network, source, number, seed, hop_s) for number in range(streams)]
    found = [onset.latency_s for onset in onsets if onset.latency_s is not None]
    every = [np.inf if onset.latency_s is None else onset.latency_s for onset in onsets]
    median_of_all = float(np.median(every))
    return {
        "streams": streams,
        "found": len(found),
        "marked_before": sum(onset.early for onset in onsets),
        "median_ms": 1e3 * float(np.median(found)) if found else None,
        "p90_ms": 1e3 * float(np.percentile(found, 90)) if found else None,
        "median_ms_missed_as_never": 1e3 * median_of_all if np.isfinite(median_of_all) else None,
        "hop_ms": 1e3 * hop_s,
        "found_iou": FOUND_IOU,
        "by_class_ms": {
            cls: [None if o.latency_s is None else round(1e3 * o.latency_s) for o in onsets if o.cls == cls]
            for cls in source.classes
        },
    }


def _watch(network: Network, source: CaseSource, number: int, seed: int, hop_s: float) -> Onset:
    rng = np.random.default_rng([seed, STREAM_SEED, number])
    cls = source.classes[number % len(source.classes)]
    wish = SceneWish(classes=(cls,), distractors=(0, 0), duplicates=0.0, real_scenes=0.0, strength=source.strength)
    scene = compose_scene(source.ingredients, rng, size=source.size, want=wish)
    lead_s = source.samples / RATE_HZ + BEFORE_S + hop_s
    length = round((lead_s + AFTER_S) * RATE_HZ) + BLOCK
    line = compose_line(
        source.ingredients, rng, spans={cls: [(lead_s, length / RATE_HZ)]}, samples=length, wish=SoundWish(ambience=0.5)
    )
    began = int(np.flatnonzero(line.loud[cls])[0]) * BLOCK
    first = began - round(rng.uniform(BEFORE_S, BEFORE_S + hop_s) * RATE_HZ)  # windows know nothing of the onset
    first = max(first, source.samples)  # `began` is the start of a block: a little before it was asked for
    ends = np.arange(first, length + 1, round(hop_s * RATE_HZ))
    windows = np.stack([line.samples[end - source.samples : end] for end in ends])
    labels = answer(network, scene.frame[None], windows).labels
    truth = np.repeat(scene.mask_of([cls])[None], len(ends), axis=0)
    reached = binary_iou(labels != LABEL_SILENT, truth) >= FOUND_IOU
    hits = np.flatnonzero(reached & (ends > began))
    latency_s = float(ends[hits[0]] - began) / RATE_HZ if len(hits) else None
    return Onset(cls, latency_s, bool(reached[ends <= began].any()))
