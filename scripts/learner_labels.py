"""How well lessons are labelled with a box around the thing, and without any hint: refusals, and overlap with the truth.

python scripts/learner_labels.py --ingredients DIR --classes cat drum --lessons 6 --out docs/measured/learner-labels.json

Lessons of one photograph, 10 s long, of split `val`.
"""

import argparse
import json
from pathlib import Path

import torch
from learner_bench import load
from learner_lessons import BESIDE, compose_lesson, proposed_exemplars

from cavs.adapt.learn.from_bundle import network_from_bundle
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import default_bundle_path, read_bundle

SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ingredients", required=True)
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--lessons", type=int, default=6, help="of each class")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    bundle = read_bundle(default_bundle_path())
    network, parent = network_from_bundle(bundle), default_adapter(bundle)
    ingredients = load(args.ingredients, "val", (*args.classes, *BESIDE))
    lessons = []
    for cls in args.classes:
        for seed in range(args.lessons):
            parts = compose_lesson(ingredients, cls, 1, seed, SECONDS)
            for hint in ("box", "none"):
                _, label = proposed_exemplars(network, parent, parts, cls, seed, hinted=hint == "box")
                lessons.append({"class": cls, "seed": seed, "hint": hint, **label})
                print(json.dumps(lessons[-1]), flush=True)
    told = {"bundle": bundle.id, "split": "val", "seconds": SECONDS, "lessons": lessons}
    args.out.write_text(json.dumps(told, indent=1) + "\n")
    for hint in ("box", "none"):
        mine = [one for one in lessons if one["hint"] == hint]
        taken = [one for one in mine if not one["refused"]]
        outline, sound = (sum(one[what] for one in taken) / max(1, len(taken)) for what in ("outline_iou", "of_them_sound"))
        refused = len(mine) - len(taken)
        print(f"{hint}: {len(mine)} lessons, {refused} refused; outline {outline:.2f}, windows that sound {sound:.2f}")


if __name__ == "__main__":
    main()
