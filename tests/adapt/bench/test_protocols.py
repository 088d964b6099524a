"""Which clips a task takes, what its labels mean, and the protocols of CL-AVS."""

from dataclasses import dataclass

import numpy as np
import pytest

from cavs.adapt.bench.cl_avs import DOMAINS, S4_CLASSES, TaskFree, cil, class_order, dil, til
from cavs.adapt.bench.labels import label_table
from cavs.adapt.bench.protocols import ClassProtocol, ProtocolTask, Setting, check_clips, split_classes
from cavs.runtime.errors import DataRejected


@dataclass(frozen=True)
class Listed:
    sounding: tuple[str, ...]
    split: str = "train"


NAMES = ("background", "cat", "dog", "drum", "horn")
TASKS = (ProtocolTask("task 0", ("dog", "cat")), ProtocolTask("task 1", ("horn",)), ProtocolTask("task 2", ("drum",)))
CLIPS = (Listed(("dog",)), Listed(("dog", "drum")), Listed(("horn", "cat")), Listed(("drum",)), Listed(()))


def protocol(setting: Setting = "overlapped", **changes: object) -> ClassProtocol:
    return ClassProtocol("test", TASKS, setting=setting, **changes)  # type: ignore[arg-type]


def test_overlapped_takes_every_clip_of_a_current_class() -> None:
    assert protocol().train_clips(CLIPS, 0) == [CLIPS[0], CLIPS[1], CLIPS[2]]
    assert protocol().train_clips(CLIPS, 1) == [CLIPS[2]]


def test_disjoint_leaves_out_clips_of_later_classes() -> None:
    assert protocol("disjoint").train_clips(CLIPS, 0) == [CLIPS[0]]
    assert protocol("disjoint").train_clips(CLIPS, 2) == [CLIPS[1], CLIPS[3]]


def test_scenarios_count_the_sounding_classes() -> None:
    assert protocol(scenario="cis").train_clips(CLIPS, 0) == [CLIPS[0]]
    assert protocol(scenario="cim").train_clips(CLIPS, 0) == [CLIPS[1], CLIPS[2]]


@pytest.mark.parametrize(
    ("role", "setting", "expected"),
    # of background, cat (task 0, label 2), dog (task 0, label 1), drum (task 2, label 4), horn (task 1, label 3)
    [
        ("train", "overlapped", [0, 0, 0, 0, 3]),
        ("train", "disjoint", [0, 0, 0, 0, 3]),
        ("train", "sequential", [0, 2, 1, 0, 3]),
        ("val", "overlapped", [0, 255, 255, 255, 3]),
        ("test", "overlapped", [0, 2, 1, 255, 3]),
        ("memory", "overlapped", [0, 2, 1, 255, 3]),
    ],
)
def test_labels_of_the_second_task(role: str, setting: Setting, expected: list[int]) -> None:
    table = label_table(protocol(setting), NAMES, 1, role)  # type: ignore[arg-type]
    assert table[:5].tolist() == expected
    mask = np.array([[0, 1], [4, 3]], np.uint8)
    assert table[mask].tolist() == [[expected[0], expected[1]], [expected[4], expected[3]]]


def test_binary_protocols_know_one_label_and_task_protocols_one_each() -> None:
    assert label_table(protocol(outputs="sounding"), NAMES, 1, "test")[:5].tolist() == [0, 1, 1, 255, 1]
    assert label_table(protocol(outputs="task"), NAMES, 1, "test")[:5].tolist() == [0, 1, 1, 255, 2]
    assert [protocol().new_labels(task) for task in range(3)] == [2, 1, 1]
    assert [protocol(outputs="sounding").new_labels(task) for task in range(3)] == [1, 0, 0]
    assert [protocol(outputs="task").new_labels(task) for task in range(3)] == [1, 1, 1]


def test_a_class_that_no_task_learns_is_background_in_training_and_ignored_in_test() -> None:
    names = (*NAMES, "stranger")
    assert label_table(protocol(), names, 1, "train")[5] == 0
    assert label_table(protocol(), names, 1, "test")[5] == 255


def test_a_class_in_two_tasks_or_a_task_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="dog in two tasks"):
        ClassProtocol("test", (ProtocolTask("a", ("dog",)), ProtocolTask("b", ("dog",))))
    with pytest.raises(ValueError, match="without classes"):
        ClassProtocol("test", (ProtocolTask("a", ()),))


def test_splits_must_come_out_even() -> None:
    assert [task.classes for task in split_classes("abcdefg", 3, 2)] == [tuple("abc"), tuple("de"), tuple("fg")]
    with pytest.raises(ValueError, match="3-3 does not divide 7"):
        split_classes("abcdefg", 3, 3)


def test_what_lacks_clips_is_said_by_name() -> None:
    with pytest.raises(DataRejected, match="task 1: no training clip of horn"):
        check_clips(protocol(), CLIPS[:2])
    fewer = [CLIPS[0], Listed(("horn",)), CLIPS[3], Listed(("dog",), "val")]
    assert check_clips(protocol(), fewer)[:2] == [
        "task 0: no training clip of cat: they cannot be learned",
        "task 0: no test clip of its classes: no score of its own",
    ]
    whole = [Listed(clip.sounding, split) for clip in CLIPS for split in ("train", "val", "test")]
    assert check_clips(protocol(), whole) == []


def test_11_2_makes_7_tasks_of_the_23_classes_in_an_order_that_the_seed_fixes() -> None:
    assert len(S4_CLASSES) == len(set(S4_CLASSES)) == 23
    assert [len(task.classes) for task in cil().tasks] == [11, 2, 2, 2, 2, 2, 2]
    assert cil(seed=3) == cil(tuple(reversed(S4_CLASSES)), seed=3)
    assert cil(seed=3).class_order != cil(seed=4).class_order
    assert class_order("abc", 0) != tuple("abc") or class_order("abc", 1) != tuple("abc")
    assert til().task_known
    assert not cil().task_known


def test_domains_are_the_five_groups() -> None:
    assert [task.name for task in dil().tasks] == ["human", "animal", "instrument", "vehicle", "tool"]
    assert [len(names) for names in DOMAINS.values()] == [3, 6, 6, 4, 4]


def test_a_stream_shows_every_training_clip_once_in_an_order_that_the_seed_fixes() -> None:
    clips = [Listed((str(n),)) for n in range(10)] + [Listed(("x",), "test")]
    stream = TaskFree(batch=4)
    shown = list(stream.batches(clips))
    assert [len(batch) for batch in shown] == [4, 4, 2]
    assert sorted(clip.sounding[0] for batch in shown for clip in batch) == [str(n) for n in range(10)]
    assert shown == list(stream.batches(clips))
    assert shown != list(TaskFree(batch=4, seed=1).batches(clips))
