"""Exemplars as ingredients."""

import dataclasses

import numpy as np

from cavs.adapt.learn.material import OTHER_SPEEDS, at_other_speeds, cut_out, ingredients_of, without
from tests.adapt.learn.lessons import NAME, crossing, exemplars


def test_what_was_shown_can_be_composed_with() -> None:
    made = ingredients_of(exemplars(4), "train")
    assert made.classes_with_both() == (NAME,)
    assert len(made.cutouts[NAME]) == len(made.backgrounds) == 4
    assert {cutout.group for cutout in made.cutouts[NAME]} == {"lesson"}
    solid = made.cutouts[NAME][0].rgba[..., 3] > 127
    assert 0.6 < solid.mean() < 0.9  # an ellipse fills its box


def test_a_window_of_silence_is_no_recording_and_a_speck_no_cut_out() -> None:
    one = exemplars(1)[0]
    silent = dataclasses.replace(one, sound=np.zeros_like(one.sound))
    speck = np.zeros_like(one.marks[0][1])
    speck[:5, :5] = True
    assert ingredients_of([silent], "train").recordings == {}
    assert ingredients_of([dataclasses.replace(one, marks=((NAME, speck),))], "train").cutouts == {}


def test_recordings_are_heard_higher_and_lower() -> None:
    (first, *others) = at_other_speeds(ingredients_of(exemplars(1), "train")).recordings[NAME]
    assert [round(len(first.samples) / len(other.samples), 2) for other in others] == list(OTHER_SPEEDS)
    pitch = [float(np.abs(np.fft.rfft(one.samples)).argmax()) / len(one.samples) for one in (first, *others)]
    np.testing.assert_allclose([higher / pitch[0] for higher in pitch[1:]], OTHER_SPEEDS, rtol=0.02)


def test_a_place_is_shown_without_its_thing() -> None:
    (frame,), (mask,) = crossing(1)
    left = without(frame, ((NAME, mask),))
    assert left[mask].mean() < 0.6 * frame[mask].mean()
    far = ~mask
    far[8:56, 4:52] = False
    np.testing.assert_array_equal(left[far], frame[far])


def test_the_border_cuts_what_touches_it() -> None:
    (frame,), (mask,) = crossing(1)
    assert not cut_out(frame, mask, "a", NAME, "lesson").truncated
    assert cut_out(frame, np.roll(mask, -int(np.flatnonzero(mask.any(0))[0]), axis=1), "a", NAME, "lesson").truncated
