"""The learner, one step at a time: lessons in, versions out, whatever comes between."""

import errno
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.desk import Stopped
from cavs.runtime.adapter import make_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.lesson import PROPOSAL, Decision, LessonRequest, Lessons, new_lesson_id, wall_now_ns
from cavs.runtime.lesson_windows import WINDOWS_FILE
from tests.adapt.serve.conftest import Room, run
from tests.tiny_bundle import DOWN, UP, make_tiny_bundle

YELLOW, CYAN = (1.0, 1.0, 0.0), (0.0, 1.0, 1.0)
IDLE = {"idle_s": 1e6}


def forget(room: Room, name: str) -> str:
    now_ns = wall_now_ns()
    request = LessonRequest(id=new_lesson_id(now_ns), kind="forget", name=name, yes=True, asked_wall_ns=now_ns)
    room.lessons.write(request)
    return request.id


def test_what_is_taught_becomes_the_current_version(room: Room) -> None:
    lesson = room.teach("yellow", YELLOW)
    assert room.learn(lesson) == "live: "
    current = room.store.load_current()
    outcome = room.lessons.outcome(lesson)
    assert outcome is not None
    assert (current.version, outcome.version) == (2, 2)
    assert room.classes() == {"red", "green", "blue", "yellow"}
    assert [check["state"] for check in outcome.verdict["checks"]].count("failed") == 0  # type: ignore[union-attr,index,call-overload]
    assert current.adapter.manifest.scores["accepted"] is True


def test_a_lesson_leaves_its_exemplars_and_nothing_of_what_was_recorded(room: Room) -> None:
    lesson = room.teach("yellow", YELLOW)
    room.learn(lesson)
    desk = room.desk()
    assert [(share.name, share.exemplars) for share in desk.memory.shares()] == [("yellow", 6)]
    assert {one.record.names for one in desk.anchors.folder.kept()} == {("yellow",)}
    home = room.lessons.directory(lesson)
    assert not (home / WINDOWS_FILE).exists()
    assert not (home / PROPOSAL).exists()


def test_without_yes_a_person_is_waited_for(room: Room) -> None:
    lesson = room.teach("yellow", YELLOW, yes=False)
    learner = room.learner()
    run(learner, lambda: room.lessons.proposal(lesson) is not None)
    for _ in range(5):
        learner.step()
    assert room.store.load_current().version == 1
    assert learner._desk.status.asking == (lesson,)
    room.lessons.decide(lesson, Decision(accept=True, wall_ns=1))
    run(learner, lambda: room.ended(lesson))
    assert "yellow" in room.classes()


def test_a_person_may_say_no(room: Room) -> None:
    lesson = room.teach("yellow", YELLOW, yes=False)
    learner = room.learner()
    run(learner, lambda: room.lessons.proposal(lesson) is not None)
    room.lessons.decide(lesson, Decision(accept=False, by="anna", wall_ns=1))
    run(learner, lambda: room.ended(lesson))
    outcome = room.lessons.outcome(lesson)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == ("rejected", "the proposal was not accepted by anna")
    assert room.store.load_current().version == 1


def test_a_lesson_that_waits_for_a_person_holds_up_no_other(room: Room) -> None:
    room.teach("yellow", YELLOW, yes=False, wall_ns=wall_now_ns() - 10**10)
    assert room.learn(room.teach("cyan", CYAN)) == "live: "


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("yellow", {"amplitude": 0.0}, "silent"),
        ("red", {}, "'red' is known already"),
        ("yellow", {"count": 2}, "2 of 2 windows can be learned from, at least 4 expected"),
    ],
)
def test_what_cannot_be_learned_ends_with_one_line(room: Room, name: str, fields: dict[str, object], words: str) -> None:
    how = room.learn(room.teach(name, YELLOW, **fields))
    assert how.startswith("failed: ")
    assert words in how
    assert "\n" not in how
    assert room.store.load_current().version == 1


def test_a_torn_lesson_ends_with_one_line_and_the_next_one_is_learned(room: Room) -> None:
    torn = room.teach("yellow", YELLOW, wall_ns=wall_now_ns() - 10**10)
    file = room.lessons.directory(torn) / WINDOWS_FILE
    file.write_bytes(file.read_bytes()[:1000])
    assert room.learn(room.teach("cyan", CYAN)) == "live: "
    outcome = room.lessons.outcome(torn)
    assert outcome is not None
    assert "torn" in outcome.reason


