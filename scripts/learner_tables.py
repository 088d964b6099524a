#!/usr/bin/env python3
"""Prints the tables of docs/learning.md from what `learner_bench.py` and `learner_live.py` wrote.

python scripts/learner_tables.py docs/measured/learner*.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

SITUATIONS = ("alone", "one_silent", "off_mixed")
COLUMNS = (
    *("photographs", "taught", "class", "alone", "one + one silent", "off-screen mix", "swapped: IoU with the thing"),
    *("windows marked after it stopped", "muted: mask mass", "shipped classes: mean before", "after", "CPU s"),
)
KINDS = {"sounding": "while it sounds", "paused": "while it is silent", "elsewhere": "elsewhere", "others": "of the others"}
FEW = 3
"""Steps of a bench, the one before any lesson among them, that are shown with a row for each class."""


def lessons(told: dict[str, Any]) -> list[str]:
    """A row for each lesson and each class that was taught until then."""
    before, rows = told["steps"][0]["old"]["mean"], []
    for step in told["steps"][1:]:
        for name, new in step["new"].items():
            own = name == step["taught"]
            cells = [
                str(told["photos"]),
                step["taught"],
                name,
                *(f"{new[one]['iou']:.3f}" for one in SITUATIONS),
                f"{new['swapped']['iou_with_thing']:.3f}",
                f"{new['stopped']['marked_above_1_percent']:.0%}",
                f"{new['muted']['mask_mass']:.4f}",
                f"{before:.3f}" if own else "",
                f"{step['old']['mean']:.3f}" if own else "",
                f"{step['seconds']['processor']:.0f}" if own else "",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def sequence(told: dict[str, Any]) -> list[str]:
    """A row for each lesson of many: the IoU of every class, alone and beside something silent, and the bytes on disk."""
    classes = [step["taught"] for step in told["steps"][1:]]
    head = ("taught", *classes, "shipped classes", "exemplars, MiB", "versions, MiB")
    rows = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *_first_row(told, classes)]
    for step in told["steps"][1:]:
        new, size = step["new"], step["bytes"]
        cells = [step["taught"]]
        for name in classes:
            cells.append(" / ".join(f"{new[name][one]['iou']:.2f}" for one in SITUATIONS[:2]) if name in new else "")
        cells.append(f"{step['old']['mean']:.3f}")
        cells += [f"{size[what] / 2**20:.1f}" for what in ("exemplars", "versions")]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _first_row(told: dict[str, Any], classes: list[str]) -> list[str]:
    empty = " | ".join("" for _ in classes)
    return [f"| nothing | {empty} | {told['steps'][0]['old']['mean']:.3f} | | |"]


def live(told: dict[str, Any]) -> list[str]:
    """What a stream felt in each lesson, and what was named."""
    rows = ["| | seconds | windows/s | p50 ms | p99 ms | max ms | of the windows it is named in |", f"|{' --- |' * 7}"]
    for lesson in told["lessons"]:
        named = lesson["windows_that_name_it"]
        for name, when in (("alone", "before"), ("learning", ""), ("afterwards", "after")):
            span, share = lesson[name], named.get(when, {})
            cells = [
                f"{lesson['name']}, {name}",
                *(str(span[what]) for what in ("seconds", "fps", "p50_ms", "p99_ms", "max_ms")),
            ]
            cells.append(", ".join(f"{share[kind]:.0%} {text}" for kind, text in KINDS.items() if kind in share))
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def tried(told: dict[str, Any]) -> list[str]:
    """What was tried on val, and what a threshold on the presence of the taught class would do."""
    head = ("what", "class", *SITUATIONS, "swapped", "shipped classes, points", "heard in unseen", "in shipped classes")
    rows = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for run in told["runs"]:
        cells = [run["what"], run["class"], *(f"{run[name]:.3f}" for name in (*SITUATIONS, "swapped"))]
        cells.append(f"{run['shipped_points']:+.1f}")
        cells += [f"{run[name]:.2f}" for name in ("heard_in_unseen", "heard_in_shipped_classes")]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def labels(told: dict[str, Any]) -> list[str]:
    """With a box and without a hint: lessons, refusals, and of the others the overlap with the truth."""
    rows = ["| hint | lessons | refused | overlap of the outline | kept windows that sound |", f"|{' --- |' * 5}"]
    for hint in dict.fromkeys(one["hint"] for one in told["lessons"]):
        mine = [one for one in told["lessons"] if one["hint"] == hint]
        taken = [one for one in mine if not one["refused"]]
        shares = [sum(one[what] for one in taken) / len(taken) for what in ("outline_iou", "of_them_sound")] if taken else []
        cells = [hint, str(len(mine)), str(len(mine) - len(taken)), *(f"{share:.2f}" for share in shares)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    told = [json.loads(path.read_text()) for path in parser.parse_args().files]
    benches = [one for one in told if 1 < len(one.get("steps", ())) <= FEW]
    if benches:
        print(f"| {' | '.join(COLUMNS)} |")
        print(f"|{' --- |' * len(COLUMNS)}")
        print("\n".join(row for one in benches for row in lessons(one)))
    for one in told:
        if len(one.get("steps", ())) > FEW:
            print("\n" + "\n".join(sequence(one)))
        if "runs" in one:
            print("\n" + "\n".join(tried(one)))
        if "lessons" in one:
            print("\n" + "\n".join(live(one) if "versions" in one else labels(one)))


if __name__ == "__main__":
    main()
