"""`cavs-adapt learn`, `forget` and `memory`."""

from pathlib import Path

import pytest

from cavs.adapt.cli import main
from tests.adapt.serve.conftest import Room


def test_forget_and_learn_leave_lessons_that_need_no_stream(room: Room, tmp_path: Path) -> None:
    store = ["--store", str(room.store.path)]
    (tmp_path / "clips" / "yellow").mkdir(parents=True)
    assert main(["forget", "red", *store]) == 0
    assert main(["learn", str(tmp_path / "clips"), *store]) == 0
    requests = {request.kind: request for request in map(room.lessons.request, room.lessons.ids())}
    assert (requests["forget"].name, requests["forget"].yes) == ("red", True)
    assert requests["learn"].path == str(tmp_path / "clips")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["forget", "a/b"], "a name is no path"),
        (["learn", "nowhere"], "not there"),
        (["memory", "export", "."], "exists"),
    ],
)
def test_what_cannot_be_is_one_line(argv: list[str], words: str, room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--store", str(room.store.path)]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert room.lessons.ids() == ()


def test_without_a_store_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", "red", "--store", str(tmp_path / "none")]) == 1
    assert "is not a model store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_memory_shows_and_exports_what_is_kept(room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room.learn(room.teach("yellow", (1.0, 1.0, 0.0)))
    store = ["--store", str(room.store.path)]
    assert main(["memory", "show", "--check", *store]) == 0
    said = capsys.readouterr().out
    assert "yellow                       6 exemplars" in said
    assert "1 noted" in said
    assert "0 still hold what was seen and heard" in said
    assert main(["memory", "export", str(tmp_path / "out"), "--class", "yellow", *store]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 6