def test_a_lesson_of_another_bundle_says_so(room: Room, tmp_path: Path) -> None:
    room.bundle = make_tiny_bundle(tmp_path / "larger", height=96, width=96)
    how = room.learn(room.teach("yellow", YELLOW))
    assert "windows of (96, 96) at 16000 Hz, the bundle of the store takes (64, 64)" in how


def test_a_version_that_becomes_current_meanwhile_is_learned_from(room: Room) -> None:
    lesson = room.teach("yellow", YELLOW)
    learner = room.learner()
    run(learner, lambda: (task := learner._desk.task.task()) is not None and task.phase == "gate")
    other = room.store.load_current()
    darker = {**other.adapter.tensors, "thresholds": np.array([0.4, 0.8], np.float32)}
    changed = make_adapter(darker, bundle=other.bundle, classes=other.adapter.classes, method="by hand")
    room.store.commit(changed, room.bundle.id)
    run(learner, lambda: room.ended(lesson))
    current = room.store.load_current()
    assert current.version == 3
    assert current.adapter.manifest.parent == changed.id
    assert "yellow" in room.classes()


def test_a_full_table_gets_a_larger_bundle(room: Room) -> None:
    room.learn(room.teach("yellow", YELLOW))
    assert room.learn(room.teach("cyan", CYAN)) == "live: "
    current = room.store.load_current()
    assert current.bundle.manifest.adapter.class_capacity == 8
    assert room.classes() == {"red", "green", "blue", "yellow", "cyan"}


def test_an_idle_learner_folds_what_was_learned(room: Room) -> None:
    room.learn(room.teach("yellow", YELLOW))
    learner = room.learner(consolidate_after=1, idle_s=0)
    learner._proving.probation.end()
    run(learner, lambda: room.store.load_current().bundle.id != room.bundle.id)
    assert room.classes() == {"red", "green", "blue", "yellow"}
    assert room.store.load_current().adapter.manifest.method == "bundle"


def test_a_forgotten_class_is_nowhere_and_the_others_stay(room: Room) -> None:
    room.learn(room.teach("yellow", YELLOW))
    room.learn(room.teach("cyan", CYAN))
    lesson = forget(room, "yellow")
    assert room.learn(lesson) == "live: "
    assert room.classes() == {"red", "green", "blue", "cyan"}
    desk = room.desk()
    assert [share.name for share in desk.memory.shares()] == ["cyan"]
    assert {name for one in desk.anchors.folder.kept() for name in one.record.names} == {"cyan"}
    for version in room.store.versions():
        assert "yellow" not in {name for _, name in room.store.load(version).adapter.classes}


def test_a_class_of_the_bundle_itself_loses_its_row(room: Room) -> None:
    assert room.learn(forget(room, "blue")) == "live: "
    assert room.classes() == {"red", "green"}


def test_what_is_not_known_cannot_be_forgotten(room: Room) -> None:
    assert "class 'dog' is not known" in room.learn(forget(room, "dog"))


def test_a_correction_to_a_known_class_adds_no_row(room: Room) -> None:
    lesson = room.teach("red", (1.0, 0.3, 0.2), kind="correct")
    assert room.learn(lesson) == "live: "
    assert room.classes() == {"red", "green", "blue"}


