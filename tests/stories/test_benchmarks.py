"""scripts/bench as one runs it: every benchmark runs and measures something, and tables come from its file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cavs.runtime.bundle import Bundle

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench.py"
NAMES = ("engine", "live", "peer", "publish", "exchange", "start", "soak")
WAIT_S = 300

REPORT: dict[str, Any] = {
    "machine": {
        "measured": "2026-01-02T03:04:05+00:00",
        "cpu": "a processor",
        "cores": 2,
        "memory_gib": 8.0,
        "os": "Debian",
        "kernel": "6.1",
        "python": "3.11.2",
        "commit": "abc1234",
        "bundle": "tiny 0123456789ab",
        "packages": {"numpy": "2.0"},
        "load_before": [0.1, 0.2, 0.3],
    },
    "benchmarks": [
        {
            "name": "live",
            "what": "A stream.",
            "load_before": [1.5, 0.2, 0.3],
            "config": {"seconds": 30.0},
            "numbers": {"with sound": {"p50_ms": 1.25, "p99_ms": 2.5}, "silent": {"p50_ms": 1.0, "p99_ms": None}},
            "targets": [
                {"claim": "overhead", "seen": 2.5, "sense": "at most", "limit": 3, "unit": "ms", "met": True},
                {"claim": "memory", "seen": 500.0, "sense": "at most", "limit": 400, "unit": "MiB", "met": False},
            ],
            "notes": ["a note"],
        },
        {"name": "start", "what": "A start.", "load_before": [0.1, 0.1, 0.1], "failed": "it said nothing"},
    ],
}


def bench(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(BENCH), *argv], capture_output=True, text=True, timeout=WAIT_S, check=False)


@pytest.mark.slow
@pytest.mark.timeout(WAIT_S + 30)
@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_runs_and_measures_every_target(name: str, tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    seconds = "2" if name == "soak" else "0.5"
    ran = bench(
        name, "--bundle", str(tiny_bundle.root), "--seconds", seconds, "--repeats", "1", "--exchanges", "15", "--out", str(out)
    )
    assert ran.returncode == 0, ran.stderr
    (benchmark,) = json.loads(out.read_text())["benchmarks"]
    assert benchmark["name"] == name
    assert benchmark["numbers"]
    assert all(target["seen"] is not None for target in benchmark["targets"])
    assert benchmark["what"] in bench("--table", str(out)).stdout


def test_a_benchmark_that_fails_is_one_line_and_exit_1(tmp_path: Path) -> None:
    ran = bench("live", "--bundle", str(tmp_path / "none"))
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1


def test_an_unknown_benchmark_is_answered_with_the_known_ones() -> None:
    ran = bench("fast")
    assert ran.returncode == 2
    assert all(name in ran.stderr for name in NAMES)


def test_tables_are_written_between_the_marks_again_and_again(tmp_path: Path) -> None:
    report, document = tmp_path / "report.json", tmp_path / "benchmarks.md"
    report.write_text(json.dumps(REPORT))
    document.write_text("# Method\n\n<!-- tables -->\nold\n<!-- end of tables -->\n\nEnd.\n")
    for _ in range(2):
        assert bench("--write", str(document), str(report)).returncode == 0
    text = document.read_text()
    assert text.startswith("# Method\n")
    assert text.endswith("\nEnd.\n")
    assert "old" not in text
    assert text.count("| live | overhead | at most 3 ms | 2.5 | yes |") == 1
    assert "| live | memory | at most 400 MiB | 500 | **no** |" in text
    assert "| silent | 1 | - |" in text
    assert "The machine was busy" in text, "1.5 on 2 cores is busy"
    assert "Failed: it said nothing" in text


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    report, document = tmp_path / "report.json", tmp_path / "benchmarks.md"
    report.write_text(json.dumps(REPORT))
    document.write_text("# Method\n")
    ran = bench("--write", str(document), str(report))
    assert ran.returncode == 1
    assert "<!-- tables -->" in ran.stderr
    assert document.read_text() == "# Method\n"
