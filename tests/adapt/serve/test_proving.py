"""What follows from a probation: rollback and quarantine, also when the learner dies in between."""

import pytest

from cavs.adapt.serve.proving import Proving
from cavs.runtime.errors import StoreError
from cavs.runtime.store import ModelStore
from tests.adapt.serve.conftest import Room
from tests.adapt.serve.heard import masks, model_event

YELLOW = (1.0, 1.0, 0.0)
FELL_BACK = model_event("fell_back", "version 2 (bb) failed, version 1 (aa) runs again: 3 scores are not numbers")


@pytest.fixture
def lesson(room: Room) -> str:
    """Learned: version 2 is current and on probation."""
    lesson = room.teach("yellow", YELLOW)
    room.learn(lesson)
    return lesson


def test_a_version_that_fails_is_rolled_back_and_forbidden(room: Room, lesson: str) -> None:
    proving = Proving(room.desk())
    proving.probation.hear_event(FELL_BACK)
    proving.step()
    banned, outcome = room.store.quarantined(2), room.lessons.outcome(lesson)
    assert room.store.load_current().version == 1
    assert banned is not None
    assert outcome is not None
    assert "3 scores are not numbers" in banned.reason
    assert (outcome.state, outcome.version) == ("refused", 2)
    assert outcome.verdict["accepted"] is True  # the gate's numbers stay beside those of the probation
    assert "probation" in outcome.verdict
    assert proving.probation.record is None


@pytest.mark.parametrize("done", ["nothing", "rollback", "both"])
def test_a_learner_that_died_on_the_way_does_the_rest(room: Room, lesson: str, done: str) -> None:
    Proving(room.desk()).probation.hear_event(FELL_BACK)
    if done != "nothing":
        room.store.rollback()
    if done == "both":
        room.store.quarantine(2, "rolled back on probation")
    Proving(room.desk()).step()
    outcome = room.lessons.outcome(lesson)
    assert room.store.load_current().version == 1
    assert room.store.quarantined(2) is not None
    assert outcome is not None
    assert outcome.state == "refused"


def test_a_version_that_proves_itself_stays(room: Room, lesson: str) -> None:
    proving = Proving(room.desk(probation={"windows": 10}))
    for seq in range(10):
        proving.probation.hear_masks(masks(seq))
    proving.step()
    outcome = room.lessons.outcome(lesson)
    assert outcome is not None
    assert (proving.probation.record, outcome.state, room.store.load_current().version) == (None, "live", 2)


def test_a_rollback_by_hand_ends_the_probation(room: Room, lesson: str) -> None:
    proving = Proving(room.desk())
    room.store.rollback()
    proving.step()
    assert proving.probation.record is None
    assert room.store.quarantined(2) is None


def test_a_commit_that_never_came_leaves_nothing_on_probation(room: Room) -> None:
    desk = room.desk()
    desk.disk.make_directory(desk.home)
    proving = Proving(desk)
    proving.probation.begin("lesson", "a" * 64, room.bundle.id, 1)
    proving.step()
    assert proving.probation.record is None


def test_a_store_that_refuses_the_rollback_is_told_and_asked_again(room: Room, lesson: str) -> None:
    class Busy(ModelStore):
        busy = True

        def rollback(self) -> int:
            if self.busy:
                raise StoreError("is being written by process 7")
            return super().rollback()

    desk = room.desk()
    desk.store = Busy(room.store.path)
    proving = Proving(desk)
    proving.probation.hear_event(FELL_BACK)
    proving.step()
    assert "process 7" in desk.status.trouble
    desk.store.busy = False
    proving.step()
    assert room.store.load_current().version == 1
