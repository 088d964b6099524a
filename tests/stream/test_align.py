"""Windows: what is chosen, what waits, what is counted."""

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.align import LIVE_PENDING_FRAMES
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame
from tests.stream.aligning import RAMP, RATE_HZ, SAMPLES, block, frame, from_file, live, pop_all


def test_the_sound_of_a_window_ends_at_the_time_of_its_frame() -> None:
    align = live()
    align.push(block(0, 16_000))
    align.push(frame(500))
    (window,) = pop_all(align, 510)
    np.testing.assert_array_equal(window.sound, RAMP[8000 - SAMPLES : 8000])
    assert window.sound_end_ns == 500 * NS_PER_MS
    assert window.sound_start_ns == 400 * NS_PER_MS
    assert (window.missing, window.flags, window.seq) == (0, frozenset(), 0)
    assert window.frame.t_ns == 500 * NS_PER_MS


def test_the_look_ahead_is_sound_after_the_frame() -> None:
    align = live(lookahead_samples=160)
    align.push(frame(500))
    align.push(block(0, 8159))
    assert pop_all(align, 510) == []
    align.push(block(8159, 8160))
    (window,) = pop_all(align, 510)
    np.testing.assert_array_equal(window.sound, RAMP[8160 - SAMPLES : 8160])


