"""What the page of continual learning claims is what was measured."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cavs.adapt.bench.report import RunRecord
from cavs.adapt.bench.results import ResultsMatrix

SCRIPTS = Path(__file__).parents[3] / "scripts"
TASKS = (("drum",), ("guitar",))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    spec = importlib.util.spec_from_file_location("continual_tables", SCRIPTS / "continual_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(method: str, seed: int, final: float, confusion: list[list[int]], **options: float) -> RunRecord:
    nan = float("nan")
    matrix = ResultsMatrix.from_json({"scores": [[0.5, nan], [0.4, 0.2]], "seen": [0.5, final], "untrained": [nan, nan]})
    measures = {name: matrix.to_json() for name in ("class_miou_dataset", "class_miou_avss")}
    return RunRecord.model_validate(
        {
            "protocol": "ci-1-1-overlapped", "method": method, "options": options, "seed": seed, "tasks": TASKS,
            "measures": measures, "confusions": [confusion], "memory_clips": 5, "seconds": 1.0,
        }
    )  # fmt: skip


def test_the_tables_of_the_page_are_those_of_the_records() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "continual_tables.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_pair_counts_by_what_is_marked_as_the_wrong_one_of_the_two(script: ModuleType) -> None:
    run = record("cavs", 0, 0.3, [[90, 5, 5], [40, 30, 10], [50, 6, 4]])
    assert script.pixels_wrong(run, [("drum", "guitar")]) == pytest.approx((10 + 6) / (30 + 10 + 6 + 4))
    assert script.pixels_wrong(record("cavs", 0, 0.3, [[90, 0, 0], [40, 0, 0], [50, 0, 0]]), [("drum", "guitar")]) is None
    assert script.line_of(run, "drum", ("drum", "guitar")) == [40, 30, 10, 0]


def test_marks_are_shares_of_the_pixels_where_something_sounds(script: ModuleType) -> None:
    run = record("cavs", 0, 0.3, [[90, 5, 5], [40, 30, 10], [14, 2, 4]])
    assert script.shares_marked(run) == pytest.approx((0.34, 0.12, 0.54, 0.1))


def test_methods_are_compared_with_mib_seed_by_seed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    runs = [record("mib", 0, 0.10, empty), record("mib", 1, 0.20, empty), record("cavs", 1, 0.23, empty)]
    runs += [record("cavs", 0, 0.11, empty), record("cavs", 0, 0.05, empty, extra=0)]
    (tmp_path / "continual.runs.jsonl").write_text("".join(run.model_dump_json() + "\n" for run in runs))
    monkeypatch.setattr(script, "RECORDS", tmp_path)
    lines = script.scores("ci-1-1-overlapped").splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| cavs", "| mib"]
    assert "| cavs | 0.170 ± 0.085 | 0.020 ± 0.014 |" in lines[2]
    assert "cavs (extra 0)" in script.ablation("ci-1-1-overlapped")


def test_pairs_and_matrices_have_a_row_for_each_method(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        record("cavs", 0, 0.2, [[90, 0, 0], [40, 30, 10], [50, 6, 4]]),
        record("mib", 0, 0.1, [[90, 0, 0], [80, 0, 0], [60, 0, 0]]),
    ]
    (tmp_path / "continual.runs.jsonl").write_text("".join(run.model_dump_json() + "\n" for run in runs))
    monkeypatch.setattr(script, "RECORDS", tmp_path)
    assert script.pairs("ci-1-1-overlapped").splitlines()[2:] == ["| cavs | 0.320 | 0.320 |", "| mib |  |  |"]
    lines = script.matrices("ci-1-1-overlapped").splitlines()
    assert lines[0] == "| method | truth | as background | as drum | as guitar | as others |"
    assert lines[2:4] == ["| cavs | drum | 40 | 30 | 10 | 0 |", "| cavs | guitar | 50 | 6 | 4 | 0 |"]


def test_steps_of_every_task_stand_in_the_table(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record("mib", 0, 0.1, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]).model_copy(update={"steps": [7, 12]})
    (tmp_path / "continual.runs.jsonl").write_text(run.model_dump_json() + "\n")
    monkeypatch.setattr(script, "RECORDS", tmp_path)
    assert "| 7 + 12 |" in script.scores("ci-1-1-overlapped")
