#!/usr/bin/env python3
"""Writes the tables of docs/continual.md from the records in docs/continual/*.runs.jsonl; --check only compares.

Records are what `scripts/continual.py tables` collected; those in `continual.runs.jsonl`, and those in `mixed.runs.jsonl`,
which were run before `cavs` kept clips at random, have the recipe of the page; a file of another name says what differs.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import page_tables
from page_tables import table

from cavs.adapt.bench.report import COLLECTED, RunRecord, read_runs

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "continual.md"
RECORDS = ROOT / "docs" / "continual"
PLAIN = ("continual", "mixed")
DATASET, AVSS = "class_miou_dataset", "class_miou_avss"
OURS = ("cavs", "lra")
"""Their variants make the table of ablations."""
BASELINE = "mib"
REHEARSING = ("cavs", "cmr", "er", "mib", "joint")
"""Methods whose confusions are shown pixel by pixel."""
Runs = Mapping[str, Sequence[RunRecord]]
"""By label, in the order of seeds."""


def load(protocol: str, files: Iterable[Path]) -> Runs:
    """Records of a protocol, best final score first."""
    found: dict[str, list[RunRecord]] = {}
    for file in files:
        differs = file.name.removesuffix(COLLECTED[1:])
        for run in read_runs(file):
            if run.protocol == protocol:
                label = run.label if differs in PLAIN else f"{run.label}, {differs}"
                found.setdefault(label, []).append(run)
    by_seed = {label: sorted(runs, key=lambda run: run.seed) for label, runs in found.items()}
    return dict(sorted(by_seed.items(), key=lambda item: (-mean(finals(item[1])), item[0])))


def with_the_recipe(protocol: str) -> Runs:
    files = (RECORDS / f"{name}{COLLECTED[1:]}" for name in PLAIN)
    return load(protocol, [file for file in files if file.exists()])


def finals(runs: Sequence[RunRecord], measure: str = DATASET) -> list[float]:
    return [run.matrix(measure).final for run in runs]


def spread(values: Sequence[float]) -> str:
    """Mean and sample deviation; the one value."""
    if not values:
        return ""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def is_ours_changed(runs: Sequence[RunRecord]) -> bool:
    return runs[0].method in OURS and bool(runs[0].options)


def scores(protocol: str) -> str:
    """Every method with the page's recipe; ours changed only where they were not run as they are."""
    known = with_the_recipe(protocol)
    shown = {label: runs for label, runs in known.items() if not is_ours_changed(runs) or runs[0].method not in known}
    return score_table(shown, known)


def ablation(protocol: str) -> str:
    """Ours, as they are and changed, with the page's recipe and with others; and whatever else has another recipe."""
    files = sorted(RECORDS.glob(COLLECTED))
    known = load(protocol, files)
    shown = {label: runs for label, runs in known.items() if runs[0].method in OURS or label != runs[0].label}
    return score_table(shown, known)


def score_table(shown: Runs, known: Runs) -> str:
    """known: holds the runs that all are compared with, seed by seed."""
    base = {run.seed: run.matrix(DATASET).final for run in known.get(BASELINE, ())}
    tasks = next(iter(shown.values()))[0].tasks
    head = ["method", "final", f"less {BASELINE}", *(f"{task[0]} ..." for task in tasks), "forgetting"]
    head += ["final, avss", "average incremental", "clips kept", "steps", "seeds"]
    rows = []
    for label, runs in shown.items():
        matrices = [run.matrix(DATASET) for run in runs]
        rows.append(
            [
                label,
                spread([matrix.final for matrix in matrices]),
                spread([run.matrix(DATASET).final - base[run.seed] for run in runs if run.seed in base]),
                *(f"{mean(float(matrix.scores[-1, task]) for matrix in matrices):.3f}" for task in range(len(tasks))),
                spread([matrix.forgetting for matrix in matrices]),
                spread(finals(runs, AVSS)),
                spread([matrix.average_incremental for matrix in matrices]),
                f"{mean(run.memory_clips for run in runs):.0f}",
                " + ".join(map(str, runs[0].steps)),
                str(len(runs)),
            ]
        )
    return table(head, rows)


