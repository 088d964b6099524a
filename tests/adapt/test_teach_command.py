"""cavs-adapt teach: what it asks of the stream, and what a person sees until the lesson is live or not."""

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cavs.adapt import teach_command
from cavs.adapt.cli import main
from cavs.adapt.teach_command import NO_LEARNER_NS, Following, read_mask, request_of
from cavs.runtime.clock import ManualClock
from cavs.runtime.control import ControlClient
from cavs.runtime.errors import AdaptError, ConfigError, LessonRejected

LESSON = "20261121T153000-a1b2c3"
LEARNS = {
    "alive": True,
    "status": {"doing": "training", "lesson": LESSON, "name": "kettle", "step": 3, "steps": 9, "loss": 0.5},
}
PROPOSAL = {"windows": 20, "kept": 15, "dropped": {"silent": 5}, "note": ""}


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    teach_command.add_parser(parser.add_subparsers())
    return parser.parse_args(["teach", *argv])


def asked(*argv: str) -> tuple[str, dict[str, Any]]:
    do, fields = request_of(parsed(*argv))
    return do, {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize(
    ("argv", "do", "fields"),
    [
        (["kettle"], "teach", {"name": "kettle", "yes": False}),
        (["kettle", "--seconds", "5", "--yes"], "teach", {"name": "kettle", "seconds": 5.0, "yes": True}),
        (["kettle", "--box", "1,2,3,4"], "teach", {"name": "kettle", "box": [1, 2, 3, 4], "unit": "px", "yes": False}),
        (["kettle", "--point", "10%,50%"], "teach", {"name": "kettle", "point": [0.1, 0.5], "unit": "fraction", "yes": False}),
        (["--correct", "dog", "--object", "7"], "correct", {"name": "dog", "sounding": True, "object": 7, "yes": False}),
        (["--not-sounding"], "correct", {"sounding": False, "yes": False}),
        (["--accept", LESSON], "decide", {"lesson": LESSON, "accept": True}),
        (["--reject", LESSON], "decide", {"lesson": LESSON, "accept": False}),
    ],
)
def test_the_options_become_one_request(argv: list[str], do: str, fields: dict[str, Any]) -> None:
    assert asked(*argv) == (do, fields)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "one of NAME, --correct NAME"),
        (["kettle", "--correct", "dog"], "one of NAME"),
        (["kettle", "--point", "10%,50"], "all numbers in pixels, or all with %"),
        (["--correct", "dog", "--mask", "m.png"], "--mask goes with teach NAME"),
        (["kettle", "--mask", "/nowhere/m.png"], "No such file"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(argv: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        asked(*argv)


def test_a_box_of_three_numbers_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("kettle", "--box", "1,2,3")
    assert "4 numbers with commas between them expected" in capsys.readouterr().err


def test_a_mask_of_any_format_is_sent_as_png(tmp_path: Path) -> None:
    path = tmp_path / "mask.bmp"
    path.write_bytes(cv2.imencode(".bmp", np.full((4, 5, 3), 255, np.uint8))[1].tobytes())
    assert read_mask(path).startswith(b"\x89PNG")
    path.write_bytes(b"no picture")
    with pytest.raises(ConfigError, match="no picture that can be read"):
        read_mask(path)


class ToldClient(ControlClient):
    """A stream that says, one after the other, what it was given to say; the last again and again."""

    def __init__(self, *told: dict[str, Any]) -> None:
        super().__init__("ipc:///nowhere")
        self.told = list(told)
        self.decided: list[bool] = []

    def lesson(self, lesson: str, *, preview: bool = False) -> dict[str, Any]:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]

    def decide(self, lesson: str, *, accept: bool, by: str = "") -> None:
        self.decided.append(accept)


def told(state: str, **more: Any) -> dict[str, Any]:
    return {"lesson": LESSON, "name": "kettle", "state": state, "directory": "/nowhere", "learner": LEARNS, **more}


def followed(*states: dict[str, Any]) -> tuple[int, list[bool]]:
    client = ToldClient(*states)
    with client:
        return Following(client, LESSON, ManualClock()).until_the_end(), client.decided


def test_a_lesson_is_followed_until_it_is_live(capsys: pytest.CaptureFixture[str]) -> None:
    live = told("live", proposal=PROPOSAL, outcome={"version": 4, "reason": ""})
    code, _ = followed(told("waiting"), told("learning", proposal=PROPOSAL), told("learning", proposal=PROPOSAL), live)
    out, err = capsys.readouterr()
    assert code == 0
    assert out == "proposal: 15 of 20 windows (dropped: silent 5)\nkettle is live: version 4\n"
    assert "training, kettle, step 3 of 9, loss 0.500" in err


def test_a_refusal_gives_its_reason_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = followed(told("refused", outcome={"version": None, "reason": "finite: 3 of 9 values"}))
    assert (code, capsys.readouterr().out) == (1, "refused: finite: 3 of 9 values\n")


class Keyboard(io.StringIO):
    """Somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Keyboard:
    keyboard = Keyboard()
    monkeypatch.setattr(sys, "stdin", keyboard)
    return keyboard


@pytest.mark.parametrize(("answer", "accept"), [("y\n", True), ("no\n", False), ("\n", False)])
def test_a_person_is_asked_and_answers(typed: Keyboard, answer: str, accept: bool) -> None:
    typed.write(answer)
    typed.seek(0)
    end = told("live", proposal=PROPOSAL, outcome={"version": 4, "reason": ""})
    assert followed(told("proposed", proposal=PROPOSAL), end) == (0, [accept])


def test_where_nobody_can_be_asked_it_says_how_to_answer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(LessonRejected, match=f"cavs-adapt teach --accept {LESSON}"):
        followed(told("proposed", proposal=PROPOSAL))


def test_without_a_learner_it_says_so_after_a_while() -> None:
    clock = ManualClock()
    alone = {**told("waiting"), "learner": {"alive": False, "status": None}}
    with ToldClient(alone) as client, pytest.raises(AdaptError, match=f"no learner runs; lesson {LESSON} waits for one"):
        Following(client, LESSON, clock).until_the_end()
    assert clock.now_ns() > NO_LEARNER_NS


def test_the_picture_of_a_stream_far_away_is_brought_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    end = told("live", proposal=PROPOSAL, preview=b"png", outcome={"version": 4, "reason": ""})
    followed(end)
    assert f"preview: {tmp_path}/cavs-{LESSON}.png" in capsys.readouterr().out
    assert (tmp_path / f"cavs-{LESSON}.png").read_bytes() == b"png"


def test_no_stream_is_one_line_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["teach", "kettle", "--store", str(tmp_path)]) == 1
    assert f"ipc://{tmp_path}/control.sock: no stream runs here; start one: cavs-stream" in capsys.readouterr().err
