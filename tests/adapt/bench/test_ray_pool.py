"""A grid on a Ray of two workers on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from cavs.adapt.bench.report import read_runs

pytest.importorskip("ray")


@pytest.mark.timeout(900)
def test_two_workers_share_a_grid(avss: Path, start_from: Path, tmp_path: Path) -> None:
    """Ray takes about ten seconds to start; it runs beside the tests, whose warnings are errors."""
    blocked = tmp_path / "cis-2-2-overlapped" / "lwf"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    paths = ["--data", str(avss), "--network", str(start_from), "--out", str(tmp_path), "--epochs", "1", "1"]
    asked = [
        "--grid",
        "--ray",
        "local",
        "--jobs",
        "2",
        "--protocol",
        "cis-2-2",
        "--method",
        "fine-tuning",
        "mib",
        "lwf",
        *paths,
    ]
    command = [sys.executable, "-c", "import sys; from cavs.adapt.cli import main; sys.exit(main())", "bench", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "failed: lwf/0:" in done.stdout
    assert "cannot be made" in done.stdout
    assert sorted(run.method for run in read_runs(tmp_path)) == ["fine-tuning", "mib"]
