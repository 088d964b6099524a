"""The log of a run: means over steps, scores, and going on where it was."""

import csv
import io
from pathlib import Path

from rich.console import Console

from cavs.adapt.loop import StepReport
from cavs.adapt.train_log import EVERY_STEPS, TrainLog


def logged(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as lines:
        return list(csv.DictReader(lines))


def run(folder: Path, first: int, last: int) -> None:
    with TrainLog(folder, 2 * EVERY_STEPS, Console(file=io.StringIO())) as log:
        for step in range(first, last + 1):
            log.step(StepReport(step, {"dice": float(step)}, float(step), 1.0))


def test_a_line_is_the_mean_of_the_steps_since_the_last(tmp_path: Path) -> None:
    run(tmp_path, 1, EVERY_STEPS)
    dice = [row for row in logged(tmp_path) if row["name"] == "loss/dice"]
    assert [(row["step"], float(row["value"])) for row in dice] == [(str(EVERY_STEPS), (1 + EVERY_STEPS) / 2)]


def test_a_run_that_goes_on_appends(tmp_path: Path) -> None:
    run(tmp_path, 1, EVERY_STEPS)
    run(tmp_path, EVERY_STEPS + 1, 2 * EVERY_STEPS)
    steps = [row["step"] for row in logged(tmp_path) if row["name"] == "loss"]
    assert steps == [str(EVERY_STEPS), str(2 * EVERY_STEPS)]
    assert list((tmp_path / "tensorboard").iterdir())
