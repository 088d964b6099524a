#!/usr/bin/env python3
"""Measures what docs/benchmarks.md claims. Run it on a quiet machine; every number comes with the load it met.

Gives one JSON with the machine and each benchmark's set-up, numbers and targets; tables are made from that file only.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.result import Plan
from benchmarks.tables import tables, write_tables

from cavs.runtime.errors import CavsError

BENCHMARKS = ("engine", "live", "peer", "publish", "exchange", "start", "soak")
BY_NAME_ONLY = ("soak",)
"""Half an hour and more: not run unless asked for."""


def main(argv: list[str] | None = None) -> int:
    """0: all ran, whether or not the targets were met; 1: something failed, in one line; 2: wrong use."""
    parser = _parser()
    args = parser.parse_args(argv)
    if unknown := [name for name in args.name if name not in BENCHMARKS]:
        parser.error(f"benchmark {unknown[0]!r} is not known; known: {', '.join(BENCHMARKS)}")
    try:
        if args.table is not None:
            print(tables(json.loads(args.table.read_text())), end="")
            return 0
        if args.write is not None:
            document, report = args.write
            write_tables(Path(document), json.loads(Path(report).read_text()))
            return 0
        return _measure(args)
    except (CavsError, OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<10} {_what(name)}" for name in BENCHMARKS)
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=f"benchmarks (without a name: all but {', '.join(BY_NAME_ONLY)}):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="what to measure; see below")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the JSON there, after each benchmark")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="default: the one that is shipped")
    parser.add_argument("--seconds", type=float, metavar="N", help="of measuring per arm and repeat; default: each its own")
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="how often arms take turns, default %(default)s")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="engine threads, default %(default)s")
    parser.add_argument("--exchanges", type=int, default=1000, metavar="N", help="exchange: in a stream, default %(default)s")
    parser.add_argument("--folded", type=Path, metavar="DIR", help="engine: also a graph.onnx with its adapter folded in")
    parser.add_argument(
        "--inference", type=Path, metavar="PYTHON", help="peer: also Roboflow's inference, in the environment of this Python"
    )
    parser.add_argument("--table", type=Path, metavar="FILE.json", help="print the Markdown tables of a run and stop")
    parser.add_argument("--write", nargs=2, metavar=("DOC.md", "FILE.json"), help="put the tables into a document and stop")
    return parser


def _measure(args: argparse.Namespace) -> int:
    from benchmarks.campaign import run_all  # heavy: tables need none of it

    from cavs.runtime.bundle import default_bundle_path

    names = args.name or [name for name in BENCHMARKS if name not in BY_NAME_ONLY]
    with tempfile.TemporaryDirectory(prefix="cavs-bench-") as scratch:
        plan = Plan(
            bundle=(args.bundle or default_bundle_path()).resolve(),
            scratch=Path(scratch),
            seconds=args.seconds,
            repeats=args.repeats,
            threads=args.threads,
            exchanges=args.exchanges,
            folded=args.folded.resolve() if args.folded else None,
            inference=args.inference.absolute() if args.inference else None,
        )
        report = run_all(names, plan, args.out, _what)
    if args.out is None:
        print(json.dumps(report, indent=2))
    failed = [benchmark for benchmark in report["benchmarks"] if "failed" in benchmark]
    for benchmark in failed:
        print(f"bench: {benchmark['name']}: {benchmark['failed']}", file=sys.stderr)
    return 1 if failed else 0


def _what(name: str) -> str:
    """The first line of the benchmark's docstring, read without importing what it measures."""
    text = (Path(__file__).parent / "benchmarks" / f"{name}.py").read_text()
    return text.partition('"""')[2].partition('"""')[0].splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
