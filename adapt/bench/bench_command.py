"""`cavs-adapt bench`: a method through a protocol; `cavs-adapt bench report`: tables of the runs."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cavs.runtime.errors import AdaptError, ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SETTINGS = ("overlapped", "disjoint", "sequential")
FORMATS = ("markdown", "csv", "latex")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `bench` to cavs-adapt."""
    parser = subparsers.add_parser(
        "bench",
        help="continual-learning benchmark",
        description="Runs a method through the tasks of a protocol, or goes on where a killed run stopped. The encoders of "
        "--network are frozen; what they make of every frame and sound is cached in --out/features.",
    )
    parser.add_argument("--protocol", metavar="NAME", help="such as cis-6-3, or cavs-cis-60-10 on AVSBench-semantic")
    parser.add_argument("--setting", choices=SETTINGS, default="overlapped")
    parser.add_argument("--method", metavar="NAME", help="such as fine-tuning, plop, cmr, lra, cavs")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="options of the method, such as per_class=10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="one run each (default: 0)")
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR", help="AVSS-layout folders, all splits")
    parser.add_argument("--network", type=Path, metavar="FILE", help="checkpoint to start from")
    parser.add_argument("--epochs", type=int, nargs=2, default=[10, 5], metavar=("FIRST", "LATER"))
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="frames at a time (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1e-3, metavar="R", help="of learning (default: %(default)s)")
    parser.add_argument("--later-rate", type=float, metavar="R", help="of later tasks (default: --rate)")
    common = "epochs of plain training on the first task that all methods share, for a network that is not trained yet"
    parser.add_argument("--common", type=int, default=0, metavar="N", help=f"{common} (default: %(default)s)")
    parser.add_argument("--head", choices=("network", "lean"), default="network", help="what learns (default: %(default)s)")
    parser.add_argument("--no-conditioning", dest="conditioning", action="store_false", help="ablation: network without it")
    parser.add_argument("--scored", choices=("test", "val"), default="test", help="split; val while you still choose")
    parser.add_argument("--out", type=Path, metavar="DIR", help="runs go to DIR/PROTOCOL/METHOD/SEED")
    parser.set_defaults(run=run)
    report = parser.add_subparsers(metavar="report").add_parser("report", help="tables of the finished runs below a folder")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--format", choices=FORMATS, default="markdown")
    report.set_defaults(run=run_report)


def run(args: argparse.Namespace) -> int:
    """One run for each seed, one after the other."""
    lacking = [f"--{name}" for name in ("protocol", "method", "data", "network", "out") if not getattr(args, name)]
    if lacking:
        raise ConfigError(f"nothing to run: {', '.join(lacking)} missing")
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cavs.adapt.bench.start import prepare

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        for seed in args.seeds:
            bench = prepare(args, seed)
            for gap in bench.gaps:
                progress.console.print(f"{bench.protocol.name}: {gap}")
            bar = progress.add_task(f"{args.method}, seed {seed}", total=len(bench.protocol.tasks))
            bench.after_task = partial(_show, progress, bar)
            record = bench.run()
            final = {name: round(record.matrix(name).final, 3) for name in record.measures}
            progress.console.print(f"{bench.out}: {final}, {record.seconds:.0f} s")
    return 0


def _show(progress: "Progress", bar: "TaskID", done: int) -> None:
    progress.update(bar, completed=done + 1)


def run_report(args: argparse.Namespace) -> int:
    """Prints the tables."""
    from cavs.adapt.bench.report import read_runs, tables, to_csv, to_latex, to_markdown

    write = {"markdown": to_markdown, "csv": to_csv, "latex": to_latex}[args.format]
    for table in tables(read_runs(args.folder)):
        print(write(table))
    return 0


def options_of(settings: list[str]) -> dict[str, object]:
    """KEY=VALUE, the value as JSON or, where it is none, as text."""
    found: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected KEY=VALUE, such as per_class=10")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def checked_out(path: Path) -> Path:
    """The folder, made if need be. AdaptError if the disk refuses."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AdaptError(f"{path}: cannot be made ({error.strerror}); give another --out") from error
    return path
