"""The cast: co-occurrence entangles on purpose, and spans lie in the clip."""

from dataclasses import replace

import numpy as np
import pytest

from cavs.adapt.data.cast import Cast, ClipWish, draw_cast, draw_spans, known_targets
from cavs.adapt.data.ingredients import Ingredients
from cavs.runtime.errors import DataRejected


def draw_many(few: Ingredients, wish: ClipWish, count: int = 200) -> list[Cast]:
    return [draw_cast(few, np.random.default_rng(seed), wish) for seed in range(count)]


def test_nobody_plays_two_parts(few: Ingredients) -> None:
    for cast in draw_many(few, ClipWish(offscreen=0.5)):
        everybody = cast.sounding + cast.silent + cast.offscreen
        assert len(set(everybody)) == len(everybody)
        assert 1 <= len(cast.sounding) <= 3


def test_sources_are_as_many_as_their_weights_say(few: Ingredients) -> None:
    assert {len(cast.sounding) for cast in draw_many(few, ClipWish(sources=(0.0, 1.0)))} == {2}


def test_a_certain_pair_always_comes_together(few: Ingredients) -> None:
    first, second, third, *_ = few.classes_with_both()
    matrix = {first: {second: 1.0}, second: {first: 1.0}, third: {}}
    wish = ClipWish(targets=(first, second, third), cooccurrence=matrix, sources=(0.0, 1.0), distractors=(0, 0), offscreen=0)
    for cast in draw_many(few, wish, 60):
        assert set(cast.sounding) in ({first, second}, {third})


def test_a_partner_without_room_as_a_source_is_there_silently(few: Ingredients) -> None:
    first, second, *_ = few.classes_with_both()
    wish = ClipWish(targets=(first,), cooccurrence={first: {second: 1.0}}, sources=(1.0,), distractors=(0, 0))
    assert all(cast == Cast((first,), (second,), ()) for cast in draw_many(few, wish, 20))


def test_a_partner_comes_as_often_as_its_chance(few: Ingredients) -> None:
    first, second, *_ = few.classes_with_both()
    wish = ClipWish(targets=(first, second), cooccurrence={first: {second: 0.3}}, sources=(0.0, 1.0), distractors=(0, 0))
    casts = [cast for cast in draw_many(few, wish, 800) if cast.sounding[0] == first]
    assert np.mean([second in cast.sounding for cast in casts]) == pytest.approx(0.3, abs=0.08)


def test_an_uncorrelated_class_of_the_matrix_is_no_random_distractor(few: Ingredients) -> None:
    first, second, *_ = few.classes_with_both()
    wish = ClipWish(targets=(first,), cooccurrence={first: {second: 0.0}}, distractors=(2, 2))
    assert not any(second in cast.silent for cast in draw_many(few, wish, 60))


def test_targets_must_be_seen_and_heard(few: Ingredients) -> None:
    assert known_targets(few, None) == few.classes_with_both()
    with pytest.raises(DataRejected, match="offscreen_misc: no pictures and sounds in split train; known: "):
        known_targets(few, ("offscreen_misc",))
    with pytest.raises(DataRejected, match=r"any class: .*known: none"):
        known_targets(replace(few, cutouts={}), None)


@pytest.mark.parametrize("switching", [0.0, 0.75, 1.0])
def test_spans_follow_each_other_within_the_clip(switching: float) -> None:
    for seed in range(200):
        spans = draw_spans(np.random.default_rng(seed), 5.0, switching)
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges)
        assert spans[0][0] < 5.0
        assert all(end - start > 0.3 for start, end in spans)
        if switching == 0.0:
            assert spans == [(-1.0, 5.0)]
