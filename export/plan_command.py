"""`cavs-export tensorrt`: a bundle gets a plan for the GPU."""

import argparse
import importlib.util
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from cavs.export.plan_build import PlanOptions, build_plan
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.errors import EngineError, ExportError
from cavs.runtime.tensorrt_cuda import Cuda
from cavs.runtime.tensorrt_versions import ENGINE_NAMES, Target, load_library

BYTES_PER_MIB = 1 << 20


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """What a plan is built for; of the commands that build one."""
    parser.add_argument(
        "bundle", type=Path, nargs="?", metavar="BUNDLE", help="directory (default: the bundle that is shipped)"
    )
    parser.add_argument("--target", choices=tuple(ENGINE_NAMES), help="default: native where TensorRT is installed, else rtx")
    parser.add_argument("--precision", choices=("fp16", "fp32"), help="default: that of the bundle's graph")
    parser.add_argument("--sm", metavar="86,89", help="compute capabilities, for rtx (default: that of the GPU here)")
    parser.add_argument("--workspace-mib", type=int, default=1024, help="memory pool of the builder (default: %(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=3600.0, metavar="S", help="stop a build after S s (default: %(default)g)"
    )


def options_from(args: argparse.Namespace, *, refit: bool = False) -> PlanOptions:
    """Raises ExportError if it is not said for which GPU, and none is here."""
    target: Target = args.target or ("native" if importlib.util.find_spec("tensorrt") else "rtx")
    if target == "native" and args.sm:
        raise ExportError("--sm goes with --target rtx; a native plan is for the GPU that it is built on")
    sm = tuple(part.strip() for part in args.sm.split(",")) if args.sm else ()
    if target == "rtx" and not sm:
        try:
            sm = (Cuda().device_sm(),)
        except EngineError as error:
            raise ExportError(f"no GPU here to build for ({error}); say for which: --sm 86,89") from error
    return PlanOptions(target, args.precision, sm, refit, args.workspace_mib, args.timeout)


def tensorrt(args: argparse.Namespace) -> int:
    """Builds a TensorRT plan in a process of its own and adds it to the bundle. Its id stays, so its adapters fit."""
    options = options_from(args, refit=args.refit)
    library = load_library(options.target)
    bundle = _bundle(args.bundle or default_bundle_path(), args.out)
    terminal = Console(stderr=True)
    with terminal.status("starting the builder") as status:
        built = build_plan(bundle, options, library, MonotonicClock(), lambda said: status.update(progress_text(said)))
    entry = built.entry
    print(
        f"{built.bundle.root / entry.file.name}: {entry.file.size_bytes / BYTES_PER_MIB:.1f} MiB, {entry.precision}, "
        f"SM {', '.join(entry.sm)}, {library.name} {entry.tensorrt_version}, built in {built.seconds:.1f} s"
    )
    print(f"all inputs are read by its layers; run it: cavs-stream --bundle {built.bundle.root} --engine {library.name}")
    return 0


def progress_text(said: dict[str, Any]) -> str:
    """A line of the builder for a person."""
    if "phase" not in said:
        return "checking what was built"
    steps = f" {said['step']}/{said['steps']}" if "step" in said else ""
    return f"{said['phase']}{steps}"


def _bundle(path: Path, out: Path | None) -> Bundle:
    bundle = read_bundle(path)
    if out is None:
        return bundle
    if out.exists():
        raise ExportError(f"{out} exists; a bundle is never overwritten: give a new name or remove it first")
    try:
        shutil.copytree(path, out)
    except (OSError, shutil.Error) as error:
        raise ExportError(f"{out}: {error}; the bundle was not copied") from error
    return read_bundle(out)
