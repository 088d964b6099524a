"""`cavs-adapt data compose`: the composer as a command."""

import argparse
import os
import sys
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cavs.adapt.data.compose import compose_data_set
from cavs.adapt.data.compose_plan import SHORT_S, make_plan, read_cooccurrence
from cavs.adapt.data.ingredients import SPLITS
from cavs.adapt.data.layouts import LAYOUTS
from cavs.runtime.clock import NS_PER_S, MonotonicClock

HELP = "compose clips with exact masks from cut-outs and recordings"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its options."""
    parser = subparsers.add_parser("compose", help=HELP, description=HELP)
    parser.add_argument(
        "--ingredients",
        action="append",
        required=True,
        metavar="PATH",
        help="folder with manifest.json, or `procedural` for the built-in set; repeat to mix several",
    )
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="leave out files such as 'nc/*'")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="a folder that does not exist yet")
    parser.add_argument("--classes", metavar="A,B", help="what may sound; default: all that can be seen and heard")
    parser.add_argument("--clips", type=int, required=True, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same data (default: %(default)s)")
    parser.add_argument("--layout", choices=LAYOUTS, default="avss", help="default: %(default)s")
    parser.add_argument("--split", choices=SPLITS, default="train", help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=SHORT_S, help="5, or 10 for avss (default: %(default)s)")
    parser.add_argument("--size", type=int, default=224, metavar="PX", help="side of the frames (default: %(default)s)")
    parser.add_argument("--mp4", action="store_true", help="also write videos with sound and the truth of every frame")
    parser.add_argument("--cooccurrence", type=Path, metavar="FILE.json", help="{class: {other class: chance}}")
    parser.add_argument("--sources", type=float, nargs="+", metavar="W", help="weights of one, two, three ... sounding classes")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Composes; a second run with the same options goes on where the first was stopped."""
    plan = make_plan(
        ingredients=tuple(args.ingredients),
        exclude=tuple(args.exclude),
        classes=tuple(filter(None, args.classes.split(","))) if args.classes is not None else None,
        clips=args.clips,
        seed=args.seed,
        layout=args.layout,
        split=args.split,
        seconds=args.seconds,
        size_px=args.size,
        mp4=args.mp4,
        sources=tuple(args.sources) if args.sources is not None else None,
        cooccurrence=read_cooccurrence(args.cooccurrence) if args.cooccurrence else None,
    )
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers inherit it; each is one busy core already
    clock = MonotonicClock()
    start_ns = clock.now_ns()
    columns = (TextColumn("composing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns) as progress:
            task = progress.add_task("", total=plan.clips)
            compose_data_set(plan, args.out, workers=args.workers, done=lambda clips: progress.update(task, completed=clips))
    except KeyboardInterrupt:
        print(f"{args.out}: stopped; the same command goes on from here", file=sys.stderr)
        raise
    print(f"{args.out}: {plan.clips} clips, {plan.layout}, {plan.split}, {(clock.now_ns() - start_ns) / NS_PER_S:.0f} s")
    return 0
