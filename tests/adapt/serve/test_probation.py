"""A version on probation: what ends it well, what ends it badly, and what a restart keeps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cavs.adapt.serve.listening import HeardMasks
from cavs.adapt.serve.probation import Probation, ProbationLimits
from tests.adapt.serve.heard import masks, model_event

ADAPTER, BUNDLE = "a" * 64, "b" * 64
LIMITS = ProbationLimits(windows=100, early=20)


def begun(path: Path, inspect: Callable[[], str] = lambda: "", before: int = 200) -> Probation:
    """Version 2 is on probation after `before` windows of version 1."""
    probation = Probation(path, inspect, LIMITS)
    for seq in range(before):
        probation.hear_masks(masks(seq, version=1))
    probation.begin("lesson", ADAPTER, BUNDLE, 1)
    probation.committed(2)
    return probation


def heard(probation: Probation, count: int, make: Callable[[int], HeardMasks] = masks) -> str:
    """Its fault after so many windows, empty if none came up."""
    for seq in range(count):
        probation.hear_masks(make(seq))
        if fault := probation.fault():
            return fault
    return ""


def test_a_version_like_the_one_before_is_proven(tmp_path: Path) -> None:
    probation = begun(tmp_path)
    assert heard(probation, 99) == ""
    assert not probation.proven()
    assert heard(probation, 1) == ""
    assert probation.proven()
    probation.end()
    assert list(tmp_path.iterdir()) == []


def test_windows_of_the_version_before_prove_nothing(tmp_path: Path) -> None:
    probation = begun(tmp_path)
    assert heard(probation, 200, lambda seq: masks(seq, version=1)) == ""
    assert probation.count == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda seq: masks(seq, missing=True), "marks 4.0% of the picture while no sound comes"),
        (lambda seq: masks(seq, infer_ms=16.0), "the engine takes 16.0 ms a window, 10.0 ms before"),
    ],
)
def test_what_the_wire_shows_ends_it_early(tmp_path: Path, make: Callable[[int], HeardMasks], words: str) -> None:
    probation = begun(tmp_path)
    assert words in heard(probation, 100, make)
    assert probation.count == LIMITS.early


def test_empty_windows_are_looked_into_before_they_count(tmp_path: Path) -> None:
    looks: list[str] = []

    def inspect() -> str:
        looks.append("look")
        return "it has gone blind" if len(looks) == 2 else ""

    assert heard(begun(tmp_path, inspect), 100, lambda seq: masks(seq, area=0)) == "it has gone blind"
    assert len(looks) == 2


def test_a_scene_that_fell_silent_is_no_fault(tmp_path: Path) -> None:
    probation = begun(tmp_path)
    assert heard(probation, 100, lambda seq: masks(seq, area=0)) == ""
    assert probation.proven()


def test_a_model_that_failed_on_a_window_goes_at_once(tmp_path: Path) -> None:
    probation = begun(tmp_path)
    heard(probation, 3)
    probation.hear_event(model_event("fell_back", "version 1 (aa) failed, version 2 (bb) runs again: something"))
    assert probation.fault() == ""  # that was another one
    probation.hear_event(model_event("fell_back", "version 2 (bb) failed, version 1 (aa) runs again: 3 scores are not numbers"))
    assert "3 scores are not numbers" in probation.fault()


def test_a_version_that_the_stream_refuses_goes(tmp_path: Path) -> None:
    probation = begun(tmp_path)
    probation.hear_event(model_event("refused", "it takes windows of another size"))
    assert "another size" in probation.fault()


def test_a_restart_goes_on_with_what_was_seen(tmp_path: Path) -> None:
    heard(begun(tmp_path), 61)
    again = Probation(tmp_path, lambda: "", LIMITS)
    assert again.record is not None
    assert again.record.version == 2
    assert again.record.before.windows == 200
    assert again.count == 60  # what was seen since the last write is lost
    assert heard(again, 39) == ""
    assert not again.proven()
    heard(again, 1)
    assert again.proven()


def test_a_fault_outlives_a_restart(tmp_path: Path) -> None:
    probation = begun(tmp_path)
    probation.hear_event(model_event("fell_back", "version 2 (bb) failed, version 1 (aa) runs again: x"))
    assert "failed" in Probation(tmp_path, lambda: "", LIMITS).fault()


def test_without_a_baseline_only_what_is_wrong_by_itself_counts(tmp_path: Path) -> None:
    probation = begun(tmp_path, before=0)
    assert heard(probation, 100, lambda seq: masks(seq, area=0, infer_ms=99)) == ""
    assert probation.proven()
