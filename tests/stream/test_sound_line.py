"""The ring of sound: what is in it, what is missing, and how a source that misbehaves is joined on."""

import numpy as np
import numpy.typing as npt
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.items import AudioBlock, StampGrade
from cavs.stream.sound_line import SoundLine

RATE_HZ = 1000
"""One sample a millisecond, so that times and numbers read alike."""
START_NS = 90 * NS_PER_S


def block(first: int, samples: int, at: int | None = None, value: float | None = None) -> AudioBlock:
    """A block whose samples are numbered from 1, recorded at sample time `at` (its own number, unless told)."""
    sound = np.arange(first + 1, first + samples + 1) if value is None else np.full(samples, value)
    t_ns = START_NS + (first if at is None else at) * NS_PER_MS
    return AudioBlock(sound.astype(np.float32), first, t_ns, RATE_HZ)


def line(*blocks: AudioBlock, seconds: float = 1.0, exact: bool = True) -> SoundLine:
    made = SoundLine(RATE_HZ, seconds, exact=exact)
    for one in blocks:
        made.push(one)
    return made


def cut(made: SoundLine, end: int, samples: int) -> tuple[list[float], int]:
    out: npt.NDArray[np.float32] = np.full(samples, np.nan, np.float32)
    missing = made.cut(end, out)
    return out.tolist(), missing


def test_a_cut_across_blocks_holds_the_samples_before_its_end() -> None:
    made = line(block(0, 4), block(4, 6))
    assert cut(made, 7, 5) == ([3, 4, 5, 6, 7], 0)
    assert made.end == 10


def test_a_cut_beyond_either_end_is_zero_filled_and_says_how_much() -> None:
    made = line(block(0, 4))
    assert cut(made, 2, 4) == ([0, 0, 1, 2], 2)
    assert cut(made, 6, 4) == ([3, 4, 0, 0], 2)
    assert cut(made, -5, 3) == ([0, 0, 0], 3)
    assert cut(made, 50, 3) == ([0, 0, 0], 3)
    assert cut(line(), 3, 3) == ([0, 0, 0], 3)


def test_the_ring_keeps_the_newest_seconds_over_many_turns() -> None:
    made = line(seconds=0.01)
    for first in range(0, 70, 7):
        made.push(block(first, 7))
    assert cut(made, 70, 12) == ([0, 0, *range(61, 71)], 2)


def test_a_block_longer_than_the_ring_leaves_its_end() -> None:
    made = line(block(0, 25), seconds=0.01)
    assert cut(made, 25, 11) == ([0, *range(16, 26)], 1)


def test_lost_samples_become_zeros_and_are_counted() -> None:
    made = line(block(0, 4), block(7, 3))
    assert cut(made, 10, 10) == ([1, 2, 3, 4, 0, 0, 0, 8, 9, 10], 3)
    assert made.report().sound_gaps == 1
    assert made.report().samples_lost == 3


def test_a_gap_longer_than_the_ring_leaves_nothing_old_behind() -> None:
    made = line(block(0, 10), block(10_000, 2), seconds=0.01)
    assert cut(made, 10_002, 10) == ([0] * 8 + [10_001, 10_002], 8)
    assert made.report().samples_lost == 9990


def test_a_late_block_fills_the_hole_it_left() -> None:
    made = line(block(0, 4), block(8, 2), block(4, 4))
    assert cut(made, 10, 10) == ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0)
    assert made.report().samples_lost == 0
    assert made.counters["blocks_late"] == 1
    assert made.counters["samples_refilled"] == 4


def test_an_overlapping_block_writes_over_and_continues() -> None:
    made = line(block(0, 6), block(4, 6))
    assert cut(made, 10, 10) == ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0)
    assert made.report().samples_lost == 0


def test_a_block_older_than_the_ring_is_counted_and_changes_nothing() -> None:
    made = line(block(0, 40), seconds=0.01)
    made.push(block(5, 3, value=-1))
    assert cut(made, 40, 10) == ([*range(31, 41)], 0)
    assert made.counters["blocks_late"] == 1


def test_an_empty_block_is_nothing() -> None:
    made = line(block(0, 0))
    assert not made.started


def test_a_line_may_start_at_any_number_and_time() -> None:
    made = line(block(5000, 10, at=0))
    assert made.time_of(5000) == START_NS
    assert made.sample_at(START_NS + 3 * NS_PER_MS) == 5003
    assert cut(made, 5003, 3) == ([5001, 5002, 5003], 0)


def test_a_file_whose_stamps_jump_ahead_has_silence_in_between() -> None:
    made = line(block(0, 100), block(100, 100, at=400))
    assert made.sample_at(START_NS + 450 * NS_PER_MS) == 450
    assert cut(made, 402, 4) == ([0, 0, 101, 102], 2)
    report = made.report()
    assert (report.samples_lost, report.sound_gaps, report.relocks) == (300, 1, 1)


def test_a_file_whose_pieces_overlap_goes_on_without_a_gap() -> None:
    made = line(block(0, 200), block(200, 100, at=120))
    assert made.sample_at(START_NS + 150 * NS_PER_MS) == 150, "what was heard first stays"
    assert made.sample_at(START_NS + 210 * NS_PER_MS) == 290
    assert cut(made, 201, 2) == ([200, 201], 0)
    assert made.report().samples_lost == 0


def test_a_file_whose_time_goes_back_lets_no_old_sound_touch_the_new() -> None:
    made = line(block(0, 3000), block(3000, 100, at=0), seconds=2)
    (text,) = (event.text for event in made.drain_events())
    assert "moved by -3000.0 ms" in text
    end = made.sample_at(START_NS + 50 * NS_PER_MS)
    assert cut(made, end, 100) == ([0] * 50 + [*range(3001, 3051)], 50)
    assert made.report().samples_lost == 0


@pytest.mark.parametrize("ran", [500, 5000])
def test_a_device_that_counts_from_zero_again_at_once_goes_on_without_a_gap(ran: int) -> None:
    made = line(exact=False)
    for first in range(0, ran, 20):
        made.push(block(first, 20))
    made.push(block(0, 20, at=ran + 3, value=-1))
    assert made.end == ran + 20
    assert made.report().samples_lost == 0
    assert cut(made, ran + 1, 2) == ([ran, -1], 0)
    assert made.report().relocks == 1


def test_events_are_given_once() -> None:
    made = line(block(0, 100), block(100, 100, at=400))
    assert len(made.drain_events()) == 1
    assert made.drain_events() == []


def test_the_report_is_plain_values() -> None:
    made = line(block(0, 100))
    report = made.report().to_dict()
    assert report["grade"] == "A"
    assert report["ppm"] == 0.0
    assert report["locked"] is True
    assert not line().report().locked


def test_sound_at_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="block at 48000 Hz on a line of 1000 Hz"):
        line().push(AudioBlock(np.zeros(5, np.float32), 0, 0, 48_000, StampGrade.A))
    with pytest.raises(ValueError, match="rate_hz=0"):
        SoundLine(0, 1)
