"""A run on disk survives being cut anywhere."""

from pathlib import Path

import pytest
import torch

from cavs.adapt.run_folder import RunFolder, Saved
from cavs.runtime.errors import TrainingStopped


def state(step: int) -> Saved:
    tensors = {"w": torch.full((2,), float(step))}
    return Saved(tensors, tensors, {"moments": torch.ones(1)}, {"step": step, "notes": {}})


def test_the_newest_of_two_kept_states_is_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3):
        folder.keep(state(step))
    assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == ["00000002", "00000003"]
    newest = folder.newest()
    assert newest is not None
    assert newest.progress["step"] == 3
    assert newest.weights["w"].tolist() == [3, 3]
    assert newest.optimiser["moments"].tolist() == [1]


def test_a_torn_newest_state_falls_back_to_the_one_before(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.keep(state(1))
    weights = folder.keep(state(2)) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:20])
    newest = folder.newest()
    assert newest is not None
    assert newest.progress["step"] == 1


def test_a_run_of_which_nothing_can_be_read_stops_and_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (folder.keep(state(1)) / "progress.json").write_text("{")
    with pytest.raises(TrainingStopped, match=r"no state can be read \(00000001: .*give another --out"):
        folder.newest()
    assert (tmp_path / "steps" / "00000001").exists()


def test_a_state_half_written_by_a_killed_run_is_cleared_away(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.keep(state(1))
    (tmp_path / "steps" / ".00000002").mkdir()
    again = RunFolder(tmp_path)
    again.clear_torn()
    newest = again.newest()
    assert newest is not None
    assert newest.progress["step"] == 1
    assert not (tmp_path / "steps" / ".00000002").exists()


def test_a_best_state_set_aside_by_a_killed_exchange_is_put_back(tmp_path: Path) -> None:
    RunFolder(tmp_path).keep_best(state(1))
    (tmp_path / "best").rename(tmp_path / ".best.former")  # killed between the two renames
    again = RunFolder(tmp_path)
    again.clear_torn()
    best = again.best()
    assert best is not None
    assert best.progress["step"] == 1


def test_other_settings_than_those_of_the_run_are_refused_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.pin_config({"seed": 1, "steps": 5})
    folder.pin_config({"seed": 1, "steps": 5})
    with pytest.raises(TrainingStopped, match="differs in seed; give another --out"):
        folder.pin_config({"seed": 2, "steps": 5})


def test_a_place_that_cannot_be_written_to_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingStopped, match=r"file: cannot be written to \(.*\); give another --out"):
        RunFolder(tmp_path / "file")


def test_a_state_that_cannot_be_written_leaves_those_before(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.keep(state(1))
    (tmp_path / "steps" / ".00000002").write_text("in the way")
    with pytest.raises(TrainingStopped, match=r"00000002: not written .*states kept before are untouched"):
        folder.keep(state(2))
    newest = folder.newest()
    assert newest is not None
    assert newest.progress["step"] == 1
