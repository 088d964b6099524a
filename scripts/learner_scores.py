"""Scores of adapters on cases whose pictures and sounds are encoded once; for `learner_bench.py`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cavs.adapt.learn.features import Looks, hear, listen, look, see
from cavs.adapt.learn.from_bundle import put_adapter
from cavs.adapt.learn.lesson_loss import rows_of, said_of
from cavs.adapt.model.labelling import label_pixels
from cavs.adapt.model.network import Network, Perception
from cavs.adapt.scenarios import Case, CaseSource
from cavs.adapt.scoring import ScenarioScores
from cavs.adapt.serving import Answer
from cavs.runtime.adapter import Adapter
from cavs.runtime.engine import LEAST_HEARD, heard_labels

AT_ONCE = 8
MARKED = 0.01
"""Share of a picture from which on it counts as marked."""


class Only(CaseSource):
    """Cases that one class leads."""

    def leading_classes(self, name: str) -> tuple[str, ...]:
        return self.classes[:1]


@dataclass(frozen=True)
class Kept:
    """Cases of one scenario with their fixed features."""

    name: str
    cases: list[Case]
    looks: Looks
    listened: torch.Tensor


class Scorer:
    """Scores adapters on cases that are encoded once: labels as a stream shows them, silent where nothing is heard."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def keep(self, source: CaseSource, name: str, count: int, seed: int) -> Kept:
        cases = list(source.cases(name, count, seed))
        frames, sounds = np.stack([c.frame for c in cases]), np.stack([c.sound for c in cases])
        return Kept(name, cases, look(self.network, frames), listen(self.network, sounds))

    @torch.inference_mode()
    def answers(self, adapter: Adapter, kept: Kept, listened: torch.Tensor) -> Iterator[tuple[Case, Answer, int]]:
        """Each case with the answer that holds its own, and its place there. listened: in place of its sounds."""
        put_adapter(self.network, adapter)
        rows = rows_of(self.network)
        for index in torch.split(torch.arange(len(kept.cases)), AT_ONCE):
            seen, heard = see(self.network, kept.looks.of(index)), hear(self.network, listened[index])
            said = said_of(self.network, seen, heard, 1, rows)
            perception = Perception(
                said.sounding[:, None], said.embedding, said.class_logits, said.named_logits, said.presence, heard
            )
            label, probability, nearness = label_pixels(self.network, perception, self.network.thresholds)
            presence = (torch.sigmoid(said.presence) * rows.used).numpy()
            marked = zip(label.byte().numpy(), presence, strict=True)
            labels = np.stack([heard_labels(one, by, LEAST_HEARD) for one, by in marked])
            confidence = np.round(255 * probability.numpy() * (labels > 0)).astype(np.uint8)
            nearest = said.class_logits.argmax(1).byte().numpy()
            answer = Answer(labels, confidence, nearness.numpy(), presence, nearest)
            for n, i in enumerate(index.tolist()):
                yield kept.cases[i], answer, n

    def score(self, adapter: Adapter, kept: Kept) -> dict[str, Any]:
        names = [""] * 128
        for row, name in adapter.classes:
            names[row] = name
        scores = ScenarioScores(kept.name, tuple(names), tuple(row for row, _ in adapter.classes))
        for case, answer, n in self.answers(adapter, kept, kept.listened):
            scores.add(case, answer.labels[n], answer.confidence[n])
            scores.add_causes(case, answer.presence[n], answer.seen[n])
        return scores.summary()

    def marked(self, adapter: Adapter, kept: Kept, listened: torch.Tensor) -> dict[str, float]:
        """With other sounds, in which nothing that is shown sounds: how much is marked, and how much of the thing."""
        mass, overlap, sure = [], [], []
        for case, answer, n in self.answers(adapter, kept, listened):
            thing, marked = case.truth > 0, answer.labels[n] > 0
            mass.append(marked.mean())
            sure.append(mass[-1] > MARKED)
            overlap.append((marked & thing).sum() / max(1, (marked | thing).sum()))
        return {
            "mask_mass": float(np.mean(mass)),
            "iou_with_thing": float(np.mean(overlap)),
            "marked_above_1_percent": float(np.mean(sure)),
        }
