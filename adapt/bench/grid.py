"""Methods x options x seeds, each in a folder of its own: on this machine in processes, on many through Ray."""

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cavs.adapt.bench.bench_command import options_of
from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.bench.pool import Job, Outcome, run_on_this_machine
from cavs.adapt.bench.ray_pool import run_on_ray
from cavs.adapt.bench.report import RUN_FILE
from cavs.adapt.bench.run_files import PLAN_FILE, read_plan
from cavs.adapt.bench.start import label_of, make_plan, open_run

COLUMNS = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())


def plans_of(args: argparse.Namespace) -> list[RunPlan]:
    """Every combination. ConfigError, before anything runs, for a method, protocol or option that is unknown."""
    fixed = options_of(args.set)
    varied = [[(key, value) for value in values] for key, values in varied_options(args.vary).items()]
    return [
        make_plan(args, method, {**fixed, **dict(chosen)}, seed)
        for method in args.method
        for chosen in itertools.product(*varied)
        for seed in args.seeds
    ]


def varied_options(settings: Sequence[str]) -> dict[str, list[JsonValue]]:
    """KEY=VALUE,VALUE: each value as JSON or, where it is none, as text."""
    found: dict[str, list[JsonValue]] = {}
    for setting in settings:
        key, equals, texts = setting.partition("=")
        found[key] = [options_of([f"{key}{equals}{text}"])[key] for text in texts.split(",")]
    return found


def run_grid(args: argparse.Namespace, console: Console) -> list[Outcome]:
    """Runs what is not finished yet. A run that fails does not stop the others."""
    plans = plans_of(args)
    first = open_run(plans[0], args.out)
    for gap in first.gaps:
        console.print(f"{first.protocol.name}: {gap}")
    lacking = [plan for plan in plans if not is_finished(args.out / first.protocol.name / folder_of(plan), plan)]
    if len(lacking) < len(plans):
        console.print(f"{len(plans) - len(lacking)} of {len(plans)} runs are finished already")
    jobs = [Job(folder_of(plan), plan.model_dump_json(), str(args.out)) for plan in lacking]
    if not jobs:
        return []
    with Progress(*COLUMNS, console=console) as progress:
        _encode_ahead(progress, first.store.fill)
        bars = Bars(progress, len(jobs))
        if args.ray:
            return run_on_ray(jobs, args.ray, args.jobs, args.threads, bars.told)
        return run_on_this_machine(jobs, args.jobs, args.threads, bars.told)


def folder_of(plan: RunPlan) -> str:
    """Where a run lies below its protocol; unique in a grid."""
    return f"{label_of(plan)}/{plan.seed}"


def is_finished(folder: Path, plan: RunPlan) -> bool:
    """Whether the results of this very plan are there. TrainingStopped if the plan there cannot be read."""
    return (folder / RUN_FILE).exists() and (folder / PLAN_FILE).exists() and read_plan(folder) == plan


class Bars:
    """A bar for the whole grid and one for each run under way."""

    def __init__(self, progress: Progress, runs: int) -> None:
        self._progress = progress
        self._whole = progress.add_task(f"{runs} runs", total=runs)
        self._single: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}

    def told(self, label: str, share: float) -> None:
        if label not in self._single:
            self._single[label] = self._progress.add_task(label, total=1.0)
        self._shares[label] = share
        self._progress.update(self._single[label], completed=share, visible=share < 1)
        self._progress.update(self._whole, completed=sum(list(self._shares.values())))


def _encode_ahead(progress: Progress, fill: Callable[[Callable[[int, int], None]], None]) -> None:
    """Once, so that runs that begin together do not all encode the same clips."""
    bar = progress.add_task("encoding clips", total=None, visible=False)
    fill(lambda done, total: progress.update(bar, completed=done, total=total, visible=True))
    progress.remove_task(bar)
