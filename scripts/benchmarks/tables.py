"""Markdown from the JSON of a run. The tables of docs/benchmarks.md are made here and nowhere else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
BUSY_PER_CORE = 0.5
"""A load average beyond this for each core, before a benchmark, is said beside its numbers."""


def tables(report: Mapping[str, Any]) -> str:
    """Machine, targets, then the numbers of each benchmark."""
    parts = [_machine(report["machine"]), "### Targets", _targets(report["benchmarks"])]
    for benchmark in report["benchmarks"]:
        parts += [f"### {benchmark['name']}", benchmark["what"]]
        if "failed" in benchmark:
            parts.append(f"Failed: {benchmark['failed']}")
            continue
        parts += [_config(benchmark, report["machine"]["cores"]), _numbers(benchmark["numbers"])]
        parts.append("\n".join(f"- {note}" for note in benchmark["notes"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def write_tables(document: Path, report: Mapping[str, Any]) -> None:
    """Puts the tables between the marks of a document. Raises ValueError if it has none."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document}: the lines {BEGIN} and {END} expected, the tables are written between them")
    document.write_text(f"{before}{BEGIN}\n\n{tables(report)}\n{END}{after}")


def _machine(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"Measured {machine['measured']} on {machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"{machine['os']}, Linux {machine['kernel']}, Python {machine['python']}; commit {machine['commit']}; bundle "
        f"{machine['bundle']}; load average before: {_load(machine['load_before'])}.\n\n{packages}."
    )


def _targets(benchmarks: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for benchmark in benchmarks:
        for target in benchmark.get("targets", ()):
            met = {True: "yes", False: "**no**", None: "not measured"}[target["met"]]
            wanted = f"{target['sense']} {target['limit']:g} {target['unit']}"
            rows.append([benchmark["name"], target["claim"], wanted, _cell(target["seen"]), met])
    return _table(["benchmark", "claim", "target", "measured", "met"], rows)


def _config(benchmark: Mapping[str, Any], cores: int) -> str:
    said = "; ".join(f"{name} {_cell(value)}" for name, value in benchmark["config"].items())
    before = benchmark["load_before"]
    busy = " **The machine was busy: do not trust these numbers.**" if before[0] > BUSY_PER_CORE * cores else ""
    return f"{said}; load average before: {_load(before)}.{busy}"


def _numbers(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Arms are rows. With one arm, or more numbers than a page is wide, they are columns."""
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm))
    if len(arms) == 1 or len(names) > 10:
        return _table(["", *arms], [[name, *(_cell(arm.get(name)) for arm in arms.values())] for name in names])
    return _table(["", *names], [[arm, *(_cell(numbers.get(name)) for name in names)] for arm, numbers in arms.items()])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1000 else str(value)


def _load(load: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in load)
