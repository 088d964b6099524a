"""Pictures of finished runs: the results matrix, what was learned over time, forgetting against forward transfer, collisions.

One file for each protocol, measure and kind. Where a method ran with several seeds, the mean is drawn.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cavs.adapt.bench.report import RunRecord
from cavs.runtime.errors import AdaptError

ACROSS = 4
"""Small pictures in a row."""
SMALL_INCHES = 2.6
LEGIBLE = 8
"""Rows up to which a number is written into each cell."""
NAMED = 16
"""Classes up to which they are named along the axes."""
DOTS_PER_INCH = 110
COLOURS, STYLES = 10, ("-", "--", ":", "-.")
"""Lines have these colours in turn, and another style after each round."""

Floats = npt.NDArray[np.float64]
Runs = Sequence[RunRecord]
ByLabel = Mapping[str, Runs]


def write_plots(runs: Runs, folder: Path) -> list[Path]:
    """Writes all pictures that the runs have numbers for. AdaptError if the disk refuses."""
    drawn: list[tuple[str, Figure | None]] = []
    for protocol, labels in _by_protocol(runs).items():
        for measure in sorted({name for one in labels.values() for run in one for name in run.measures}):
            measured = {label: [run for run in one if measure in run.measures] for label, one in labels.items()}
            kept = {label: one for label, one in measured.items() if one}
            for kind, draw in KINDS.items():
                drawn.append((f"{protocol}-{measure}-{kind}", draw(kept, measure)))
        drawn.append((f"{protocol}-collisions", collisions(labels)))
        drawn.append((f"{protocol}-confusions", confusions(labels)))
    return [_write(figure, folder / f"{file_name(name)}.png") for name, figure in drawn if figure is not None]


def heat_maps(labels: ByLabel, measure: str) -> Figure | None:
    """R[t, i] of every method: after each task (down) the score on each task (across)."""
    return _small_multiples(
        {label: _mean([run.matrix(measure).scores for run in runs]) for label, runs in labels.items()},
        title=measure, down="after task", across="score on task", top=None,
    )  # fmt: skip


def curves(labels: ByLabel, measure: str) -> Figure | None:
    """The score on everything learned so far, after every task, best at the end first; a band of one standard deviation over
    seeds."""
    figure, axes = _figure(7, 4.5)
    known = {label: [run.matrix(measure).seen for run in runs] for label, runs in labels.items()}
    best_first = sorted(known.items(), key=lambda item: -float(_mean(item[1])[-1]))
    for number, (label, seen) in enumerate(best_first):
        mean, steps = _mean(seen), np.arange(1, len(seen[0]) + 1)
        style = STYLES[number // COLOURS % len(STYLES)]
        (line,) = axes.plot(steps, mean, style, color=f"C{number % COLOURS}", marker="o", markersize=3, label=label)
        if len(seen) > 1:
            deviation = np.std(np.stack(seen), axis=0, ddof=1)
            axes.fill_between(steps, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_xlabel("tasks learned")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(f"{measure}, all that was learned")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def transfer_against_forgetting(labels: ByLabel, measure: str) -> Figure | None:
    """Forgetting (to the left is better) against forward transfer (up is better). None where transfer is not defined."""
    points = {
        label: np.array([[run.matrix(measure).forgetting, run.matrix(measure).forward_transfer] for run in runs])
        for label, runs in labels.items()
    }
    known = {label: of_runs for label, of_runs in points.items() if np.isfinite(of_runs).all()}
    if not known:
        return None
    figure, axes = _figure(6, 4.5)
    for label, of_runs in known.items():
        mean = of_runs.mean(0)
        deviation = of_runs.std(0, ddof=1) if len(of_runs) > 1 else np.zeros(2)
        axes.errorbar(mean[0], mean[1], xerr=deviation[0], yerr=deviation[1], fmt="o", markersize=5, capsize=2)
        axes.annotate(label, mean, textcoords="offset points", xytext=(5, 4), fontsize=7)
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.axvline(0, color="grey", linewidth=0.6)
    axes.set_xlabel(f"forgetting ({measure})")
    axes.set_ylabel(f"forward transfer ({measure})")
    return figure


KINDS: dict[str, Callable[[ByLabel, str], Figure | None]] = {
    "heat": heat_maps,
    "curve": curves,
    "transfer": transfer_against_forgetting,
}
"""What is drawn for each measure."""


def collisions(labels: ByLabel) -> Figure | None:
    """Clips in which the old network mistook a new class (across) for an old one (down), summed over tasks, a mean of seeds;
    only of methods that count them, as CSR does."""
    counting = {label: [run for run in runs if any(run.collisions)] for label, runs in labels.items()}
    found = {label: _mean([collision_matrix(run) for run in runs]) for label, runs in counting.items() if runs}
    names = _class_names(labels)
    return _small_multiples(
        found, title="collisions (clips)", down="old class", across="new class", names=names, top=None, whole=True
    )


def confusions(labels: ByLabel) -> Figure | None:
    """Share of each true class's pixels (down) by predicted class (across) after the last task, a mean of seeds."""
    counting = {label: [run for run in runs if any(run.confusions)] for label, runs in labels.items()}
    found = {label: _mean([confusion_shares(run) for run in runs]) for label, runs in counting.items() if runs}
    names = ("background", *_class_names(labels))
    return _small_multiples(found, title="confusion at the end", down="truth", across="predicted", names=names)


