"""Tables of finished runs, mean and standard deviation over seeds; one table for each protocol and measure.

A run is `run.json` in a folder of its own. Measures are never mixed in a table: two definitions of mIoU are two measures.
"""

import csv
import io
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from cavs.adapt.bench.results import ResultsMatrix
from cavs.runtime.errors import DataRejected

RUN_FILE = "run.json"
COLLECTED = "*.runs.jsonl"
"""Records of many runs, one a line: what is left of runs whose folders are not kept."""


class RunRecord(BaseModel):
    """What a finished run leaves.

    recipe:     epochs, rates and what else the run was told about learning.
    steps:      of the optimiser in every task, without those of a shared start or of a second network.
    measures:   by name, the matrix as `ResultsMatrix.to_json` gives it.
    confusions: pixels after every task, truth in rows, prediction in columns, background first.
    collisions: of every task (old class, new class, pixels) of each clip that the old network mistook; of methods that look.
    memory_mib: clips kept for later tasks, as they lie on disk, and whatever else the method carries on. None: not measured.
    peak_mib:   the most that the process of the run held in memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    method: str
    options: dict[str, JsonValue]
    seed: int
    tasks: tuple[tuple[str, ...], ...]
    recipe: dict[str, JsonValue] = {}
    steps: list[int] = []
    measures: dict[str, dict[str, JsonValue]]
    confusions: list[list[list[int]]] = []
    collisions: list[list[tuple[int, int, int]]] = []
    memory_clips: int
    memory_mib: float | None = None
    peak_mib: float | None = None
    seconds: float

    def matrix(self, measure: str) -> ResultsMatrix:
        return ResultsMatrix.from_json(dict(self.measures[measure]))

    @property
    def label(self) -> str:
        """The method with the options that were changed."""
        changed = ", ".join(f"{name} {value}" for name, value in sorted(self.options.items()))
        return f"{self.method} ({changed})" if changed else self.method


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation over n seeds; deviation 0 for one."""

    mean: float
    deviation: float
    n: int


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of methods, columns of scores; the highest of the first column comes first."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Spread, ...]], ...]


COLUMNS: dict[str, Callable[[RunRecord, ResultsMatrix], float]] = {
    "final": lambda _, matrix: matrix.final,
    "average incremental": lambda _, matrix: matrix.average_incremental,
    "forgetting": lambda _, matrix: matrix.forgetting,
    "BWT": lambda _, matrix: matrix.backward_transfer,
    "FWT": lambda _, matrix: matrix.forward_transfer,
    "memory (clips)": lambda run, _: float(run.memory_clips),
    "memory (MiB)": lambda run, _: math.nan if run.memory_mib is None else run.memory_mib,
    "peak (MiB)": lambda run, _: math.nan if run.peak_mib is None else run.peak_mib,
    "time (s)": lambda run, _: run.seconds,
}

DIGITS = {"memory (clips)": 0, "memory (MiB)": 1, "peak (MiB)": 0, "time (s)": 0}
"""Decimals of a column; 3 for scores."""


def read_runs(folder: Path) -> list[RunRecord]:
    """Every finished run below a folder, or in one file of collected ones. DataRejected if there is none, or one cannot be
    read."""
    single = sorted(folder.rglob(RUN_FILE))
    collected = [folder] if folder.is_file() else sorted(folder.rglob(COLLECTED))
    runs = []
    for file in (*single, *collected):
        try:
            text = file.read_text()
            runs += [RunRecord.model_validate_json(one) for one in (text.splitlines() if file in collected else [text])]
        except (OSError, ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise DataRejected(f"{file}: not a finished run ({reason}); run it again or move it away") from None
    if not runs:
        raise DataRejected(f"{folder}: no {RUN_FILE} and no {COLLECTED} below it; expected the --out of finished runs")
    return runs


def collect(folder: Path, file: Path) -> int:
    """Writes the records below a folder to one file, one a line; gives how many."""
    runs = read_runs(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(run.model_dump_json() + "\n" for run in runs))
    return len(runs)


def tables(runs: Sequence[RunRecord]) -> list[Table]:
    """One for each protocol and measure, best method first."""
    found = []
    for protocol in sorted({run.protocol for run in runs}):
        of_protocol = [run for run in runs if run.protocol == protocol]
        for measure in sorted({name for run in of_protocol for name in run.measures}):
            by_label: dict[str, list[RunRecord]] = {}
            for run in of_protocol:
                if measure in run.measures:
                    by_label.setdefault(run.label, []).append(run)
            found.append(_table(f"{protocol}, {measure}", measure, by_label))
    return found


def _table(title: str, measure: str, by_label: Mapping[str, Sequence[RunRecord]]) -> Table:
    rows = []
    for label, runs in by_label.items():
        values = [[column(run, run.matrix(measure)) for run in runs] for column in COLUMNS.values()]
        rows.append((label, tuple(spread(of_column) for of_column in values)))
    rows.sort(key=lambda row: (-row[1][0].mean, row[0]))
    return Table(title, tuple(COLUMNS), tuple(rows))


def spread(values: Sequence[float]) -> Spread:
    """NaN where one of the values is."""
    if any(math.isnan(value) for value in values):
        return Spread(math.nan, math.nan, len(values))
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


def to_markdown(table: Table) -> str:
    header = "| method | " + " | ".join(table.columns) + " | seeds |"
    rule = "|---" * (len(table.columns) + 2) + "|"
    rows = [f"| {label} | " + " | ".join(_texts(table, cells)) + f" | {cells[0].n} |" for label, cells in table.rows]
    return "\n".join([f"**{table.title}**", "", header, rule, *rows]) + "\n"


def to_csv(table: Table) -> str:
    """Mean and deviation in columns of their own, in full."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["table", "method", *(f"{name} {part}" for name in table.columns for part in ("mean", "sd")), "seeds"])
    for label, cells in table.rows:
        numbers = [value for cell in cells for value in (cell.mean, cell.deviation)]
        writer.writerow([table.title, label, *numbers, cells[0].n])
    return file.getvalue()


def to_latex(table: Table) -> str:
    """For booktabs."""
    rows = [
        " & ".join([_escaped(label), *(text.replace("±", "$\\pm$") for text in _texts(table, cells))]) + r" \\"
        for label, cells in table.rows
    ]
    head = " & ".join(["method", *map(_escaped, table.columns)]) + r" \\"
    columns = "l" + "r" * len(table.columns)
    body = [r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([f"% {table.title}", rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"]) + "\n"


def _texts(table: Table, cells: Sequence[Spread]) -> list[str]:
    return [_text(cell, DIGITS.get(name, 3)) for name, cell in zip(table.columns, cells, strict=True)]


def _text(cell: Spread, digits: int) -> str:
    if math.isnan(cell.mean):
        return "-"
    deviation = f" ± {cell.deviation:.{digits}f}" if cell.n > 1 else ""
    return f"{cell.mean:.{digits}f}{deviation}"


def _escaped(text: str) -> str:
    return "".join("\\" + letter if letter in "&%$#_{}" else letter for letter in text)
