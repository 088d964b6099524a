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
    *("muted: mask mass", "shipped classes: mean before", "after", "CPU s"),
)


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
                f"{new['muted']['mask_mass']:.4f}",
                f"{before:.3f}" if own else "",
                f"{step['old']['mean']:.3f}" if own else "",
                f"{step['seconds']['processor']:.0f}" if own else "",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def live(told: dict[str, Any]) -> list[str]:
    """What a stream felt."""
    rows = ["| | seconds | windows/s | p50 ms | p99 ms | max ms |", "| --- | --- | --- | --- | --- | --- |"]
    for name in ("alone", "learning", "afterwards"):
        span = told[name]
        rows.append(f"| {name} | {span['seconds']} | {span['fps']} | {span['p50_ms']} | {span['p99_ms']} | {span['max_ms']} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    told = [json.loads(path.read_text()) for path in parser.parse_args().files]
    benches = [one for one in told if "steps" in one]
    if benches:
        print(f"| {' | '.join(COLUMNS)} |")
        print(f"|{' --- |' * len(COLUMNS)}")
        print("\n".join(row for one in benches for row in lessons(one)))
    for one in told:
        if "alone" in one:
            print("\n" + "\n".join(live(one)))


if __name__ == "__main__":
    main()
