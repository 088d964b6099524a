"""A lesson learned: what moves, what does not, and that a kill changes nothing."""

import numpy as np
import pytest

from cavs.adapt.data.procedural import CLASSES as DRAWN
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.material import UNKNOWN
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.training import LessonTraining
from cavs.runtime.adapter import Adapter, check_adapter
from cavs.runtime.errors import AdaptError, TrainingStopped
from tests.adapt.learn.lessons import NAME, exemplars, knowing
from tests.small_network import SMALL

QUICK = LearnOptions(steps=6, pictures=3, pool=12, sensed=2)
KNOWN = (*DRAWN[:2], "dog")


def finished(training: LessonTraining) -> LessonTraining:
    while training.done < training.steps:
        training.step()
    return training


LISTENING = SMALL.model_copy(update={"ear_pairs": "listener"})


@pytest.fixture(scope="module")
def learned() -> tuple[Adapter, Adapter]:
    """A parent, and what a lesson made of it."""
    network, bundle, parent = knowing(*KNOWN)
    child = finished(LessonTraining(network, parent, exemplars(), (), QUICK, seed=1)).adapter(bundle)
    check_adapter(child, bundle)
    return parent, child


def test_a_new_class_gets_the_first_free_row(learned: tuple[Adapter, Adapter]) -> None:
    parent, child = learned
    assert [tuple(row) for row in child.classes] == [*[tuple(row) for row in parent.classes], (len(KNOWN), NAME)]
    assert child.manifest.parent == parent.id


def test_old_rows_and_thresholds_are_the_same_to_the_last_bit(learned: tuple[Adapter, Adapter]) -> None:
    parent, child = learned
    np.testing.assert_array_equal(child.tensors["classes.table"][: len(KNOWN)], parent.tensors["classes.table"][: len(KNOWN)])
    np.testing.assert_array_equal(child.tensors["thresholds"], parent.tensors["thresholds"])


def test_every_pair_has_learned(learned: tuple[Adapter, Adapter]) -> None:
    parent, child = learned
    still = [
        name for name in parent.tensors if name.endswith(".B") and np.array_equal(parent.tensors[name], child.tensors[name])
    ]
    assert still == []


def test_where_the_ear_carries_more_pairs_they_learn_too() -> None:
    network, bundle, parent = knowing(*KNOWN, config=LISTENING)
    options = QUICK.model_copy(update={"listened": 5})
    child = finished(LessonTraining(network, parent, exemplars(), (), options, seed=1)).adapter(bundle)
    check_adapter(child, bundle)
    ear = [name for name in child.tensors if name.startswith(("lora.listener.blocks", "lora.listener.projections"))]
    assert len(ear) == 2 * (2 + 6 * LISTENING.token_layers)
    still = [name for name in ear if name.endswith(".B") and not child.tensors[name].any()]
    # What the context and the other tokens ask of the last block counts no less than the voices: every pair has a say.
    assert still == []


def test_a_killed_training_ends_where_the_other_ended(learned: tuple[Adapter, Adapter]) -> None:
    network, bundle, parent = knowing(*KNOWN)
    first = LessonTraining(network, parent, exemplars(), (), QUICK, seed=1)
    while first.done < first.composing + 3:
        first.step()
    second = LessonTraining(network, parent, exemplars(), (), QUICK, seed=1)
    second.load(first.state())
    assert finished(second).adapter(bundle).id == learned[1].id


def test_the_loss_of_the_new_class_falls() -> None:
    network, _, parent = knowing(*KNOWN)
    options = QUICK.model_copy(update={"steps": 80, "pair_rate": 3e-3, "shown": 1.0})
    training = LessonTraining(network, parent, exemplars(), (), options, seed=2)
    losses = []
    while training.done < training.steps:
        if step := training.step():
            losses.append(step["sounding"] + step["dice"] + step["classes"])
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])


def test_a_state_of_another_lesson_is_refused() -> None:
    network, _, parent = knowing(*KNOWN)
    state = LessonTraining(network, parent, exemplars(), (), QUICK, seed=1).state()
    with pytest.raises(TrainingStopped, match="another lesson"):
        LessonTraining(network, parent, exemplars(), (), QUICK, seed=2).load(state)
    with pytest.raises(TrainingStopped, match="another lesson"):  # of the first candidate, before one that holds on to a dog
        LessonTraining(network, parent, exemplars(), (), QUICK, seed=1, forgot=("dog",)).load(state)
    state["value.rows"] = state["value.rows"][:0]
    with pytest.raises(TrainingStopped, match="cannot be read"):
        LessonTraining(network, parent, exemplars(), (), QUICK, seed=1).load(state)


def test_a_full_table_is_one_line() -> None:
    network, _, parent = knowing("a", "b", "c", "d", "e", "f")
    assert SMALL.class_capacity == 6
    with pytest.raises(AdaptError, match="class whistle: all 6 rows of the class table are taken"):
        LessonTraining(network, parent, exemplars())


def test_nothing_to_learn_from_is_refused() -> None:
    network, _, parent = knowing("dog")
    with pytest.raises(AdaptError, match="without exemplars"):
        LessonTraining(network, parent, ())


@pytest.mark.parametrize("marks", ["silent", "unknown", "known"])
def test_a_correction_needs_no_new_row(marks: str) -> None:
    network, bundle, parent = knowing(*KNOWN)
    named = {"silent": (), "unknown": (UNKNOWN,), "known": ("dog",)}[marks]
    new = tuple(
        Exemplar(one.frame, one.sound, tuple((name, one.marks[0][1]) for name in named), one.source, one.wall_ns, one.score)
        for one in exemplars()
    )
    memory = exemplars(3, DRAWN[0], "before")
    child = finished(LessonTraining(network, parent, new, memory, QUICK.model_copy(update={"steps": 2}))).adapter(bundle)
    assert child.classes == parent.classes
    assert child.id != parent.id
