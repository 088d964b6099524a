"""Teaches classes to the shipped bundle from composed streams of 20 s and scores old and new on pictures and sounds never seen.

python scripts/learner_bench.py --ingredients DIR --teach cat trumpet --photos 1 --out docs/measured/learner.json

The lesson shows photographs and recordings of split `train`; scores are of split `test`. What the learner itself has is the
bundle and what our own code draws.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learner_lessons import BESIDE, compose_lesson, proposed_exemplars, true_exemplars
from learner_scores import Kept, Only, Scorer

from cavs.adapt.data.ingredients import Ingredients, Split
from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.learn.exemplar import Exemplar, without_pauses
from cavs.adapt.learn.features import listen
from cavs.adapt.learn.from_bundle import network_from_bundle
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.recall import recall_of
from cavs.adapt.learn.training import LessonTraining
from cavs.adapt.scenarios import CaseSource
from cavs.adapt.serve.memory import Memory
from cavs.runtime.adapter import Adapter, default_adapter, write_adapter
from cavs.runtime.bundle import default_bundle_path, read_bundle
from cavs.runtime.lesson import wall_now_ns

OLD_SCENARIOS = ("alone", "one_silent", "two_sound")
NEW_SCENARIOS = ("alone", "one_silent", "off_mixed")
STOPPED = "stopped"
"""It fell silent 0.65 s before the window ends, or earlier."""


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
        """Of one taught class; with its own sound, with one that has stopped, with a sound of something else, and muted."""
        rows = {name: row for row, name in adapter.classes}
        if cls not in self.kept_new:
            source = Only(self.test, (cls, *self.old), rows, **self.form)
            self.kept_new[cls] = [self.scorer.keep(source, name, frames, 8) for name in (*NEW_SCENARIOS, STOPPED)]
        *kept, stopped = self.kept_new[cls]
        scores = {one.name: self.scorer.score(adapter, one) for one in kept}
        result = {
            name: {"iou": s["class_iou"].get(cls, 0.0), "binary_iou": s["binary_iou"], "causes": s.get("causes")}
            for name, s in scores.items()
        }
        other = self.kept_old[0].listened
        swapped = other[torch.arange(len(kept[0].cases)) * 5 % len(other)]
        silence = listen(self.network, np.zeros((1, self.form["samples"]), np.float32)).expand(len(kept[0].cases), -1, -1)
        result[STOPPED] = self.scorer.marked(adapter, stopped, stopped.listened)
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
            new, label = proposed_exemplars(bench.network, adapter, parts, cls, number)
        adapter, cost = learn(bench, adapter, new, memory, args.options, args.seed)
        for some in without_pauses(new):
            memory += some[:: max(1, len(some) // args.remembered)]
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
