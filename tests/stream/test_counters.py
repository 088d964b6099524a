"""Counts by cause."""

import pytest

from cavs.stream.counters import Counters


def test_a_declared_cause_is_listed_before_it_happens() -> None:
    counters = Counters(["frames_lost"])
    counters.declare("frames_stale", "frames_lost")
    assert counters.to_dict() == {"frames_lost": 0, "frames_stale": 0}


def test_declaring_again_does_not_forget_the_count() -> None:
    counters = Counters()
    counters.count("frames_lost", 3)
    counters.declare("frames_lost")
    assert counters["frames_lost"] == 3


def test_counts_add_up_and_an_unknown_cause_has_happened_zero_times() -> None:
    counters = Counters()
    counters.count("frames_lost")
    counters.count("frames_lost", 4)
    assert counters["frames_lost"] == 5
    assert counters["blocks_late"] == 0
    assert counters.to_dict() == {"frames_lost": 5}


def test_what_was_read_does_not_change_later() -> None:
    counters = Counters(["frames_lost"])
    seen = counters.to_dict()
    counters.count("frames_lost")
    assert seen == {"frames_lost": 0}


def test_counts_never_fall() -> None:
    with pytest.raises(ValueError, match="only grow"):
        Counters().count("frames_lost", -1)


def test_its_text_names_only_what_happened() -> None:
    counters = Counters(["a", "b"])
    assert "nothing happened" in repr(counters)
    counters.count("b")
    assert repr(counters) == "Counters(b=1)"
