"""What the learner does in one line, and a line that is written over in a terminal only."""

import io
from typing import Any

import pytest

from cavs.adapt.progress_line import ProgressLine, learning_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_a_line_for_each_change() -> None:
    out = io.StringIO()
    line = ProgressLine(out)
    for text in ("a", "a", "b"):
        line.show(text)
    line.clear()
    assert out.getvalue() == "a\nb\n"


def test_a_terminal_has_one_line_that_changes() -> None:
    out = Terminal()
    line = ProgressLine(out)
    line.show("a")
    line.show("b")
    line.clear()
    assert out.getvalue() == "\ra\x1b[K\rb\x1b[K\r\x1b[K"


@pytest.mark.parametrize(
    ("learner", "lesson", "text"),
    [
        ({"alive": False, "status": {"doing": "training"}}, None, "no learner runs just now"),
        ({"alive": True, "status": None}, None, "the learner starts"),
        ({"alive": True, "status": {"doing": "idle"}}, None, "idle"),
        (
            {
                "alive": True,
                "status": {"doing": "training", "name": "kettle", "step": 4, "steps": 9, "loss": 0.25, "seconds_left": 7.4},
            },
            None,
            "training, kettle, step 4 of 9, loss 0.250, 7 s left",
        ),
        ({"alive": True, "status": {"doing": "training", "lesson": "b", "paused": "p99"}}, "a", "another lesson first (b)"),
        ({"alive": True, "status": {"doing": "training", "lesson": "a", "paused": "on battery"}}, "a", "paused: on battery"),
    ],
)
def test_what_the_learner_does_is_one_line(learner: dict[str, Any], lesson: str | None, text: str) -> None:
    assert text in learning_line(learner, lesson)
