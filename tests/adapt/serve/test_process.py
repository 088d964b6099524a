"""The process: one learner for a store, no learner without a model, and the command in front of it."""

import os
from pathlib import Path

import pytest

from cavs.adapt.cli import main
from cavs.adapt.serve.options import ServeOptions
from cavs.adapt.serve.process import HELD, LOCK, serve
from cavs.adapt.serve.status import LEARNER, LearnerStatus, read_status, write_status
from cavs.runtime.clock import ManualClock
from cavs.runtime.errors import AdaptError, StoreError
from cavs.runtime.store_lock import writing
from tests.adapt.serve.conftest import Room
from tests.tiny_school import TinySchool


def test_a_second_learner_is_told_who_the_first_is(room: Room) -> None:
    home = room.store.path / LEARNER
    home.mkdir()
    with (
        writing(home / LOCK, ManualClock(), 0, HELD),
        pytest.raises(StoreError, match=r"learner has a learner already, process \d+ .*; stop that one first"),
    ):
        serve(room.store.path, TinySchool, ServeOptions(), control=None)


def test_there_is_nothing_to_learn_from_without_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "none"), "--control", "none"]) == 1
    assert "is not a model store" in capsys.readouterr().err


def test_settings_print_as_they_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path), "--budget-ms", "40", "--memory-mib", "10", "--no-questions", "--print-config"]) == 0
    printed = capsys.readouterr().out
    options = ServeOptions.model_validate_json(printed)
    assert (options.give_way.p99_ms, options.memory_mib, options.ask_names) == (40, 10, False)
    config = tmp_path / "learner.json"
    config.write_text(printed)
    assert main(["serve", str(tmp_path), "--config", str(config), "--print-config"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("text", ["{", "[]", '{"memory_mib": -1}', '{"no_such_thing": 1}'])
def test_settings_that_cannot_hold_are_one_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "learner.json"
    config.write_text(text)
    assert main(["serve", str(tmp_path), "--config", str(config), "--print-config"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_its_threads_sleep_where_they_wait_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {}
    for given in (None, "ACTIVE"):
        monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
        if given is None:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        assert main(["serve", str(tmp_path), "--print-config"]) == 0
        said[given] = os.environ["OMP_WAIT_POLICY"]
    assert said == {None: "PASSIVE", "ACTIVE": "ACTIVE"}


def test_the_status_is_read_as_it_was_written(room: Room) -> None:
    assert read_status(room.store.path) is None
    (room.store.path / LEARNER).mkdir()
    status = LearnerStatus(pid=7, doing="training", loss=0.25, asking=("a",), verdict={"accepted": True})
    write_status(room.store.path, status)
    assert read_status(room.store.path) == status
    (room.store.path / LEARNER / "status.json").write_text("{}")
    with pytest.raises(AdaptError, match="pid"):
        read_status(room.store.path)