def test_live_the_newest_frame_whose_sound_has_arrived_wins_and_older_ones_are_counted() -> None:
    align = live()
    for t_ms in (400, 433, 466, 500):
        align.push(frame(t_ms, index=t_ms // 33))
    align.push(block(0, round(0.470 * RATE_HZ)))
    (window,) = pop_all(align, 505)
    assert window.frame.t_ns == 466 * NS_PER_MS
    assert align.counters["frames_superseded"] == 2
    align.push(block(round(0.470 * RATE_HZ), RATE_HZ))
    (window,) = pop_all(align, 505)
    assert window.frame.t_ns == 500 * NS_PER_MS
    assert align.counters["windows_formed"] == 2


def test_live_a_frame_waits_for_its_sound_no_longer_than_told() -> None:
    align = live()
    align.push(block(0, 7200))
    align.push(frame(500))
    assert pop_all(align, 619) == []
    (window,) = pop_all(align, 620)
    assert window.flags == {"audio_partial"}
    assert window.missing == 800
    np.testing.assert_array_equal(window.sound[:800], RAMP[6400:7200])
    assert not window.sound[800:].any()
    assert align.counters["windows_partial"] == 1


def test_a_window_without_any_of_its_sound_says_so() -> None:
    align = live()
    align.push(frame(500))
    (window,) = pop_all(align, 620)
    assert window.flags == {"audio_missing"}
    assert window.missing == SAMPLES
    assert not window.sound.any()
    assert (window.sound_start_ns, window.sound_end_ns) == (400 * NS_PER_MS, 500 * NS_PER_MS)
    assert align.counters["frames_without_sound"] == 1


def test_without_a_microphone_no_frame_waits() -> None:
    align = live(audio_expected=False)
    align.push(frame(500))
    (window,) = pop_all(align, 501)
    assert window.flags == {"audio_missing"}


def test_a_file_that_turns_out_to_have_no_sound_track_no_longer_waits_for_it() -> None:
    align = from_file()
    align.push(frame(100))
    align.push(frame(133))
    assert pop_all(align) == []
    align.audio_expected = False
    assert len(pop_all(align)) == 2


def test_after_a_second_without_sound_frames_no_longer_wait_for_it_and_with_it_they_do_again() -> None:
    align = live()
    align.push(block(0, 1600))
    assert pop_all(align, 100) == []
    align.push(frame(1200))
    (window,) = pop_all(align, 1201)
    assert window.flags == {"audio_missing"}
    align.push(block(1600, 19_000))
    align.push(frame(1233))
    assert pop_all(align, 1234) == []


def test_a_frame_older_than_the_limit_is_dropped_and_counted() -> None:
    align = live()
    align.push(block(0, RATE_HZ))
    align.push(frame(300))
    assert pop_all(align, 801) == []
    assert align.counters["frames_stale"] == 1


def test_frames_from_the_past_and_repeated_frames_are_dropped_and_counted() -> None:
    align = from_file()
    align.push(block(0, RATE_HZ))
    for t_ms in (100, 200, 200, 150, 300):
        align.push(frame(t_ms))
    assert [window.frame.t_ns // NS_PER_MS for window in pop_all(align)] == [100, 200, 300]
    assert align.counters["frames_repeated"] == 2


def test_gaps_in_the_video_and_a_restart_of_the_camera_are_counted_from_its_numbers() -> None:
    align = from_file(sound=False)
    for t_ms, index in ((100, 7), (133, 8), (200, 10), (400, 16), (433, 0), (466, 1)):
        align.push(frame(t_ms, index))
    assert align.counters["frame_gaps"] == 2
    assert align.counters["video_restarts"] == 1
    assert len(pop_all(align)) == 6


def test_a_frame_of_another_clock_does_not_stop_the_stream() -> None:
    align = live(audio_expected=False)
    align.push(frame(100))
    assert len(pop_all(align, 105)) == 1
    align.push(frame(1e9))
    assert pop_all(align, 138) == []
    align.push(frame(166))
    (window,) = pop_all(align, 170)
    assert window.frame.t_ns == 166 * NS_PER_MS
    assert align.counters["frames_from_future"] == 1
    assert align.counters["frames_repeated"] == 0


def test_live_waiting_frames_are_bounded() -> None:
    align = live()
    for index in range(LIVE_PENDING_FRAMES + 10):
        align.push(frame(index, index))
    assert align.counters["frames_superseded"] == 10


def test_a_file_whose_sound_lies_far_behind_goes_on_without_it_before_memory_runs_out() -> None:
    align = from_file()
    huge = np.zeros((4000, 4000, 3), np.uint8)  # 48 MB, shared by all frames
    formed = 0
    for index in range(10):
        align.push(VideoFrame(huge, index * 33 * NS_PER_MS, index))
        formed += len(pop_all(align))
    assert formed == 8
    assert align.counters["frames_without_sound"] == 8


def test_a_file_skips_no_frame_and_waits_for_its_sound_until_it_ends() -> None:
    align = from_file()
    for t_ms in (100, 133, 166, 200):
        align.push(frame(t_ms))
    align.push(block(0, 2400))
    assert [window.frame.t_ns // NS_PER_MS for window in pop_all(align, 1e6)] == [100, 133]
    align.flush()
    rest = pop_all(align)
    assert [window.frame.t_ns // NS_PER_MS for window in rest] == [166, 200]
    assert [window.flags for window in rest] == [{"audio_partial"}] * 2
    assert [window.missing for window in rest] == [256, 800]
    assert align.counters["frames_superseded"] == 0


def test_live_the_end_of_the_source_lets_the_last_frame_go_at_once() -> None:
    align = live()
    align.push(block(0, 1600))
    align.push(frame(166))
    assert pop_all(align, 170) == []
    align.flush()
    assert len(pop_all(align, 170)) == 1


def test_a_sound_track_that_starts_later_leaves_the_first_windows_without_sound() -> None:
    align = from_file()
    for t_ms in (500, 1050):
        align.push(frame(t_ms))
    assert pop_all(align) == []
    align.push(AudioBlock(RAMP[:3200], 0, NS_PER_S, RATE_HZ))
    first, second = pop_all(align)
    assert first.flags == {"audio_missing"}
    assert second.flags == {"audio_partial"}
    np.testing.assert_array_equal(second.sound, np.concatenate([np.zeros(800), RAMP[:800]]).astype(np.float32))


def test_the_sound_is_read_only_and_stays_for_three_more_windows() -> None:
    align = from_file()
    align.push(block(0, 2 * RATE_HZ))
    for index in range(8):
        align.push(frame(200 + 33 * index))
    first = align.pop(0)
    assert first is not None
    kept = first.sound.copy()
    for _ in range(3):
        align.pop(0)
    np.testing.assert_array_equal(first.sound, kept)
    assert not first.sound.flags.writeable
    align.pop(0)
    assert first.sound[0] != kept[0], "documented: the fourth next window writes over it"


def test_the_moment_at_which_a_frame_was_received_comes_back_with_its_window() -> None:
    align = live(audio_expected=False)
    align.push(frame(100), received_ns=104 * NS_PER_MS)
    assert pop_all(align, 110)
    assert align.received_ns == 104 * NS_PER_MS


def test_events_pass_by() -> None:
    align = live()
    align.push(SourceEvent("lost", "mic", "gone", 0))
    assert pop_all(align, 1000) == []


def test_every_frame_pushed_is_accounted_for() -> None:
    align = live()
    align.push(block(0, RATE_HZ))
    times_ms = [100, 133, 133, 90, 166, 200, 700, 733, 1300, 1e9]
    formed = 0
    for t_ms in times_ms:
        align.push(frame(t_ms))
        if t_ms in (166, 733):
            formed += len(pop_all(align, t_ms + 5))
    formed += len(pop_all(align, 1850))
    counts = align.counters
    gone = sum(counts[f"frames_{cause}"] for cause in ("superseded", "stale", "repeated", "from_future"))
    assert formed == counts["windows_formed"]
    assert formed + gone == len(times_ms)


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"staleness_ns": 100 * NS_PER_MS}, "must exceed audio_wait_ns"),
        ({"audio_wait_ns": -1}, "audio_wait_ns=-1"),
        ({"lookahead_samples": -1}, "lookahead_samples=-1"),
    ],
)
def test_settings_that_cannot_hold_are_refused(told: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        live(**told)
