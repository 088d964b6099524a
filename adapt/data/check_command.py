"""`cavs-adapt data check`: the check of a folder of clips, as a table and as JSON."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cavs.adapt.data.check import Report, check_clips
from cavs.runtime.errors import DataRejected

HELP = "check a folder of labelled clips (S4, MS3 or AVSS) file by file"
EXIT_USABLE, EXIT_UNUSABLE = 0, 1
SHOWN_PER_KIND = 3
"""Findings of one kind that are printed; the JSON file holds all."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its options."""
    parser = subparsers.add_parser("check", help=HELP, description=f"{HELP}. Exit code 0 if it can be used, 1 if not.")
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of the data set")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found to FILE")
    parser.add_argument("--all", action="store_true", help=f"print every finding, not {SHOWN_PER_KIND} of each kind")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="threads (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Checks, prints, and says by the exit code whether the folder can be used."""
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        report = check_clips(
            args.path,
            workers=max(1, args.workers),
            done=lambda clips, total: progress.update(task, completed=clips, total=total),
        )
    if args.json is not None:
        _write_json(args.json, report)
    print_report(report, Console(file=sys.stdout, soft_wrap=True, highlight=False), everything=args.all)
    return EXIT_USABLE if report.usable else EXIT_UNUSABLE


def print_report(report: Report, console: Console, *, everything: bool = False) -> None:
    """A table of the splits, the findings by kind, and the verdict."""
    table = Table(title=f"{report.layout} in {report.root}, {len(report.classes)} classes", title_justify="left")
    for heading in ("split", "listed", "whole", "readable"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split, count in report.splits.items():
        table.add_row(split, str(count.listed), str(count.whole), str(count.readable))
    console.print(table)
    for (level, kind), times in Counter((one.level, one.kind) for one in report.findings).items():
        console.print(f"{level}: {kind}, {times}", markup=False, style="bold red" if level == "broken" else "bold yellow")
        same = [one.text for one in report.findings if (one.level, one.kind) == (level, kind)]
        shown = same if everything else same[:SHOWN_PER_KIND]
        for text in shown:
            console.print(f"  {text}", markup=False)
        if len(shown) < len(same):
            console.print(f"  and {len(same) - len(shown)} more; --all prints them", markup=False)
    console.print("usable" if report.usable else "not usable: correct what is broken", markup=False)


def _write_json(path: Path, report: Report) -> None:
    content = {
        "root": str(report.root),
        "layout": report.layout,
        "classes": report.classes,
        "usable": report.usable,
        "splits": {split: asdict(count) for split, count in report.splits.items()},
        "findings": [asdict(one) for one in report.findings],
    }
    try:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror}; name a file that can be written") from None
