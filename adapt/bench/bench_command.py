"""`cavs-adapt bench`: methods through a protocol; `cavs-adapt bench report`: tables and pictures of the runs."""

import argparse
import json
from pathlib import Path

from pydantic import JsonValue

from cavs.runtime.errors import AdaptError, ConfigError

SETTINGS = ("overlapped", "disjoint", "sequential")
FORMATS = ("markdown", "csv", "latex")
EXIT_FAILED = 1
STRIPS = 4


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `bench` to cavs-adapt."""
    parser = subparsers.add_parser(
        "bench",
        help="continual-learning benchmark",
        description="Runs a method through the tasks of a protocol, or goes on where a killed run stopped. The encoders of "
        "--network are frozen; what they make of every frame and sound is cached in --out/features.",
    )
    parser.add_argument("--protocol", metavar="NAME", help="such as cis-6-3, cavs-cis-60-10, cil-11-2, dil, tf-cl")
    parser.add_argument("--setting", choices=SETTINGS, default="overlapped", help="of CAVS protocols (default: overlapped)")
    parser.add_argument("--method", nargs="+", metavar="NAME", help="such as fine-tuning, plop, cmr, lra, cavs")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="options of the method, such as per_class=10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="one run each (default: 0)")
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR", help="labelled folders, all splits")
    parser.add_argument("--network", type=Path, metavar="FILE", help="checkpoint to start from")
    parser.add_argument("--out", type=Path, metavar="DIR", help="runs go to DIR/PROTOCOL/METHOD/SEED")
    _add_learning(parser.add_argument_group("learning"))
    _add_grid(parser.add_argument_group("many runs"))
    parser.set_defaults(run=run)
    report = parser.add_subparsers(metavar="report").add_parser(
        "report", help="tables and pictures of the finished runs below a folder"
    )
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--format", choices=FORMATS, default="markdown", help="of the tables (default: markdown)")
    report.add_argument("--plots", type=Path, metavar="DIR", help="write heat maps, curves, transfer and collisions there")
    report.add_argument("--strips", type=Path, metavar="DIR", help="write frames, truth and every method's masks there")
    report.add_argument("--strip-clips", type=int, default=STRIPS, metavar="N", help="of each protocol (default: %(default)s)")
    report.set_defaults(run=run_report)


def _add_learning(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--epochs", type=int, nargs=2, metavar=("FIRST", "LATER"), help="default: 10 5; of a stream, passes: 1")
    group.add_argument("--batch", type=int, metavar="N", help="frames at a time (default: 16); of a stream, clips (4)")
    group.add_argument("--rate", type=float, default=1e-3, metavar="R", help="of learning (default: %(default)s)")
    group.add_argument("--later-rate", type=float, metavar="R", help="of later tasks (default: --rate)")
    common = "epochs of plain training on the first task that all methods share, for a network that is not trained yet"
    group.add_argument("--common", type=int, default=0, metavar="N", help=f"{common} (default: %(default)s)")
    group.add_argument("--head", choices=("network", "lean"), default="network", help="what learns (default: %(default)s)")
    group.add_argument("--no-conditioning", dest="conditioning", action="store_false", help="ablation: network without it")
    group.add_argument("--scored", choices=("test", "val"), default="test", help="split; val while you still choose")
    group.add_argument("--kept-epoch", choices=("last", "best"), default="last", help="of a task; best on val, as CMR's code")
    group.add_argument("--evaluate-every", type=int, metavar="N", help="batches of a stream (default: 10)")
    group.add_argument("--raw", action="store_true", help="pictures and waves, not cached features; eir needs it")
    group.add_argument("--encoder-lora", action="store_true", help="with --raw: LoRA pairs in the visual encoder learn too")


def _add_grid(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--grid", action="store_true", help="every method with every seed, several at a time")
    group.add_argument("--vary", nargs="+", default=[], metavar="KEY=V,V", help="with --grid: every value of an option")
    group.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at a time (default: %(default)s)")
    group.add_argument("--threads", type=int, default=1, metavar="N", help="of each of them (default: %(default)s)")
    group.add_argument("--ray", metavar="ADDRESS", help="run them on a Ray cluster, `auto` or host:port; `local` starts one")


def run(args: argparse.Namespace) -> int:
    """A grid, or one run for each seed, one after the other."""
    lacking = [f"--{name}" for name in ("protocol", "method", "data", "network", "out") if not getattr(args, name)]
    if lacking:
        raise ConfigError(f"nothing to run: {', '.join(lacking)} missing")
    if args.jobs < 1 or args.threads < 1:
        raise ConfigError(f"--jobs {args.jobs} --threads {args.threads}: expected 1 or more of each")
    if args.grid:
        return _run_grid(args)
    asked = [f"--{name}" for name, given in (("ray", args.ray), ("vary", args.vary)) if given]
    if asked or len(args.method) > 1:
        raise ConfigError(f"{', '.join(asked) or 'several methods'} without --grid; add it")
    _run_seeds(args)
    return 0


def _run_seeds(args: argparse.Namespace) -> None:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from cavs.adapt.bench.start import make_plan, open_run

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    plans = [make_plan(args, args.method[0], options_of(args.set), seed) for seed in args.seeds]
    with Progress(*columns) as progress:
        for plan in plans:
            bench = open_run(plan, args.out)
            for gap in bench.gaps:
                progress.console.print(f"{bench.protocol.name}: {gap}")
            whole = progress.add_task(f"{plan.method}, seed {plan.seed}", total=bench.parts)
            part = progress.add_task("", total=1.0)

            def told(number: int, share: float) -> None:
                progress.update(whole, completed=number + share)  # noqa: B023  heard only while this run is under way
                progress.update(part, completed=share, description=f"  part {number + 1} of {bench.parts}")  # noqa: B023

            bench.told = told
            record = bench.run()
            progress.update(whole, completed=bench.parts)
            progress.remove_task(part)
            final = {name: round(record.matrix(name).final, 3) for name in record.measures}
            progress.console.print(f"{bench.out}: {final}, {record.seconds:.0f} s")


def _run_grid(args: argparse.Namespace) -> int:
    from rich.console import Console

    from cavs.adapt.bench.grid import run_grid

    console = Console()
    outcomes = run_grid(args, console)
    for outcome in outcomes:
        if outcome.fault is None:
            console.print(outcome.said, soft_wrap=True)
    failed = [outcome for outcome in outcomes if outcome.fault is not None]
    for outcome in failed:
        console.print(f"failed: {outcome.label}: {outcome.fault}", soft_wrap=True, markup=False)
    return EXIT_FAILED if failed else 0


def run_report(args: argparse.Namespace) -> int:
    """Prints the tables, and writes the pictures that are asked for."""
    from cavs.adapt.bench.report import read_runs, tables, to_csv, to_latex, to_markdown

    runs = read_runs(args.folder)
    write = {"markdown": to_markdown, "csv": to_csv, "latex": to_latex}[args.format]
    for table in tables(runs):
        print(write(table))
    if args.plots is not None:
        from cavs.adapt.bench.plots import write_plots

        _say(write_plots(runs, args.plots))
    if args.strips is not None:
        from cavs.adapt.bench.strips import write_strips

        _say(write_strips(args.folder, args.strips, args.strip_clips))
    return 0


def _say(written: list[Path]) -> None:
    for file in written:
        print(f"{file} written")


def options_of(settings: list[str]) -> dict[str, JsonValue]:
    """KEY=VALUE, the value as JSON or, where it is none, as text."""
    found: dict[str, JsonValue] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting}: expected KEY=VALUE, such as per_class=10")
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
