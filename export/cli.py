"""The command `cavs-export`: turns a trained network into what the live process runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import JsonValue
from rich.console import Console
from rich.progress import track

from cavs.adapt.model.checkpoint import load_checkpoint
from cavs.adapt.model.config import EarPairs
from cavs.adapt.model.reserve import CLASS_CAPACITY, reserve_room
from cavs.export.compare import compare
from cavs.export.onnx_bundle import check_place, write_bundle
from cavs.export.plan_command import add_plan_options, tensorrt
from cavs.export.windows import drawn_windows, video_windows
from cavs.runtime.command import EXIT_OK, CommandParser, number_from_1, run_command
from cavs.runtime.disk import sha256_of_file

WINDOWS = 100
"""Windows that torch and engine are compared on."""
BYTES_PER_MIB = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command: 0 when all went well, 1 for what the world did wrong (argparse itself exits with 2)."""
    args = _parser().parse_args(argv)
    return run_command("cavs-export", lambda: args.run(args), debug=args.debug)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="cavs-export", description="Turns a trained network into a bundle.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    onnx = commands.add_parser("onnx", help="checkpoint -> bundle with an ONNX graph", description=_onnx.__doc__)
    onnx.set_defaults(run=_onnx)
    onnx.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="file written by cavs-adapt train")
    onnx.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="directory to make")
    onnx.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="fp16 is for GPUs (default: %(default)s)")
    onnx.add_argument("--classes", metavar="NAME,NAME", help="the classes it shall name (default: all it knows)")
    onnx.add_argument(
        "--capacity", default=CLASS_CAPACITY, type=number_from_1, help="rows of the class table (default: %(default)s)"
    )
    onnx.add_argument(
        "--ear-pairs",
        choices=get_args(EarPairs),
        help="where the LoRA pairs of the ear begin (default: as the checkpoint says)",
    )
    onnx.add_argument("--name", help="name of the bundle (default: that of its directory)")
    onnx.add_argument("--windows", type=Path, metavar="VIDEOS", help="video or folder to compare on (default: drawn scenes)")
    onnx.add_argument("--count", type=number_from_1, default=WINDOWS, help="windows to compare on (default: %(default)s)")
    plan = commands.add_parser("tensorrt", help="bundle -> the bundle with a plan for the GPU", description=tensorrt.__doc__)
    plan.set_defaults(run=tensorrt)
    add_plan_options(plan)
    plan.add_argument("--refit", action="store_true", help="a plan that takes adapters by refit instead of as inputs")
    plan.add_argument("--out", type=Path, metavar="NEW", help="put the plan into a copy of the bundle")
    ways = commands.add_parser("compare", help="adapters as inputs, folded and by refit", description=compare.__doc__)
    ways.set_defaults(run=compare)
    add_plan_options(ways)
    ways.add_argument("--count", type=number_from_1, default=WINDOWS, help="windows to measure with (default: %(default)s)")
    ways.add_argument("--out", type=Path, metavar="FILE.md", help="write the table here as well")
    return parser


def _onnx(args: argparse.Namespace) -> int:
    """Writes a bundle, having compared it with torch window by window; fails and leaves nothing if they differ."""
    check_place(args.out)
    checkpoint = load_checkpoint(args.checkpoint)
    names = args.classes.split(",") if args.classes else None
    network = reserve_room(checkpoint.network, names, args.capacity, args.ear_pairs).eval()
    provenance: dict[str, JsonValue] = {"checkpoint_sha256": sha256_of_file(args.checkpoint), "training": checkpoint.notes}
    config, count = network.config, args.count
    windows = list(video_windows(args.windows, config, count) if args.windows else drawn_windows(config, count))
    terminal = Console(stderr=True)
    shown = track(windows, "comparing", console=terminal, transient=True, disable=not terminal.is_terminal)
    bundle = write_bundle(network, args.out, shown, precision=args.precision, name=args.name, provenance=provenance)
    parity, size_mib = bundle.manifest.parity, sum(file.size_bytes for file in bundle.manifest.files) / BYTES_PER_MIB
    print(f"{args.out}: bundle {bundle.id[:12]}, {len(network.class_names)} classes, {size_mib:.1f} MiB")
    print(f"labels equal torch's on {parity['labels_equal']:.4%} of the pixels of {parity['windows']} windows")
    return EXIT_OK