class FullDisk(Disk):
    """Takes nothing while it is full."""

    full = False

    def write(self, path: Path, content: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        super().write(path, content)


def test_a_full_disk_delays_a_lesson_and_loses_nothing(room: Room) -> None:
    assert isinstance(room.clock, ManualClock)
    disk = FullDisk()
    learner = room.learner(disk)
    lesson = room.teach("yellow", YELLOW)
    disk.full = True
    for _ in range(3):
        learner.step()
    assert "No space left on device" in learner._desk.status.trouble
    assert not room.ended(lesson)
    disk.full = False
    room.clock.advance_ns(10 * NS_PER_S)
    run(learner, lambda: room.ended(lesson))
    assert "yellow" in room.classes()


@pytest.mark.parametrize("wall_ns", [0, 4_000_000_000 * NS_PER_S])
def test_a_wall_clock_that_jumps_costs_nothing(room: Room, wall_ns: int) -> None:
    room.learn(room.teach("yellow", YELLOW, wall_ns=wall_ns))
    room.learner().step()
    assert [share.exemplars for share in room.desk().memory.shares()] == [6]


class PowerCut(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class DyingDisk(Disk):
    """Dies before step `left`, and before every later one."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut

    def make_directory(self, path: Path) -> None:
        self._step()
        super().make_directory(path)

    def write(self, path: Path, content: bytes) -> None:
        self._step()
        super().write(path, content)

    def copy(self, source: Path, target: Path) -> None:
        self._step()
        super().copy(source, target)

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)


def learn_through_power_cuts(room: Room, lesson: str, later: int, version: int) -> None:
    """The lesson goes live as that version, however often the learner dies on the way; the store is whole after each cut."""
    cuts = 0
    for left in range(3, 400, later):
        try:
            run(room.learner(DyingDisk(left), slice_s=1e-9, keep_s=1e-9), lambda: room.ended(lesson))
        except PowerCut:
            cuts += 1
        assert room.store.verify() == ()
        assert room.store.load_current().version in (1, version)
        if room.ended(lesson):
            break
    assert cuts > 3
    outcome = room.lessons.outcome(lesson)
    assert outcome is not None
    assert outcome.state == "live"


def test_power_cuts_at_any_step_of_the_disk_end_in_the_same_version(room: Room, tiny_bundle: Bundle) -> None:
    """Dies again and again, each time some steps later than before, until the lesson is through."""
    lesson = room.teach("yellow", YELLOW, count=6)
    learn_through_power_cuts(room, lesson, later=11, version=2)
    assert room.store.versions() == (1, 2)
    assert room.classes() == {"red", "green", "blue", "yellow"}
    room.learner().step()
    assert Lessons(room.store.path).proposal(lesson) is None


def darkens_red(room: Room, primaries: list[Exemplar], *, always: bool = False) -> None:
    """Candidates see black where red is, unless they are told that red was forgotten. Red, green and blue are anchors."""

    def spoil(made: dict[str, object]) -> None:
        if always or not room.school.forgot[-1]:
            tensors = cast("dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]", made["tensors"])
            tensors[DOWN][0, 0], tensors[UP][0, 0] = 1, -0.9

    room.school.spoil = spoil
    room.desk().anchors.take(iter(primaries), room.bundle.manifest.sound.rate_hz)


def refusals(room: Room) -> list[str]:
    return [line.quarantined for line in room.store.history() if line.quarantined]


def test_a_lesson_that_forgot_something_is_learned_once_more_with_that(room: Room, primaries: list[Exemplar]) -> None:
    darkens_red(room, primaries)
    lesson, learner = room.teach("yellow", YELLOW), room.learner()
    run(learner, lambda: "forgot red" in learner._desk.status.trouble)
    assert "learned once more with red shown more often" in learner._desk.status.trouble
    run(learner, lambda: room.ended(lesson))
    outcome = room.lessons.outcome(lesson)
    assert outcome is not None
    assert outcome.state == "live"
    assert learner._desk.status.trouble == ""
    assert room.school.forgot == [(), ("red",)]
    assert len(refusals(room)) == 1
    assert "forgot red" in refusals(room)[0]


def test_what_forgets_again_is_refused(room: Room, primaries: list[Exemplar]) -> None:
    darkens_red(room, primaries, always=True)
    assert "refused: anchors: forgot red" in room.learn(room.teach("yellow", YELLOW))
    assert room.school.forgot == [(), ("red",)]
    assert room.store.load_current().version == 1


def test_power_cuts_do_not_make_a_third_candidate(room: Room, primaries: list[Exemplar]) -> None:
    darkens_red(room, primaries)
    learn_through_power_cuts(room, room.teach("yellow", YELLOW), later=7, version=3)
    assert room.store.versions() == (1, 3)
    assert len(refusals(room)) == 1


def test_a_learner_that_is_told_to_end_does(room: Room) -> None:
    learner = room.learner()
    learner._desk.stopping = lambda: True
    with pytest.raises(Stopped):
        learner.step()
