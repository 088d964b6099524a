"""What a training run writes while it goes: a progress bar, log.csv and TensorBoard events."""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cavs.adapt.loop import StepReport

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

EVERY_STEPS = 20  # a line of the log is the mean over so many steps
COLUMNS = ("step", "name", "value")


class TrainLog:
    """Logs means over EVERY_STEPS steps and every score. A run that goes on appends to what is there.

    Used as a context: the bar and the files are closed with it.
    """

    def __init__(self, folder: Path, steps: int, console: Console | None = None) -> None:
        self._folder = folder
        self._steps = steps
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=console or Console(stderr=True),
        )
        self._waiting: list[StepReport] = []
        self._events: SummaryWriter | None = None

    def __enter__(self) -> "TrainLog":
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            self._progress.console.print("no tensorboard installed: log.csv only")
        else:
            self._events = SummaryWriter(str(self._folder / "tensorboard"))
        self._bar = self._progress.add_task("training", total=self._steps, said="")
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        if self._events is not None:
            self._events.close()

    def step(self, report: StepReport) -> None:
        """One step was done."""
        self._waiting.append(report)
        self._progress.update(self._bar, completed=report.step, said=f"loss {report.loss:.3f}")
        if report.step % EVERY_STEPS == 0 or report.step == self._steps:
            names = self._waiting[0].terms
            means = {f"loss/{name}": sum(r.terms[name] for r in self._waiting) / len(self._waiting) for name in names}
            means["loss"] = sum(r.loss for r in self._waiting) / len(self._waiting)
            means["gradient"] = sum(r.gradient_norm for r in self._waiting) / len(self._waiting)
            self._waiting.clear()
            self.write(report.step, means)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values of any kind, scores for example."""
        file = self._folder / "log.csv"
        begins = not file.exists()
        with file.open("a", newline="") as lines:
            writer = csv.writer(lines)
            if begins:
                writer.writerow(COLUMNS)
            writer.writerows((step, name, f"{value:.6g}") for name, value in values.items())
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)
