"""The anchors: composed for the drawn classes, grown by lessons, bounded for each class."""

from dataclasses import replace
from pathlib import Path

import pytest

from cavs.adapt.serve.anchors import PER_CLASS, Anchors, drawn_anchors
from cavs.adapt.serve.exemplar_files import ExemplarFolder
from cavs.runtime.bundle import Bundle
from tests.lessons import shown
from tests.tiny_bundle import make_tiny_bundle

DRAWN = ("drone", "kettle", "hand_bell")


@pytest.fixture
def anchors(tmp_path: Path) -> Anchors:
    return Anchors(tmp_path / "anchors")


def test_composed_anchors_show_every_drawn_class_that_is_known(anchors: Anchors, tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle", samples=16_000)
    assert anchors.lacks_drawn(bundle, DRAWN)
    made = list(drawn_anchors(bundle, (*DRAWN, "dog")))
    assert {name for one in made for name in one.names} == set(DRAWN)
    for count in (2, len(made)):  # a learner that was killed after two makes the rest
        assert anchors.lacks_drawn(bundle, DRAWN)
        anchors.take(iter(made[:count]), 16_000)
    assert len(anchors.folder.kept()) == len(made)
    assert not anchors.lacks_drawn(bundle, DRAWN)
    assert all(one.frame.shape == (64, 64, 3) and one.sound.shape == (16_000,) for one in made)


def test_a_bundle_of_no_drawn_class_gets_none(anchors: Anchors, tiny_bundle: Bundle) -> None:
    assert not anchors.lacks_drawn(tiny_bundle, ("red", "green", "kettle"))


def test_lessons_leave_so_many_of_each_class_the_newest(anchors: Anchors, tiny_bundle: Bundle, tmp_path: Path) -> None:
    lessons = ExemplarFolder(tmp_path / "held")
    for wall_ns in range(PER_CLASS + 5):
        (one,) = shown(tiny_bundle, "yellow", (1, 1, 0), count=1, wall_ns=wall_ns)
        lessons.add(replace(one, score=wall_ns / 100), 16_000)
    anchors.grow(lessons.kept())
    kept = anchors.folder.kept()
    assert len(kept) == PER_CLASS
    assert min(one.record.wall_ns for one in kept) == 5
    assert anchors.forget("yellow") == PER_CLASS
