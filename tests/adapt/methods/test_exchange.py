"""Sounds that change places: only between frames that are labelled alike, and pictures and labels stay."""

from dataclasses import replace

import torch

from cavs.adapt.methods.exchange import Exchange, same_labels
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.lra import Lra, LraOptions
from cavs.adapt.methods.method import Rows, Step, Task
from tests.tiny_segmenter import context, some_rows, tiny


def labelled(labels: list[int], rehearsed: list[bool]) -> Rows:
    """A frame for each label, all of its pixels."""
    rows = some_rows(count=len(labels), labels=(0, 1, 2))
    planes = torch.tensor(labels)[:, None, None].expand_as(rows.labels)
    return replace(rows, labels=planes, rehearsed=torch.tensor(rehearsed))


def exchanged(rows: Rows) -> Rows:
    segmenter, method = tiny(), Exchange(FineTuning())
    method.begin_task(context(segmenter, Task(0, 0, 2)))
    step = Step(rows, Task(0, 0, 2), segmenter, None)
    method.prepare(step)
    return step.rows


def test_frames_are_alike_by_the_classes_in_their_labels_and_by_whether_they_are_rehearsed() -> None:
    rows = labelled([1, 0, 1, 1, 2, 0], [False, False, False, True, False, False])
    assert same_labels(rows) == [[0, 2], [1, 5], [3], [4]]


def test_only_sounds_of_frames_that_are_alike_change_places() -> None:
    rows = labelled([1] * 6 + [2] * 2 + [1] * 2, [False] * 8 + [True] * 2)
    after = exchanged(rows)
    heard, before = after.inputs.sounds[0], rows.inputs.sounds[0]
    for group in same_labels(rows):
        assert sorted(heard[group].tolist()) == sorted(before[group].tolist())
    assert not torch.equal(heard[:6], before[:6])
    assert torch.equal(after.inputs.pictures[0], rows.inputs.pictures[0])
    assert torch.equal(after.labels, rows.labels)
    assert torch.equal(rows.inputs.sounds[0], before)


def test_a_task_repeats_with_its_generator() -> None:
    rows = labelled([1] * 8, [False] * 8)
    assert torch.equal(exchanged(rows).inputs.sounds[0], exchanged(rows).inputs.sounds[0])


def test_lra_learns_from_exchanged_sounds_unless_told_otherwise() -> None:
    assert isinstance(Lra().objective, Exchange)
    assert not isinstance(Lra(LraOptions(exchange=False)).objective, Exchange)
