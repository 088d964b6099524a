#!/usr/bin/env python3
"""Writes the tables of docs/model.md and MODEL_CARD.md from the scores in docs/scores/*.json; --check only compares.

Scores are what `cavs-adapt evaluate` wrote.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import page_tables
from page_tables import table

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "docs" / "scores"
PAGES = (ROOT / "docs" / "model.md", ROOT / "MODEL_CARD.md")
SITUATIONS = {
    "alone": "one alone",
    "one_silent": "one + one silent",
    "two_sound": "two + one silent",
    "off_mixed": "visible + off-screen mix",
    "real": "real scenes",
}
EMPTY = {
    "off_only": "off-screen only",
    "no_target": "no target sound",
    "stopped": "stopped over 0.65 s ago",
    "silence": "digital silence",
}
MISTAKEN = 8  # kinds of sound named
Report = dict[str, Any]


def load(name: str) -> list[Report]:
    """The reports of one network, or of several seeds (NAME-seed0.json, ...)."""
    files = [SCORES / f"{name}.json"] if (SCORES / f"{name}.json").exists() else sorted(SCORES.glob(f"{name}-seed*.json"))
    if not files:
        raise SystemExit(f"model_tables: {SCORES / name}*.json: no such scores; run cavs-adapt evaluate --out there")
    return [json.loads(file.read_text()) for file in files]


def cell(reports: Sequence[Report], scenario: str, measure: str, digits: int = 3) -> str:
    """Mean over seeds with its deviation, or the one value."""
    values = [r["scenarios"][scenario][measure] for r in reports if scenario in r["scenarios"]]
    values = [value for value in values if value is not None]
    if not values:
        return ""
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"


def masks(name: str) -> str:
    reports = load(name)
    head = ["situation", "frames", "binary IoU", "class mIoU, dataset", "class mIoU, AVSS", "MaxF", "IoU with the silent one"]
    rows = [
        [
            title,
            str(reports[0]["scenarios"][key]["frames"]),
            *(
                cell(reports, key, measure)
                for measure in ("binary_iou", "class_miou_dataset", "class_miou_avss", "max_f", "swapped_iou")
            ),
        ]
        for key, title in SITUATIONS.items()
        if key in reports[0]["scenarios"]
    ]
    return table(head, rows)


def empties(name: str) -> str:
    reports = load(name)
    rows = [
        [
            title,
            str(reports[0]["scenarios"][key]["frames"]),
            cell(reports, key, "mask_mass", 4),
            cell(reports, key, "frames_above_1_percent"),
        ]
        for key, title in EMPTY.items()
        if key in reports[0]["scenarios"]
    ]
    return table(["nothing to mark", "frames", "mask mass", "frames marked above 1 %"], rows)


def by_class(name: str) -> str:
    reports = load(name)
    rows = []
    for cls in reports[0]["classes"]:
        row = [cls]
        for key in ("alone", "one_silent", "two_sound"):
            values = [r["scenarios"][key]["class_iou"].get(cls) for r in reports]
            known = [value for value in values if value is not None]
            row.append(f"{mean(known):.2f}" if known else "")
        rows.append(row)
    return table(["class IoU, dataset", *(SITUATIONS[key] for key in ("alone", "one_silent", "two_sound"))], rows)


def causes(name: str) -> str:
    """How often each sense, by itself, was right, and what the mask was worth when both were; means over seeds."""
    reports = load(name)
    measures = ("heard", "seen", "both", "binary_iou_if_both", "binary_iou_otherwise")
    rows = []
    for key, title in SITUATIONS.items():
        found = [r["scenarios"][key]["causes"] for r in reports if "causes" in r["scenarios"].get(key, {})]
        if found:
            rows.append([title, *(f"{mean(one[measure] for one in found):.2f}" for measure in measures)])
    return table(["situation", "heard right", "seen right", "both", "binary IoU if both", "otherwise"], rows)


def onset(name: str) -> str:
    rows = []
    for report in load(name):
        o = report["onset"]
        rows.append([
            str(o["streams"]), str(o["found"]), f"{o['median_ms']:.0f} ms", f"{o['p90_ms']:.0f} ms", str(o["marked_before"]),
        ])  # fmt: skip
    return table(["streams", "object found", "median onset to mask", "90th percentile", "marked before it began"], rows)


def points(name: str, measure: str) -> list[Report]:
    """The reports of a curve, in order: NAME-*.json, each with another value of `measure`."""
    return sorted(
        (json.loads(file.read_text()) for file in SCORES.glob(f"{name}-*.json")), key=lambda report: _at(report, measure)
    )


def _at(report: Report, measure: str) -> float:
    return float(report["heard_seconds"] if measure == "heard_seconds" else report["onset"]["hop_ms"])


def windows(name: str) -> str:
    """Scores over how much of the window's sound is heard."""
    shown = [key for key in SITUATIONS if key != "real"]
    rows = [
        [
            f"{report['heard_seconds']:g} s",
            *(
                f"{report['scenarios'][key]['binary_iou']:.3f} / {report['scenarios'][key]['class_miou_dataset']:.3f}"
                for key in shown
            ),
            f"{report['scenarios']['no_target']['mask_mass']:.4f}",
            f"{report['onset']['median_ms']:.0f} ms",
        ]
        for report in points(name, "heard_seconds")
    ]
    return table(["sound heard", *(SITUATIONS[key] for key in shown), "no target: mass", "median onset to mask"], rows)


