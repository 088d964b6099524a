"""`cavs-adapt evaluate`: its options."""

import argparse
from pathlib import Path

from cavs.adapt.data.ingredients import SPLITS
from cavs.adapt.scenarios import EMPTY, MARKED
from cavs.runtime.engine import LEAST_HEARD

PLAIN, HARD = 0.25, 1.0  # strength of the augmentation of pictures: nearly as found, and as in training
FRAMES = 300
STREAMS = 60


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `evaluate` to cavs-adapt."""
    parser = subparsers.add_parser(
        "evaluate", help="score a checkpoint on composed scenes", description="Scores a checkpoint on composed scenes, as JSON."
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint, or a bundle")
    parser.add_argument("--ingredients", nargs="+", required=True, metavar="PATH", help="folders, or `procedural`")
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="leave out files such as 'nc/*'")
    parser.add_argument("--unheard", type=names, default=(), metavar="A,B", help="classes whose recordings are left out")
    parser.add_argument("--classes", type=names, metavar="A,B", help="only these; default: all that the checkpoint knows")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--scenarios", nargs="+", choices=MARKED + EMPTY, default=list(MARKED + EMPTY))
    parser.add_argument("--frames", type=int, default=FRAMES, help="per scenario")
    parser.add_argument(
        "--streams", type=int, default=STREAMS, help="in which the latency of an onset is measured; 0 leaves it out"
    )
    parser.add_argument("--hop-ms", type=float, default=33.0, help="between two windows of those streams")
    parser.add_argument(
        "--heard-seconds", type=float, metavar="S", help="the network hears only the newest S seconds of its window"
    )
    parser.add_argument(
        "--strength", type=float, default=PLAIN, help=f"of the augmentation, {PLAIN} plain to {HARD} as in training"
    )
    parser.add_argument(
        "--least-heard",
        type=float,
        default=LEAST_HEARD,
        metavar="P",
        help="as in cavs-stream; 0: the network's masks as they are",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--calibrate", action="store_true", help="choose the thresholds on val first and write them into the checkpoint"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.set_defaults(run=_run)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name for name in text.split(",") if name)


def _run(args: argparse.Namespace) -> int:
    from cavs.adapt.evaluate import run  # torch takes seconds to import, which the other commands need not wait for

    return run(args)