def collision_matrix(run: RunRecord) -> Floats:
    """(K, K) clips by old and new class, in the order they were learned."""
    size = sum(len(task) for task in run.tasks)
    counts = np.zeros((size, size))
    for of_task in run.collisions:
        for old, new, _ in of_task:
            counts[old - 1, new - 1] += 1
    return counts


def confusion_shares(run: RunRecord) -> Floats:
    """Rows sum to 1; NaN where truth never has the class."""
    pixels = np.array(run.confusions[-1], np.float64)
    total = pixels.sum(1, keepdims=True)
    shares = np.full_like(pixels, np.nan)
    np.divide(pixels, total, out=shares, where=total > 0)
    return shares


def _by_protocol(runs: Runs) -> dict[str, dict[str, list[RunRecord]]]:
    """Runs by protocol, then by label."""
    found: dict[str, dict[str, list[RunRecord]]] = {}
    for run in sorted(runs, key=lambda one: (one.protocol, one.label, one.seed)):
        found.setdefault(run.protocol, {}).setdefault(run.label, []).append(run)
    return found


def _mean(of_runs: Sequence[Floats]) -> Floats:
    """NaN where one of them is."""
    return np.asarray(np.mean(np.stack(of_runs), axis=0))


def _class_names(labels: ByLabel) -> tuple[str, ...]:
    run = next(iter(labels.values()))[0]
    return tuple(name for task in run.tasks for name in task)


def _small_multiples(
    matrices: Mapping[str, Floats],
    *,
    title: str,
    down: str,
    across: str,
    names: Sequence[str] = (),
    top: float | None = 1.0,
    whole: bool = False,
) -> Figure | None:
    """One picture of each matrix on a common scale, 0 to `top` or to the largest value, its numbers `whole` ones or not. None
    without matrices."""
    if not matrices:
        return None
    columns = min(ACROSS, len(matrices))
    rows = -(-len(matrices) // columns)
    figure = Figure(figsize=(SMALL_INCHES * columns + 1, SMALL_INCHES * rows + 0.6), layout="constrained")
    highest = max(float(np.nanmax(matrix, initial=0)) for matrix in matrices.values()) if top is None else top
    picture: Any = None
    for number, (label, matrix) in enumerate(matrices.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        picture = axes.imshow(matrix, vmin=0, vmax=highest or 1, cmap="viridis")
        axes.set_title(label, fontsize=8)
        axes.set_xlabel(across, fontsize=7)
        axes.set_ylabel(down, fontsize=7)
        _ticks(axes, len(matrix), names)
        if len(matrix) <= LEGIBLE:
            _numbers(axes, matrix, (highest or 1) / 2, whole)
    figure.colorbar(picture, ax=figure.axes, shrink=0.7)
    figure.suptitle(title, fontsize=9)
    return figure


def _ticks(axes: Any, size: int, names: Sequence[str]) -> None:
    if names and size <= NAMED:
        axes.set_xticks(range(size), names[:size], rotation=90, fontsize=6)
        axes.set_yticks(range(size), names[:size], fontsize=6)
    elif not names and size <= NAMED:
        axes.set_xticks(range(size), range(1, size + 1), fontsize=6)
        axes.set_yticks(range(size), range(1, size + 1), fontsize=6)


def _numbers(axes: Any, matrix: Floats, middle: float, whole: bool) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            text = f"{value:.0f}" if whole else f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if value < middle else "black")


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _write(figure: Figure, file: Path) -> Path:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(str(file))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise AdaptError(f"{file}: not written ({error.strerror}); give another --out") from error
    return file


def file_name(text: str) -> str:
    """The text with only what any file system takes."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
