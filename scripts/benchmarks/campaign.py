"""Runs benchmarks one after the other into one report; what one fails at leaves the others their turn."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import load, machine_facts
from benchmarks.processes import BenchmarkFailed
from benchmarks.result import Plan
from cavs.runtime.bundle import read_bundle
from cavs.runtime.errors import CavsError


def run_all(names: Sequence[str], plan: Plan, out: Path | None, what: Callable[[str], str]) -> dict[str, Any]:
    """The report; also written to `out` after each benchmark, so that an hour of measuring survives what comes after it.

    Raises CavsError if the bundle cannot be read, OSError if `out` cannot be written, both before anything is measured.
    """
    bundle = read_bundle(plan.bundle)
    machine = {**machine_facts(), "bundle": f"{bundle.manifest.name} {bundle.id[:12]}"}
    report: dict[str, Any] = {"machine": machine, "benchmarks": []}
    _write(out, report)
    for name in names:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        report["benchmarks"].append(_run(name, plan, what(name)))
        _write(out, report)
    return report


def _run(name: str, plan: Plan, what: str) -> dict[str, Any]:
    about = {"name": name, "what": what, "load_before": load()}
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        return {**about, **module.measure(plan).to_dict(), "load_after": load()}
    except (BenchmarkFailed, CavsError, subprocess.TimeoutExpired) as error:
        return {**about, "failed": str(error)}


def _write(out: Path | None, report: dict[str, Any]) -> None:
    if out is not None:
        out.write_text(json.dumps(report, indent=2) + "\n")