def marks(protocol: str) -> str:
    """What is marked at the end, as shares of the pixels where some class sounds."""
    known = with_the_recipe(protocol)
    head = ["method", "right class", "another class", "as background", "background marked"]
    return table(head, [[label, *map(spread, zip(*map(shares_marked, runs), strict=True))] for label, runs in known.items()])


def shares_marked(run: RunRecord) -> tuple[float, float, float, float]:
    confusion = np.array(run.confusions[-1], float)
    sounding, marked = confusion[1:].sum(), confusion[1:, 1:]
    right, some, too_much = np.trace(marked), marked.sum(), confusion[0, 1:].sum()
    shares = np.array([right, some - right, sounding - some, too_much]) / sounding
    return shares[0], shares[1], shares[2], shares[3]


def pairs(protocol: str) -> str:
    """Of the pixels of a pair's classes that are marked as either of them at the end, the share marked as the wrong one."""
    known = with_the_recipe(protocol)
    names = {label: [one_pair_wrong(run) for run in runs] for label, runs in known.items()}
    every = sorted({pair for of_label in names.values() for of_run in of_label for pair in of_run})
    rows = [
        [
            label,
            *(spread(numbers(of_run.get(pair) for of_run in names[label])) for pair in every),
            spread(numbers(pixels_wrong(run, every) for run in runs)),
        ]
        for label, runs in known.items()
    ]
    return table(["method", *(f"{a}, {b}" for a, b in every), "all pairs"], rows)


def numbers(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def matrices(protocol: str) -> str:
    """Pixels of the most mistaken pair at the end, truth in rows, a mean over seeds; of methods that rehearse, and bounds."""
    known = {label: runs for label, runs in with_the_recipe(protocol).items() if runs[0].method in REHEARSING}
    wrong = {
        pair: [one_pair_wrong(run)[pair] or 0 for runs in known.values() for run in runs] for pair in paired_classes(known)
    }
    worst = max(sorted(wrong), key=lambda pair: mean(wrong[pair]))
    rows = []
    for label, runs in known.items():
        for truth in worst:
            line = np.mean([line_of(run, truth, worst) for run in runs], axis=0)
            rows.append([label, truth, *(f"{pixels:.0f}" for pixels in line)])
    return table(["method", "truth", "as background", *(f"as {name}" for name in worst), "as others"], rows)


def paired_classes(known: Runs) -> list[tuple[str, str]]:
    from continual import PAIRS

    classes = {name for runs in known.values() for task in runs[0].tasks for name in task}
    return [pair for pair in PAIRS if set(pair) <= classes]


def place(run: RunRecord, name: str) -> int:
    """Its row in a confusion matrix."""
    return 1 + [one for task in run.tasks for one in task].index(name)


def line_of(run: RunRecord, truth: str, pair: tuple[str, str]) -> list[float]:
    line = np.array(run.confusions[-1][place(run, truth)], float)
    named = [line[0], *(line[place(run, name)] for name in pair)]
    return [*named, line.sum() - sum(named)]


def one_pair_wrong(run: RunRecord) -> dict[tuple[str, str], float | None]:
    return {pair: pixels_wrong(run, [pair]) for pair in paired_classes({"": [run]})}


def pixels_wrong(run: RunRecord, of_pairs: Iterable[tuple[str, str]]) -> float | None:
    """None where no pixel is marked as one of a pair."""
    wrong = right = 0.0
    for a, b in of_pairs:
        one, other = line_of(run, a, (a, b)), line_of(run, b, (a, b))
        wrong += one[2] + other[1]
        right += one[1] + other[2]
    return wrong / (wrong + right) if wrong + right else None


TABLES: dict[str, Callable[[str], str]] = {
    "scores": scores, "marks": marks, "ablation": ablation, "pairs": pairs, "matrices": matrices,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(page_tables.main((PAGE,), TABLES, (__doc__ or "").splitlines()[0]))
