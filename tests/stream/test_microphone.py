"""A microphone gives every sample, numbered, with the best time there is; what is lost is a jump."""

import itertools
from typing import Any

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.errors import MicrophoneLost
from cavs.stream.items import AudioBlock, StampGrade
from cavs.stream.microphone import PA_INPUT_OVERFLOW, SLOTS, WARM_UP_BLOCKS, MicrophoneSource

START_NS = 1000 * NS_PER_S
EPOCH_S = 1_790_000_000.0


class LateClock(ManualClock):
    """Shows a later time while a callback is late, without the sound being late."""

    late_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.late_ns


class ScriptedAudio:
    """A PyAudio whose stream is driven by hand.

    own_clock_s: what PortAudio's clock shows when ours shows 0; None: it has none.
    """

    def __init__(self, clock: "LateClock", rate_hz: int = 16_000, own_clock_s: float | None = 0.0, channels: int = 2) -> None:
        self.clock = clock
        self.rate_hz = rate_hz
        self.own_clock_s = own_clock_s
        self.channels = channels
        self.active = True
        self.terminated = 0
        self.refuses: set[tuple[int, int]] = set()
        self.samples_played = 0
        self.opened: dict[str, Any] = {}

    def get_device_count(self) -> int:
        return 3

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        names = ["Speakers", "USB Mic", "Webcam Mic"]
        inputs = [0, self.channels, 1]
        return {"name": names[index], "maxInputChannels": inputs[index], "hostApi": 0, "defaultSampleRate": self.rate_hz}

    def get_host_api_info_by_index(self, index: int) -> dict[str, Any]:
        return {"name": "ALSA"}

    def get_default_input_device_info(self) -> dict[str, Any]:
        return {"index": 1}

    def open(self, **asked: Any) -> "ScriptedAudio":
        if (asked["rate"], asked["channels"]) in self.refuses:
            raise OSError(-9997, "Invalid sample rate")
        self.opened = asked
        return self

    def is_active(self) -> bool:
        return self.active

    def close(self) -> None:
        self.active = False

    def terminate(self) -> None:
        self.terminated += 1

    def play(self, blocks: int = 1, *, status: int = 0, late_ms: float = 3.0) -> None:
        """Time passes and the callback is called for each block, `late_ms` after the block's end."""
        frames, channels = self.opened["frames_per_buffer"], self.opened["channels"]
        for _ in range(blocks):
            numbers = self.samples_played + np.arange(frames)
            self.samples_played += frames
            begin_ns = self.clock.now_ns()
            self.clock.advance_ns(frames * NS_PER_S // self.opened["rate"])
            at_ns = self.clock.now_ns() + round(late_ms * NS_PER_MS)
            own = self.own_clock_s
            times = {
                "input_buffer_adc_time": 0.0 if own is None else own + begin_ns / NS_PER_S,
                "current_time": 0.0 if own is None else own + at_ns / NS_PER_S,
            }
            data = np.repeat((numbers % 1000).astype(np.int16)[:, None], channels, axis=1).tobytes()
            self.clock.late_ns = round(late_ms * NS_PER_MS)
            assert self.opened["stream_callback"](data, frames, times, status) == (None, 0)
            self.clock.late_ns = 0


def opened(audio: ScriptedAudio, wanted: str | None = None, rate_hz: int = 16_000) -> MicrophoneSource:
    source = MicrophoneSource(wanted, rate_hz=rate_hz, clock=audio.clock, start=lambda: audio)
    source.open()
    return source


def blocks_of(source: MicrophoneSource) -> list[AudioBlock]:
    return [item for item in source.step() if isinstance(item, AudioBlock)]


def step_until_lost(source: MicrophoneSource) -> None:
    for _ in range(10_000):
        source.step()


def settled(audio: ScriptedAudio, source: MicrophoneSource) -> None:
    """Past the first blocks, whose stamps are not believed."""
    for _ in range(WARM_UP_BLOCKS):
        audio.play()
        source.step()


def test_every_sample_arrives_in_order() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    audio.play(5)
    blocks = blocks_of(source)
    assert [block.first for block in blocks] == [0, 320, 640, 960, 1280]
    sound = np.concatenate([block.samples for block in blocks]) * 32768
    assert np.array_equal(sound.round(), np.arange(1600) % 1000)


def test_converter_time_on_our_clock_is_taken_as_it_is() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    settled(audio, source)
    begin_ns = audio.clock.now_ns()
    audio.play()
    (block,) = blocks_of(source)
    assert block.t_ns == pytest.approx(begin_ns, abs=1000)
    assert block.grade is StampGrade.A


def test_converter_time_on_the_wall_clock_is_brought_over() -> None:
    audio = ScriptedAudio(LateClock(START_NS), own_clock_s=EPOCH_S)
    source = opened(audio)
    settled(audio, source)
    for late_ms in (9.0, 3.0, 14.0, 3.0):
        begin_ns = audio.clock.now_ns()
        audio.play(late_ms=late_ms)
        (block,) = blocks_of(source)
        assert block.grade is StampGrade.B
        assert block.t_ns == pytest.approx(begin_ns, abs=NS_PER_MS)


def test_without_converter_time_the_callback_tells() -> None:
    audio = ScriptedAudio(LateClock(START_NS), own_clock_s=None)
    source = opened(audio)
    settled(audio, source)
    begin_ns = audio.clock.now_ns()
    audio.play(late_ms=7.0)
    (block,) = blocks_of(source)
    assert block.grade is StampGrade.C
    assert block.t_ns == pytest.approx(begin_ns + 7 * NS_PER_MS, abs=1000)


def test_the_first_stamps_are_not_believed() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    audio.play()
    assert blocks_of(source)[0].grade is StampGrade.C


def test_a_wall_clock_that_is_set_back_is_followed() -> None:
    audio = ScriptedAudio(LateClock(START_NS), own_clock_s=EPOCH_S)
    source = opened(audio)
    settled(audio, source)
    audio.own_clock_s = EPOCH_S - 3600
    audio.play()
    blocks_of(source)
    begin_ns = audio.clock.now_ns()
    audio.play()
    assert blocks_of(source)[0].t_ns == pytest.approx(begin_ns, abs=NS_PER_MS)


def test_sound_is_converted_to_the_wanted_rate() -> None:
    audio = ScriptedAudio(LateClock(START_NS), rate_hz=48_000)
    source = opened(audio)
    for _ in range(50):
        audio.play()
    blocks = blocks_of(source)
    assert audio.opened["rate"] == 48_000
    assert {block.rate_hz for block in blocks} == {16_000}
    assert blocks[-1].end == pytest.approx(16_000, abs=16_000 * 0.05)
    assert all(a.end == b.first for a, b in itertools.pairwise(blocks))


def test_a_refused_rate_or_channel_count_is_followed_by_the_next() -> None:
    audio = ScriptedAudio(LateClock(START_NS), rate_hz=96_000)
    audio.refuses = {(96_000, 1), (96_000, 2), (16_000, 1)}
    source = opened(audio)
    assert (audio.opened["rate"], audio.opened["channels"]) == (16_000, 2)
    assert source.device is not None
    assert source.device.rate_hz == 16_000


def test_an_overflow_of_the_sound_card_is_a_jump_of_what_was_lost() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    settled(audio, source)
    audio.play(20)
    before = blocks_of(source)
    audio.clock.advance_ns(100 * NS_PER_MS)
    audio.play(status=PA_INPUT_OVERFLOW)
    after = blocks_of(source)
    assert after[0].first - before[-1].end == pytest.approx(1600, abs=16)
    assert source.counters["sound_overflows"] == 1
    assert source.counters["sound_gaps_microphone"] == 1


def test_an_overflow_flag_without_a_loss_changes_nothing() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    settled(audio, source)
    audio.play(5, status=PA_INPUT_OVERFLOW)
    blocks = blocks_of(source)
    assert all(a.end == b.first for a, b in itertools.pairwise(blocks))
    assert source.counters["sound_overflows"] == 5
    assert source.counters["sound_gaps_microphone"] == 0


def test_blocks_that_found_no_room_are_a_jump_of_exactly_their_length() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    audio.play(SLOTS + 10)
    before = blocks_of(source)
    audio.play()
    after = blocks_of(source)
    assert len(before) == SLOTS
    assert after[0].first - before[-1].end == 10 * 320
    sound = after[0].samples * 32768
    assert round(float(sound[0])) == (SLOTS + 10) * 320 % 1000


def test_a_microphone_may_take_seconds_to_start() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    while audio.clock.now_ns() < START_NS + 5 * NS_PER_S:
        assert source.step() == []


def test_a_silent_microphone_is_lost_with_its_name_and_the_silence() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    audio.play()
    source.step()
    with pytest.raises(MicrophoneLost, match=r"microphone:USB Mic: no sound for 15\d\d ms, deadline 1500 ms"):
        step_until_lost(source)


def test_a_stream_that_was_stopped_is_lost_at_once() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    audio.active = False
    with pytest.raises(MicrophoneLost, match="stopped it; was it unplugged"):
        source.step()


def test_after_a_loss_the_numbers_go_on_by_the_time_that_has_passed() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    audio.play(10)
    before = blocks_of(source)
    source.close()
    audio.clock.advance_ns(3 * NS_PER_S)
    audio.active = True
    source.open()
    audio.play(1)
    after = blocks_of(source)
    assert after[0].first - before[-1].end == pytest.approx(3 * 16_000, abs=100)


def test_closing_stops_portaudio_and_is_idempotent() -> None:
    audio = ScriptedAudio(LateClock(START_NS))
    source = opened(audio)
    source.close()
    source.close()
    assert audio.terminated == 1
    assert not audio.active
