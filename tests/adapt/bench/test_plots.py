"""Pictures of runs: which are drawn, and what is in them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cavs.adapt.bench.plots import collision_matrix, collisions, confusion_shares, confusions, curves, heat_maps, write_plots
from cavs.adapt.bench.report import RunRecord
from cavs.adapt.bench.results import ResultsMatrix
from cavs.runtime.errors import AdaptError


def run(method: str, seed: int, low: float, untrained: float = 0.1, counted: bool = False) -> RunRecord:
    matrix = ResultsMatrix(np.array([[0.8, 0.2], [low, 0.7]]), np.array([0.8, (low + 0.7) / 2]), np.full(2, untrained))
    return RunRecord(
        protocol="cis-1-1", method=method, options={}, seed=seed, tasks=(("cat",), ("dog",)),
        measures={"binary_miou": matrix.to_json()}, confusions=[[[9, 1], [4, 6]], [[8, 2, 0], [0, 0, 0], [1, 5, 4]]],
        collisions=[[], [(1, 2, 40), (1, 2, 7)]] if counted else [[], []], memory_clips=0, seconds=1.0,
    )  # fmt: skip


def test_every_kind_is_drawn_where_there_are_numbers_for_it(tmp_path: Path) -> None:
    written = write_plots([run("lwf", 0, 0.1), run("lwf", 1, 0.3), run("cmr", 0, 0.6, counted=True)], tmp_path)
    names = {path.name for path in written}
    assert names == {
        "cis-1-1-binary-miou-heat.png", "cis-1-1-binary-miou-curve.png", "cis-1-1-binary-miou-transfer.png",
        "cis-1-1-collisions.png", "cis-1-1-confusions.png",
    }  # fmt: skip
    for path in written:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert min(picture.shape[:2]) > 150
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    bare = write_plots([run("lwf", 0, 0.1, untrained=float("nan"))], tmp_path / "bare")
    assert {path.stem for path in bare} == {"cis-1-1-binary-miou-heat", "cis-1-1-binary-miou-curve", "cis-1-1-confusions"}


def test_a_heat_map_holds_the_mean_of_the_seeds() -> None:
    figure = heat_maps({"lwf": [run("lwf", 0, 0.1), run("lwf", 1, 0.3)], "cmr": [run("cmr", 0, 0.6)]}, "binary_miou")
    assert figure is not None
    first, second = figure.axes[:2]
    np.testing.assert_allclose(np.asarray(first.images[0].get_array()), [[0.8, 0.2], [0.2, 0.7]])
    assert [first.get_title(), second.get_title()] == ["lwf", "cmr"]
    assert {text.get_text() for text in first.texts} == {"0.80", "0.20", "0.70"}


def test_a_curve_is_the_score_on_all_that_was_learned() -> None:
    figure = curves({"lwf": [run("lwf", 0, 0.1), run("lwf", 1, 0.3)]}, "binary_miou")
    assert figure is not None
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [0.8, 0.45])


def test_collisions_count_clips_and_confusions_are_shares_of_the_truth() -> None:
    counted = run("cmr", 0, 0.5, counted=True)
    np.testing.assert_array_equal(collision_matrix(counted), [[0, 2], [0, 0]])
    shares = confusion_shares(counted)
    np.testing.assert_allclose(shares[[0, 2]], [[0.8, 0.2, 0], [0.1, 0.5, 0.4]])
    assert np.isnan(shares[1]).all()
    assert collisions({"lwf": [run("lwf", 0, 0.5)]}) is None
    binary = run("lwf", 0, 0.5).model_copy(update={"confusions": [[], []]})
    assert confusions({"lwf": [binary]}) is None


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("in the way")
    with pytest.raises(AdaptError, match="not written"):
        write_plots([run("lwf", 0, 0.1)], tmp_path / "plots")
