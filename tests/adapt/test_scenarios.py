"""Every scenario shows and sounds what its name says."""

import numpy as np
import pytest

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.procedural import CLASSES
from cavs.adapt.scenarios import EMPTY, Case, CaseSource
from cavs.runtime.engine import LABEL_FIRST_CLASS

ROWS = {name: row for row, name in enumerate(CLASSES)}


def cases(drawn: Ingredients, name: str, count: int = 3) -> list[Case]:
    return list(CaseSource(drawn, CLASSES, ROWS, (64, 64), 16_000).cases(name, count, seed=1))


def test_cases_are_a_function_of_the_seed(drawn: Ingredients) -> None:
    for one, other in zip(cases(drawn, "off_mixed"), cases(drawn, "off_mixed"), strict=True):
        assert (one.frame == other.frame).all()
        assert (one.sound == other.sound).all()
        assert (one.truth == other.truth).all()


def test_classes_take_turns_in_what_sounds(drawn: Ingredients) -> None:
    sounding = [set(np.unique(case.truth)) - {0} for case in cases(drawn, "one_silent", 5)]
    assert sounding == [{LABEL_FIRST_CLASS + row} for row in range(5)]


@pytest.mark.parametrize(("name", "sounding", "silent"), [("alone", 1, False), ("one_silent", 1, True), ("two_sound", 2, True)])
def test_as_many_classes_sound_as_the_scenario_says(drawn: Ingredients, name: str, sounding: int, silent: bool) -> None:
    for case in cases(drawn, name):
        assert len(set(np.unique(case.truth)) - {0}) == sounding
        assert case.silent.any() == silent
        assert not (case.silent & (case.truth > 0)).any()


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_is_to_be_marked_where_nothing_visible_sounds(drawn: Ingredients, name: str) -> None:
    for case in cases(drawn, name):
        assert not case.truth.any()
        assert case.silent.any()
        assert case.sound.any() == (name != "silence")


def test_the_ingredients_of_a_case_are_named(drawn: Ingredients) -> None:
    assert all(any("/sound/" in source for source in case.sources) for case in cases(drawn, "alone"))


def test_no_real_scene_is_made_up_when_there_is_none(drawn: Ingredients) -> None:
    assert cases(drawn, "real") == []


def test_an_unknown_scenario_is_refused_with_those_there_are(drawn: Ingredients) -> None:
    with pytest.raises(ValueError, match="'duet'; known: alone, one_silent"):
        cases(drawn, "duet")
