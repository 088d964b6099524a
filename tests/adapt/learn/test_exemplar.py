"""One labelled window, and which of several are pauses."""

from dataclasses import replace

from cavs.adapt.learn.exemplar import without_pauses
from tests.adapt.learn.lessons import exemplars


def test_a_window_without_a_mark_is_a_pause_where_its_lesson_marks_something() -> None:
    marked = exemplars(3)
    pause = replace(marked[0], marks=())
    assert without_pauses((*marked, pause)) == (marked, (pause,))


def test_in_a_lesson_that_something_does_not_sound_nothing_is_a_pause() -> None:
    taught = exemplars(2)
    silent = tuple(replace(one, marks=(), source="correction") for one in taught)
    assert without_pauses((*taught, *silent)) == ((*taught, *silent), ())
