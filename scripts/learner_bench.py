"""Teaches classes to the shipped bundle from composed streams of 20 s and scores old and new on pictures and sounds never seen.

python scripts/learner_bench.py --ingredients DIR --teach cat trumpet --photos 1 --out docs/measured/learner.json

The lesson shows photographs and recordings of split `train`; scores are of split `test`. What the learner itself has is the
bundle and what our own code draws.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cavs.adapt.data.cast import ClipWish
from cavs.adapt.data.clip import compose_clip
from cavs.adapt.data.ingredients import Ingredients, Split
from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.features import Looks, hear, listen, look, see
from cavs.adapt.learn.from_bundle import network_from_bundle, put_adapter
from cavs.adapt.learn.lesson_loss import rows_of, said_of
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.propose import propose
from cavs.adapt.learn.recall import recall_of
from cavs.adapt.learn.training import LessonTraining
from cavs.adapt.model.labelling import label_pixels
from cavs.adapt.model.network import Network, Perception
from cavs.adapt.scenarios import Case, CaseSource
from cavs.adapt.scoring import ScenarioScores
from cavs.adapt.serve.memory import Memory
from cavs.runtime.adapter import Adapter, default_adapter, write_adapter
from cavs.runtime.bundle import default_bundle_path, read_bundle
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.engine import LEAST_HEARD, heard_labels
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import Hint, LessonRequest, wall_now_ns
from cavs.runtime.lesson_windows import Windows

SECONDS, FPS = 20.0, 8.0
OLD_SCENARIOS = ("alone", "one_silent", "two_sound")
NEW_SCENARIOS = ("alone", "one_silent", "off_mixed")
AT_ONCE = 8
SEEN_PX = 250
BESIDE = ("airplane", "boat", "train", "truck")
"""Things that may lie silent beside what is taught."""
BOX_MARGIN = 0.02


@dataclass(frozen=True)
class Shown:
    """A part of a lesson that shows one thing: windows, and the true mask of what sounds in each."""

    windows: Windows
    truth: np.ndarray


def compose_lesson(ingredients: Ingredients, cls: str, photos: int, seed: int) -> list[Shown]:
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
            split="train",
            cutouts={**ingredients.cutouts, cls: (cutout,)},
            recordings=ingredients.recordings,
            backgrounds=ingredients.backgrounds,
        )
        clip = compose_clip(one, rng, seconds=SECONDS / len(chosen), fps=FPS, wish=wish)
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
    bench: "Bench", parent: Adapter, parts: Sequence[Shown], cls: str, number: int
) -> tuple[list[Exemplar], dict[str, Any]]:
    """Exemplars as the product labels them, the person having drawn a box around each thing, where it is seen last."""
    found: list[Exemplar] = []
    overlaps, sounding, windows_in_all = [], [], 0
    outlines: list[float] = []
    for shown in parts:
        seen = [frame for frame in range(len(shown.windows)) if shown.truth[frame].sum() > SEEN_PX]
        if not seen:
            continue
        end = seen[-1] + 1
        windows = replace(shown.windows, frames=shown.windows.frames[:end], t_ns=shown.windows.t_ns[:end])
        rows, cols = (np.flatnonzero(shown.truth[end - 1].any(axis=axis)) for axis in (1, 0))
        height, width = shown.truth.shape[1:]
        left, top = max(0.0, cols[0] / width - BOX_MARGIN), max(0.0, rows[0] / height - BOX_MARGIN)
        right, bottom = min(1.0, cols[-1] / width + BOX_MARGIN), min(1.0, rows[-1] / height + BOX_MARGIN)
        request = LessonRequest(
            id=f"20261121T160000-{number:06x}",
            kind="teach",
            name=cls,
            hint=Hint(box=(left, top, right - left, bottom - top)),
            asked_wall_ns=number,
            rate_hz=windows.rate_hz,
        )
        try:
            proposal = propose(bench.network, parent, request, windows)
        except LessonRejected as error:
            print(f"{cls}: {error}", flush=True)
            continue
        found += proposal.exemplars
        windows_in_all += len(windows)
        for mask, truth in zip(proposal.masks, shown.truth, strict=False):
            if mask.any():
                overlaps.append(float((mask & truth).sum() / (mask | truth).sum()))
                sounding.append(bool(truth.any()))
                outlines += overlaps[-1:] if truth.any() else []
    return found, {
        "windows": windows_in_all,
        "kept": len(found),
        "iou_with_truth": float(np.mean(overlaps)),
        "of_them_sound": float(np.mean(sounding)),
        "outline_iou": float(np.mean(outlines)),
    }


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
    def labels(self, adapter: Adapter, kept: Kept, listened: torch.Tensor | None = None) -> Iterator[tuple[Case, Any, Any]]:
        put_adapter(self.network, adapter)
        rows = rows_of(self.network)
        listened = kept.listened if listened is None else listened
        for index in torch.split(torch.arange(len(kept.cases)), AT_ONCE):
            seen, heard = see(self.network, kept.looks.of(index)), hear(self.network, listened[index])
            said = said_of(self.network, seen, heard, 1, rows)
            perception = Perception(
                said.sounding[:, None], said.embedding, said.class_logits, said.named_logits, said.presence, heard
            )
            label, probability, _ = label_pixels(self.network, perception, self.network.thresholds)
            presence = (torch.sigmoid(said.presence) * rows.used).numpy()
            for n, i in enumerate(index.tolist()):
                shown = heard_labels(label[n].byte().numpy(), presence[n], LEAST_HEARD)
                yield kept.cases[i], shown, (255 * probability[n] * (shown > 0)).round().byte().numpy()

    def score(self, adapter: Adapter, kept: Kept) -> dict[str, Any]:
        names = [""] * 128
        for row, name in adapter.classes:
            names[row] = name
        scores = ScenarioScores(kept.name, tuple(names), tuple(row for row, _ in adapter.classes))
        for case, labels, confidence in self.labels(adapter, kept):
            scores.add(case, labels, confidence)
        return scores.summary()

    def marked(self, adapter: Adapter, kept: Kept, listened: torch.Tensor) -> dict[str, float]:
        """With other sounds, in which nothing that is shown sounds: how much is marked, and how much of the thing."""
        mass, overlap = [], []
        for case, labels, _ in self.labels(adapter, kept, listened):
            thing, marked = case.truth > 0, labels > 0
            mass.append(marked.mean())
            overlap.append((marked & thing).sum() / max(1, (marked | thing).sum()))
        return {"mask_mass": float(np.mean(mass)), "iou_with_thing": float(np.mean(overlap))}


def load(
    folder: str, split: Split, classes: Sequence[str], more: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
) -> Ingredients:
    """What a split holds of these classes, and its backgrounds: decoding all of it takes minutes."""
    manifest = json.loads((Path(folder) / "manifest.json").read_text())
    others = [e["file"] for kind in ("images", "audio") for e in manifest[kind] if e["cls"] not in (*classes, "offscreen_misc")]
    scenes = [entry["file"] for entry in manifest["scenes"]]
    return load_sets([folder, *more], split, [*exclude, *others, *scenes])


class Bench:
    """The shipped bundle, what lessons are composed of, and the scores."""

    def __init__(
        self, folder: str, teach: Sequence[str], old_frames: int, split: Split = "test", bundle: Path | None = None
    ) -> None:
        self.bundle = read_bundle(bundle or default_bundle_path())
        self.network = network_from_bundle(self.bundle)
        self.parent = default_adapter(self.bundle)
        self.old = tuple(name for _, name in self.parent.classes)
        self.train = load(folder, "train", (*teach, *BESIDE))
        self.test = load(folder, split, (*teach, *self.old), ("procedural:10",))
        permissive = load(folder, split, self.old, ("procedural:10",), ("nc/*",))
        self.scorer = Scorer(self.network)
        config = self.network.config
        self.form: dict[str, Any] = {"size": (config.frame_height_px, config.frame_width_px), "samples": config.sound_samples}
        rows = {name: row for row, name in self.parent.classes}
        source = CaseSource(permissive, self.old, rows, **self.form)
        self.kept_old = [self.scorer.keep(source, name, old_frames, 7) for name in OLD_SCENARIOS]
        self.kept_new: dict[str, list[Kept]] = {}

    def score_old(self, adapter: Adapter) -> dict[str, Any]:
        """IoU of each old class, the mean over the scenarios; and what stands beside them, marked or not."""
        scores = [self.scorer.score(adapter, kept) for kept in self.kept_old]
        by_class = {name: float(np.mean([s["class_iou"].get(name, 0.0) for s in scores])) for name in self.old}
        return {
            "class_iou": by_class,
            "mean": float(np.mean(list(by_class.values()))),
            "binary_iou": float(np.mean([s["binary_iou"] for s in scores])),
            "recalled": {name: asdict(one) for name, one in recall_of(self.network).items()},
        }

    def score_new(self, adapter: Adapter, cls: str, frames: int) -> dict[str, Any]:
        """Of one taught class; with its own sound, with a sound of something else, and muted."""
        rows = {name: row for row, name in adapter.classes}
        if cls not in self.kept_new:
            source = Only(self.test, (cls, *self.old), rows, **self.form)
            self.kept_new[cls] = [self.scorer.keep(source, name, frames, 8) for name in NEW_SCENARIOS]
        kept = self.kept_new[cls]
        scores = {one.name: self.scorer.score(adapter, one) for one in kept}
        result = {name: {"iou": s["class_iou"].get(cls, 0.0), "binary_iou": s["binary_iou"]} for name, s in scores.items()}
        other = self.kept_old[0].listened
        swapped = other[torch.arange(len(kept[0].cases)) * 5 % len(other)]
        silence = listen(self.network, np.zeros((1, self.form["samples"]), np.float32)).expand(len(kept[0].cases), -1, -1)
        result["swapped"] = self.scorer.marked(adapter, kept[0], swapped)
        result["muted"] = self.scorer.marked(adapter, kept[0], silence)
        return result


def learn(  # noqa: PLR0917
    bench: Bench, parent: Adapter, new: Sequence[Exemplar], memory: Sequence[Exemplar], options: LearnOptions, seed: int
) -> tuple[Adapter, dict[str, Any]]:
    """One lesson, and what it cost in seconds of processor and of time."""
    began, cpu = time.perf_counter(), time.process_time()  # noqa: TID251  a measurement
    training = LessonTraining(bench.network, parent, new, memory, options, seed)
    composed, log = 0.0, []
    while training.done < training.steps:
        losses = training.step()
        if losses:
            log.append(losses)
        else:
            composed = time.process_time() - cpu
    seconds = {
        "processor": time.process_time() - cpu,
        "of_it_composing": composed,
        "wall": time.perf_counter() - began,  # noqa: TID251
    }
    last = {name: float(np.mean([line.get(name, 0.0) for line in log[-20:]])) for name in log[-1]}
    return training.adapter(bench.bundle), {"seconds": seconds, "losses": last}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ingredients", required=True)
    parser.add_argument("--teach", nargs="+", required=True)
    parser.add_argument("--photos", type=int, default=1)
    parser.add_argument("--split", choices=("val", "test"), default="test", help="what is scored on; tune on val only")
    parser.add_argument("--bundle", type=Path, help="in place of the shipped one")
    parser.add_argument("--frames", type=int, default=48, help="cases of each scenario, of a taught class")
    parser.add_argument("--old-frames", type=int, default=120, help="and of all shipped classes together")
    parser.add_argument("--labels", choices=("proposed", "true"), default="proposed")
    parser.add_argument("--exemplars", type=int, default=24, help="of a lesson whose labels are the true ones")
    parser.add_argument("--remembered", type=int, default=8, help="exemplars of each lesson that are rehearsed in later ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", type=LearnOptions.model_validate_json, default=LearnOptions())
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(args.ingredients, args.teach, args.old_frames, args.split, args.bundle)
    store = tempfile.TemporaryDirectory(prefix="cavs-learner-bench-")
    kept_on_disk = Memory(Path(store.name) / "memory")
    adapter, memory = bench.parent, list[Exemplar]()
    steps: list[dict[str, Any]] = [{"taught": None, "old": bench.score_old(adapter)}]
    for number, cls in enumerate(args.teach):
        parts = compose_lesson(bench.train, cls, args.photos, args.seed + number)
        if args.labels == "true":
            label = {"kept": args.exemplars}
            new = true_exemplars(parts, cls, bench.form["samples"], args.exemplars, f"lesson-{number}")
        else:
            new, label = proposed_exemplars(bench, adapter, parts, cls, number)
        adapter, cost = learn(bench, adapter, new, memory, args.options, args.seed)
        memory += new[:: max(1, len(new) // args.remembered)]
        kept_on_disk.keep(new, 16_000, wall_now_ns())
        write_adapter(adapter, Path(store.name) / f"version-{number}")
        taught = args.teach[: number + 1]
        steps.append(
            {
                "taught": cls,
                "photos": len(parts),
                "labels": label,
                **cost,
                "bytes": {
                    "exemplars": kept_on_disk.size_bytes(),
                    "versions": sum(one.stat().st_size for one in Path(store.name).glob("version-*/*")),
                },
                "old": bench.score_old(adapter),
                "new": {name: bench.score_new(adapter, name, args.frames) for name in taught},
            }
        )
        print(json.dumps(steps[-1]), flush=True)
        told = {
            "split": args.split,
            "seed": args.seed,
            "photos": args.photos,
            "labels": args.labels,
            "frames": args.frames,
            "old_frames": args.old_frames,
            "options": args.options.model_dump(),
        }
        args.out.write_text(json.dumps({**told, "bundle": bench.bundle.id, "steps": steps}, indent=1) + "\n")


if __name__ == "__main__":
    main()
