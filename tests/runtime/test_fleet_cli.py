"""The fleet's commands as two people use them, each with a robot."""

import json
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.models_cli import main


class Shell:
    """Runs cavs-models on one robot."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._where = ("--store", str(home / "models"))
        self._keys = ("--keys", str(home / "keys"))
        self._capsys = capsys

    def run(self, command: str, *words: str) -> tuple[int, str, str]:
        keys = self._keys if command != "add" else ()
        code = main([command, *words, *self._where, *keys])
        said = self._capsys.readouterr()
        return code, said.out.strip(), said.err.strip()


@pytest.fixture
def learner(tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_bundle: Bundle) -> Shell:
    shell = Shell(tmp_path / "learner", capsys)
    shell.run("add", str(tiny_bundle.root))
    return shell


@pytest.fixture
def robot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "robot", capsys)


@pytest.fixture
def share(tmp_path: Path) -> str:
    (tmp_path / "share").mkdir()
    return str(tmp_path / "share")


def test_keys_are_made_exchanged_and_taken_away(learner: Shell, robot: Shell) -> None:
    code, out, _ = learner.run("keygen", "--name", "learner")
    assert code == 0
    line = out.split("cavs-models trust ")[1].strip("'")
    assert robot.run("trust")[1] == "no key is trusted; cavs-models trust KEY"
    code, out, _ = robot.run("trust", line, "--name", "kitchen")
    assert (code, out.startswith("kitchen is trusted: SHA256:")) == (0, True)
    (shown,) = json.loads(robot.run("trust", "--json")[1])
    assert (shown["name"], out.endswith(shown["key_id"])) == ("kitchen", True)
    assert robot.run("distrust", "kitchen")[:2] == (0, "kitchen is trusted no more")
    assert json.loads(robot.run("trust", "--json")[1]) == []


def test_a_version_goes_from_one_robot_to_another(learner: Shell, robot: Shell, share: str) -> None:
    line = json.loads(learner.run("keygen", "--name", "learner", "--json")[1])["public"]
    robot.run("trust", line)
    assert learner.run("push", share)[1].startswith(f"version 1 is release 1 of {share}: 3 files, ")
    assert learner.run("push", share)[1] == f"version 1 is release 1 of {share} already, the newest one"
    code, out, err = robot.run("pull", share)
    assert (code, out, err) == (0, "release 1, signed by learner, is now version 1; it is current", "")
    code, out, err = robot.run("pull", share)
    assert (code, out, err) == (0, f"{share} has no newer release that may be used", "")


def test_a_pull_that_takes_nothing_because_it_was_refused_fails(learner: Shell, robot: Shell, share: str) -> None:
    robot.run("trust", json.loads(robot.run("keygen", "--name", "robot", "--json")[1])["public"])
    learner.run("keygen", "--name", "learner")
    learner.run("push", share)
    code, out, err = robot.run("pull", share)
    assert (code, out) == (1, f"{share} has no newer release that may be used")
    assert err.startswith("cavs-models: refused: release 1: signed by 'SHA256:")


def test_what_is_missing_is_one_line(learner: Shell, robot: Shell, share: str) -> None:
    code, _, err = learner.run("push", share)
    assert (code, "cavs-models keygen" in err, err.count("\n")) == (1, True, 0)
    code, _, err = robot.run("pull", share)
    assert (code, "cavs-models trust KEY" in err, err.count("\n")) == (1, True, 0)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_looks_have_time_between_them(robot: Shell, share: str, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        robot.run("follow", share, f"--every={seconds}")
    assert stop.value.code == 2
    assert "a number of seconds above 0 was expected" in capsys.readouterr().err
