"""Streaming conversion of sound equals the conversion of the whole, at every cut; the line tells what is missing."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from cavs.runtime.clock import NS_PER_S
from cavs.stream.items import AudioBlock, StampGrade
from cavs.stream.resample import SoundConverter, mono

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]


def noise(samples: int, channels: int = 1) -> npt.NDArray[np.float32]:
    return (np.random.default_rng(7).standard_normal((samples, channels)) * 0.1).astype(np.float32)


def converted(sound: npt.NDArray[np.float32], rate: int, cuts: list[int], out_rate: int = 16_000) -> list[AudioBlock]:
    converter = SoundConverter(out_rate)
    blocks: list[AudioBlock] = []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(sound)]):
        if end > start:
            blocks += converter.push(sound[start:end], rate, start * NS_PER_S // rate)
    return blocks + converter.flush()


@settings(max_examples=60, deadline=None)
@given(rate=st.sampled_from(RATES), cuts=st.lists(st.integers(1, 7_999), max_size=12, unique=True), channels=st.integers(1, 3))
def test_streaming_equals_offline_at_every_cut(rate: int, cuts: list[int], channels: int) -> None:
    sound = noise(8_000, channels)
    blocks = converted(sound, rate, cuts)
    whole = sound.mean(axis=1, dtype=np.float32) if channels > 1 else sound[:, 0]
    offline = whole if rate == 16_000 else soxr.resample(whole, rate, 16_000, quality="HQ")
    streamed = np.concatenate([block.samples for block in blocks])
    assert [block.first for block in blocks] == [0, *(b.end for b in blocks[:-1])]
    assert len(streamed) == len(offline)
    assert np.array_equal(streamed, np.clip(offline, -1, 1))


@pytest.mark.parametrize("rate", RATES)
def test_the_time_of_a_block_is_that_of_its_first_sample(rate: int) -> None:
    for block in converted(noise(rate), rate, list(range(rate // 50, rate, rate // 50))):
        assert block.t_ns == pytest.approx(block.first * NS_PER_S / 16_000, abs=NS_PER_S / rate + 1)


def test_blocks_are_read_only_and_carry_their_grade() -> None:
    block = SoundConverter(16_000, StampGrade.B).push(noise(160), 16_000, 0)[0]
    assert block.grade is StampGrade.B
    with pytest.raises(ValueError, match="read-only"):
        block.samples[0] = 1


def test_a_step_of_the_time_is_lost_sound_and_the_numbers_jump() -> None:
    converter = SoundConverter(16_000)
    first = converter.push(noise(4800), 48_000, 0)
    second = converter.push(noise(4800), 48_000, NS_PER_S)
    blocks = [*first, *second, *converter.flush()]
    jumps = [(a.end, b.first) for a, b in itertools.pairwise(blocks) if a.end != b.first]
    assert jumps == [(1600, 16_000)]
    assert converter.samples_lost == 14_400


def test_sound_that_comes_twice_is_given_once() -> None:
    converter = SoundConverter(16_000)
    sound = noise(16_000)
    blocks = converter.push(sound[:8_000], 16_000, 0)
    blocks += converter.push(sound[4_000:], 16_000, NS_PER_S // 4)
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), sound[:, 0])
    assert blocks[1].t_ns == NS_PER_S // 2


def test_jitter_of_the_stamps_breaks_nothing() -> None:
    converter = SoundConverter(16_000)
    jitter = np.random.default_rng(3).integers(-15_000_000, 15_000_000, 100)
    blocks = [b for k in range(100) for b in converter.push(noise(320), 16_000, k * 20_000_000 + int(jitter[k]))]
    assert all(a.end == b.first for a, b in itertools.pairwise(blocks))


def test_with_unsteady_stamps_only_skip_breaks_the_line() -> None:
    converter = SoundConverter(16_000, gap_ns=None)
    blocks = converter.push(noise(320), 16_000, 0)
    blocks += converter.push(noise(320), 16_000, 5 * NS_PER_S)
    blocks += converter.skip(NS_PER_S)
    blocks += converter.push(noise(320), 16_000, 5 * NS_PER_S)
    assert [block.first for block in blocks] == [0, 320, 640 + 16_000]


def test_zero_of_the_line_can_be_a_time() -> None:
    assert SoundConverter(16_000, zero_ns=NS_PER_S).push(noise(10), 16_000, 3 * NS_PER_S)[0].first == 32_000


def test_a_change_of_rate_in_the_middle_goes_on_where_it_was() -> None:
    converter = SoundConverter(16_000)
    blocks = converter.push(noise(48_000), 48_000, 0) + converter.push(noise(44_100), 44_100, NS_PER_S) + converter.flush()
    assert blocks[-1].end == pytest.approx(32_000, abs=2)
    assert all(abs(a.end - b.first) <= 1 for a, b in itertools.pairwise(blocks))


@pytest.mark.parametrize(
    ("kind", "full"), [(np.uint8, 255), (np.int16, 32_767), (np.int32, 2**31 - 1), (np.float32, 1.0), (np.float64, 1.0)]
)
def test_every_sample_type_has_the_same_full_scale(kind: type[np.generic], full: float) -> None:
    silence = 128 if kind is np.uint8 else 0
    scaled = mono(np.array([[full], [silence]], kind))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == pytest.approx([1.0, 0.0], abs=0.01)


def test_not_a_numbers_are_silence() -> None:
    sound = np.array([[np.nan], [np.inf], [0.25]], np.float32)
    assert mono(sound).tolist() == [0.0, 0.0, 0.25]


def test_too_loud_is_clipped() -> None:
    assert SoundConverter(16_000).push(np.array([[3.0], [-3.0]], np.float32), 16_000, 0)[0].samples.tolist() == [1.0, -1.0]


def test_a_rate_that_cannot_be_is_misuse() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        SoundConverter(0)
