"""Lessons on disk: whole or not there, read back equal, and every way to ask wrongly refused in one line."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.disk import Disk
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import (
    STAGED_AGE_S,
    Decision,
    Hint,
    LessonRequest,
    Lessons,
    Outcome,
    ProposalRecord,
    WindowVerdict,
    check_class_name,
    new_lesson_id,
    wall_now_ns,
)
from cavs.runtime.lesson_windows import Windows
from cavs.runtime.manifest import to_json

WALL_NS = 1_795_275_000 * NS_PER_S


def request(**changes: object) -> LessonRequest:
    asked = {"id": new_lesson_id(WALL_NS), "kind": "teach", "name": "kettle", "asked_wall_ns": WALL_NS, "rate_hz": 1000}
    return LessonRequest.model_validate({**asked, **changes})


def windows() -> Windows:
    return Windows(np.zeros((2, 4, 4, 3), np.uint8), np.array([5, 9], np.int64), np.zeros(8, np.float32), 0, 1000)


def test_a_lesson_is_read_back_equal(tmp_path: Path) -> None:
    lessons = Lessons(tmp_path)
    asked = request(hint=Hint(box=(0.1, 0.2, 0.3, 0.4)), yes=True)
    home = lessons.write(asked, windows(), mask=b"png")
    assert lessons.ids() == (asked.id,)
    assert lessons.request(asked.id) == asked
    assert np.array_equal(lessons.windows(asked.id).t_ns, [5, 9])
    assert sorted(item.name for item in home.iterdir()) == ["lesson.json", "mask.png", "windows.safetensors"]


def test_a_lesson_without_windows_is_one_too(tmp_path: Path) -> None:
    lessons = Lessons(tmp_path)
    asked = request(kind="forget", rate_hz=0)
    lessons.write(asked)
    assert lessons.request(asked.id).kind == "forget"
    with pytest.raises(LessonRejected, match="a lesson with windows was expected"):
        lessons.windows(asked.id)


def test_ids_sort_by_time_and_differ() -> None:
    earlier, later = new_lesson_id(WALL_NS), new_lesson_id(WALL_NS + NS_PER_S // 100)
    assert earlier.startswith("20261121T")
    assert earlier < later
    assert new_lesson_id(WALL_NS) != earlier


def test_a_store_without_lessons_has_none(tmp_path: Path) -> None:
    assert Lessons(tmp_path / "nowhere").ids() == ()


class FullDisk(Disk):
    """Has room for so many steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def _step(self) -> None:
        if self._left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= 1

    def make_directory(self, path: Path) -> None:
        self._step()
        super().make_directory(path)

    def write_pieces(self, path: Path, pieces: Iterable[bytes]) -> None:
        self._step()
        super().write_pieces(path, pieces)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)


@pytest.mark.parametrize("steps", range(5))
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, steps: int) -> None:
    lessons = Lessons(tmp_path, disk=FullDisk(steps))
    with pytest.raises(LessonRejected, match="No space left on device; nothing was kept"):
        lessons.write(request(), windows(), mask=b"png")
    assert lessons.ids() == ()
    assert not lessons.path.exists() or not list(lessons.path.iterdir())


def test_what_a_dead_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    lessons = Lessons(tmp_path)
    old, new = lessons.path / ".writing-a", lessons.path / ".writing-b"
    old.mkdir(parents=True)
    new.mkdir()
    long_ago_s = wall_now_ns() / NS_PER_S - STAGED_AGE_S - 5
    os.utime(old, (long_ago_s, long_ago_s))
    lessons.sweep()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_lesson_goes_from_proposal_to_outcome(tmp_path: Path) -> None:
    lessons = Lessons(tmp_path)
    asked = request()
    home = lessons.write(asked, windows())
    assert (lessons.proposal(asked.id), lessons.decision(asked.id), lessons.outcome(asked.id)) == (None, None, None)
    verdicts = (WindowVerdict(frame=0, kept=True, score=0.5), WindowVerdict(frame=1, kept=False, reason="silent"))
    (home / "proposal").mkdir()
    (home / "proposal" / "proposal.json").write_bytes(to_json(ProposalRecord(name="kettle", windows=verdicts)))
    proposal = lessons.proposal(asked.id)
    assert proposal is not None
    assert (proposal.kept, proposal.dropped) == (1, {"silent": 1})
    lessons.decide(asked.id, Decision(accept=True, by="me", wall_ns=WALL_NS))
    assert lessons.open() == (asked.id,)
    lessons.finish(asked.id, Outcome(state="live", version=2))
    assert lessons.open() == ()
    decision, outcome = lessons.decision(asked.id), lessons.outcome(asked.id)
    assert decision is not None
    assert decision.accept
    assert outcome == Outcome(state="live", version=2)
    with pytest.raises(LessonRejected, match=r"has ended: live$"):
        lessons.decide(asked.id, Decision(accept=False, wall_ns=WALL_NS))


def test_what_was_seen_can_be_dropped_and_the_words_stay(tmp_path: Path) -> None:
    lessons = Lessons(tmp_path)
    asked = request()
    home = lessons.write(asked, windows(), mask=b"png")
    lessons.drop_windows(asked.id)
    assert [item.name for item in home.iterdir()] == ["lesson.json"]


@pytest.mark.parametrize("lesson", ["", "..", "../versions", "20261121T153000", "20261121T153000-a1b2c3/.."])
def test_an_id_cannot_lead_out_of_the_directory(tmp_path: Path, lesson: str) -> None:
    with pytest.raises(LessonRejected, match="an id such as"):
        Lessons(tmp_path).request(lesson)


def test_a_lesson_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LessonRejected, match="no lesson 20261121T153000-a1b2c3"):
        Lessons(tmp_path).request("20261121T153000-a1b2c3")


def test_a_torn_lesson_is_one_line(tmp_path: Path) -> None:
    lessons = Lessons(tmp_path)
    asked = request()
    home = lessons.write(asked, windows())
    (home / "lesson.json").write_bytes(to_json(asked)[:40])
    with pytest.raises(LessonRejected, match="torn, edited or of another version"):
        lessons.request(asked.id)


@pytest.mark.parametrize("name", ["kettle", "coffee machine", "Wasserkocher Küche", "犬"])
def test_words_of_any_language_are_names(name: str) -> None:
    assert check_class_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        (" kettle", "spaces around it"),
        ("a/b", "no path"),
        ("..", "no path"),
        ("a\\b", "no path"),
        ("a\nb", "cannot be printed"),
        ("a\x1b[31m", "cannot be printed"),
        ("k" * 81, "81 characters, at most 80"),
        ("Unknown", "choose another"),
        ("silent", "choose another"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, says: str) -> None:
    with pytest.raises(LessonRejected, match=says):
        check_class_name(name)
    with pytest.raises(LessonRejected, match=says):
        request(name=name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": None}, "needs a name"),
        ({"path": "clips"}, "path goes with kind learn"),
        ({"kind": "learn"}, "path goes with kind learn"),
        ({"id": "../x"}, "id"),
        ({"hint": {"box": (0.1, 0.2, 0.3, 1.4)}}, "less than or equal to 1"),
        ({"hint": {"point": (0.1, 0.2), "object": 3}}, "point and object given, one expected"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        request(**changes)
