"""The results matrix and the tables made of it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.bench.report import RunRecord, collect, read_runs, spread, tables, to_csv, to_latex, to_markdown
from cavs.adapt.bench.results import ResultsMatrix
from cavs.runtime.errors import DataRejected

R = np.array([[0.8, 0.1, 0.0], [0.6, 0.7, 0.2], [0.4, 0.5, 0.9]])
SEEN = np.array([0.8, 0.65, 0.6])
UNTRAINED = np.array([0.05, 0.02, 0.1])


def run(method: str, seed: int, final: float, **options: int) -> RunRecord:
    seen = [0.8, final]
    matrix = ResultsMatrix(np.array([[0.8, 0.0], [final, final]]), np.array(seen), np.zeros(2))
    return RunRecord(
        protocol="cis-6-3", method=method, options=dict(options), seed=seed, tasks=(("a",), ("b",)),
        measures={"class_miou_dataset": matrix.to_json()}, memory_clips=5, memory_mib=2.5, peak_mib=800.4, seconds=60.0,
    )  # fmt: skip


def test_a_constant_matrix_forgets_nothing_and_transfers_nothing_backward() -> None:
    matrix = ResultsMatrix(np.full((3, 3), 0.5), np.full(3, 0.5), np.full(3, 0.5))
    assert matrix.forgetting == matrix.backward_transfer == matrix.forward_transfer == 0
    assert matrix.average_incremental == matrix.final == 0.5


def test_each_number_is_its_definition() -> None:
    matrix = ResultsMatrix(R, SEEN, UNTRAINED)
    assert matrix.forgetting == pytest.approx(((0.8 - 0.4) + (0.7 - 0.5)) / 2)
    assert matrix.backward_transfer == pytest.approx(((0.4 - 0.8) + (0.5 - 0.7)) / 2)
    assert matrix.forward_transfer == pytest.approx(((0.1 - 0.02) + (0.2 - 0.1)) / 2)
    assert matrix.average_incremental == pytest.approx(SEEN.mean())
    assert matrix.final == 0.6


def test_forgetting_is_measured_from_the_best_score_ever() -> None:
    improved = R.copy()
    improved[1, 0] = 0.95
    assert ResultsMatrix(improved, SEEN, UNTRAINED).forgetting == pytest.approx(((0.95 - 0.4) + (0.7 - 0.5)) / 2)


def test_a_task_without_test_clips_is_left_out() -> None:
    holes = R.copy()
    holes[:, 1] = np.nan
    matrix = ResultsMatrix(holes, SEEN, UNTRAINED)
    assert matrix.forgetting == pytest.approx(0.4)
    assert matrix.forward_transfer == pytest.approx(0.1)


def test_what_could_not_be_tested_before_it_was_learned_is_no_hole_in_forgetting() -> None:
    triangle = R.copy()
    triangle[np.triu_indices(3, k=1)] = np.nan
    matrix = ResultsMatrix(triangle, SEEN, np.full(3, np.nan))
    assert matrix.forgetting == pytest.approx(((0.8 - 0.4) + (0.7 - 0.5)) / 2)
    assert math.isnan(matrix.forward_transfer)


def test_a_single_task_has_nothing_to_forget() -> None:
    assert math.isnan(ResultsMatrix(np.ones((1, 1)), np.ones(1), np.zeros(1)).forgetting)


def test_a_matrix_comes_back_from_json_with_its_holes() -> None:
    holes = R.copy()
    holes[2, 1] = np.nan
    text = json.dumps(ResultsMatrix(holes, SEEN, UNTRAINED).to_json(), allow_nan=False)
    back = ResultsMatrix.from_json(json.loads(text))
    np.testing.assert_array_equal(back.scores, holes)
    np.testing.assert_array_equal(back.untrained, UNTRAINED)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(T, T\)"):
        ResultsMatrix(R[:2], SEEN, UNTRAINED)


def test_seeds_are_averaged_and_the_best_method_comes_first() -> None:
    runs = [run("fine-tuning", 0, 0.1), run("cmr", 0, 0.5), run("cmr", 1, 0.7), run("cmr", 0, 0.4, per_class=1)]
    (table,) = tables(runs)
    assert table.title == "cis-6-3, class_miou_dataset"
    assert [label for label, _ in table.rows] == ["cmr", "cmr (per_class 1)", "fine-tuning"]
    final = table.rows[0][1][0]
    assert final.mean == pytest.approx(0.6)
    assert final.n == 2
    assert final.deviation == pytest.approx(0.1414, abs=1e-4)
    assert spread([3.0]).deviation == 0
    assert math.isnan(spread([3.0, math.nan]).mean)


def test_tables_as_markdown_csv_and_latex() -> None:
    (table,) = tables([run("cmr", 0, 0.5), run("cmr", 1, 0.7), run("lwf", 0, 0.25)])
    markdown = to_markdown(table).splitlines()
    assert markdown[0] == "**cis-6-3, class_miou_dataset**"
    assert markdown[4].startswith("| cmr | 0.600 ± 0.141 | 0.700 ± 0.071 | 0.200 ± 0.141 |")
    assert markdown[5] == "| lwf | 0.250 | 0.525 | 0.550 | -0.550 | 0.000 | 5 | 2.5 | 800 | 60 | 1 |"
    assert len({line.count("|") for line in markdown[2:]}) == 1
    assert to_csv(table).splitlines()[2].startswith('"cis-6-3, class_miou_dataset",lwf,0.25,0.0,')
    latex = to_latex(table)
    assert r"cmr & 0.600 $\pm$ 0.141" in latex
    assert latex.count(r"\\") == 3


def test_runs_are_found_below_a_folder(tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = tmp_path / "cmr" / str(seed)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(run("cmr", seed, 0.5).model_dump_json())
    assert [one.seed for one in read_runs(tmp_path)] == [0, 1]
    assert collect(tmp_path, tmp_path / "kept" / "all.runs.jsonl") == 2
    assert [one.seed for one in read_runs(tmp_path / "kept")] == [0, 1]
    assert read_runs(tmp_path / "kept" / "all.runs.jsonl") == read_runs(tmp_path / "cmr")
    (tmp_path / "cmr" / "1" / "run.json").write_text("{")
    with pytest.raises(DataRejected, match="not a finished run"):
        read_runs(tmp_path)
    with pytest.raises(DataRejected, match=r"no run\.json"):
        read_runs(tmp_path / "cmr" / "1" / "nothing")
