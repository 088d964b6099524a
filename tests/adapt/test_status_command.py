"""cavs-adapt status: a stream and its learner in a few lines, and what can be said without a stream."""

import json
from pathlib import Path
from typing import Any

import pytest

from cavs.adapt.cli import main
from cavs.adapt.status_command import lines
from cavs.runtime.lesson import LessonRequest, Lessons, Outcome, new_lesson_id, wall_now_ns

STATUS: dict[str, Any] = {
    "stream": "kitchen",
    "publishes": "tcp://127.0.0.1:5555",
    "store": "/m",
    "model": {"version": 3, "adapter": "a" * 64, "bundle": "b" * 64},
    "classes": ["dog", "kettle"],
    "health": {"fps": 15.04, "latency_p99_ms": 81.3},
    "recent": {"seconds": 28.4, "frames": 300, "source": [480, 640], "most_seconds": 30, "mib": 47.9},
    "learner": {"alive": True, "restarts": 2, "status": {"doing": "training", "name": "kettle", "step": 3, "steps": 9}},
    "lessons": [
        {"lesson": "20261121T153000-a1b2c3", "kind": "teach", "name": "kettle", "state": "live", "outcome": {"version": 3}},
        {
            "lesson": "20261121T153100-a1b2c3",
            "kind": "teach",
            "name": "drill",
            "state": "proposed",
            "proposal": {"kept": 15, "windows": 20},
        },
        {
            "lesson": "20261121T153200-a1b2c3",
            "kind": "correct",
            "name": None,
            "state": "refused",
            "outcome": {"reason": "worse"},
        },
        {"lesson": "20261121T153300-a1b2c3", "kind": "", "name": None, "state": "unreadable", "error": "torn"},
    ],
}


def test_everything_is_told_in_a_few_lines() -> None:
    text = "\n".join(lines(STATUS))
    for part in (
        "kitchen at tcp://127.0.0.1:5555: 15.0 fps, p99 81 ms, picture 640x480",
        "version 3, adapter aaaaaaaaaaaa, bundle bbbbbbbbbbbb: dog, kettle",
        "28.4 s of the last 30 s in 300 small pictures and sound, 47.9 MiB; on no disk unless it is taught",
        "training, kettle, step 3 of 9; started again 2 times",
        "teach kettle: live as version 3",
        "teach drill: proposed, 15 of 20 windows; cavs-adapt teach --accept 20261121T153100-a1b2c3",
        "correct (unknown): refused: worse",
        "unreadable: torn",
    ):
        assert part in text


def test_a_stream_without_store_learner_and_windows_is_told_too() -> None:
    bare = {
        **STATUS,
        "store": None,
        "classes": [],
        "health": {"fps": None},
        "recent": {**STATUS["recent"], "source": None},
        "learner": {"alive": False, "status": None},
        "lessons": [],
    }
    text = "\n".join(lines(bare))
    assert "none: nothing can be taught" in text
    assert "none runs; start the stream with --adapt" in text
    assert "none yet: cavs-adapt teach NAME" in text


def test_without_a_stream_the_store_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lessons, wall_ns = Lessons(tmp_path), wall_now_ns()
    request = LessonRequest(id=new_lesson_id(wall_ns), kind="forget", name="kettle", asked_wall_ns=wall_ns)
    lessons.write(request)
    lessons.finish(request.id, Outcome(state="failed", reason="no such class"))
    assert main(["status", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no stream runs here" in out
    assert "forget kettle: failed: no such class" in out
    assert main(["status", "--json", "--store", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["lessons"][0]["state"] == "failed"


def test_without_a_stream_and_a_store_it_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--store", str(tmp_path / "nowhere")]) == 1
    err = capsys.readouterr().err
    assert "no stream runs here" in err
    assert err.count("\n") == 1