def ablation(name: str) -> str:
    """Runs that differ in one setting: NAME/*.json, each row called as its file is."""
    shown = [key for key in SITUATIONS if key != "real"]
    rows = []
    for file in sorted((SCORES / name).glob("*.json")):
        found = json.loads(file.read_text())["scenarios"]
        pairs = [f"{found[key]['binary_iou']:.3f} / {found[key]['class_miou_dataset']:.3f}" for key in shown]
        masses = [f"{found[key]['mask_mass']:.4f}" for key in ("off_only", "no_target")]
        rows.append([file.stem.replace("-", " "), *pairs, f"{found['one_silent']['swapped_iou']:.3f}", *masses])
    head = ["run", *(SITUATIONS[key] for key in shown), "IoU with the silent one", "off-screen only: mass", "no target: mass"]
    return table(head, rows)


def mistaken(name: str) -> str:
    """What sounded in the windows that were marked most although no target sounded, by the folders of the recordings."""
    reports = [report["scenarios"]["no_target"] for report in load(name)]
    whole = sum(report["mask_mass"] * report["frames"] for report in reports)
    masses: dict[str, list[float]] = {}
    for report in reports:
        for one in report["worst"]:
            kinds = {Path(source).parent.name for source in one["sources"] if "audio" in Path(source).parts}
            masses.setdefault(", ".join(sorted(kinds)), []).append(one["mask_mass"])
    most = sorted(masses.items(), key=lambda kind: -sum(kind[1]))[:MISTAKEN]
    rows = [[kind, str(len(found)), f"{sum(found) / whole:.0%}"] for kind, found in most]
    return table(["what sounds", "windows", "share of all that is marked"], rows)


def hops(name: str) -> str:
    """Latency of recognition over the time from one window to the next."""
    rows = []
    for report in points(name, "hop_ms"):
        o = report["onset"]
        rows.append(
            [f"{o['hop_ms']:g} ms", f"{o['found']} of {o['streams']}", f"{o['median_ms']:.0f} ms", f"{o['p90_ms']:.0f} ms"]
        )
    return table(["hop", "object found", "median onset to mask", "90th percentile"], rows)


TABLES: dict[str, Callable[[str], str]] = {
    "masks": masks, "empty": empties, "classes": by_class, "onset": onset, "windows": windows, "hops": hops,
    "ablation": ablation, "mistaken": mistaken, "causes": causes,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(page_tables.main(PAGES, TABLES, (__doc__ or "").splitlines()[0]))
