"""The ring of the last windows: its bounds, what is read back, holes, beginnings, and reading while it is written."""

import threading

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.runtime.errors import ConfigError
from cavs.stream.header import SoundFormat
from cavs.stream.items import StampGrade, VideoFrame, Window
from cavs.stream.masks import Box, SoundingObject
from cavs.stream.recent import MIB, Recent

SIZE = (8, 10)
RATE_HZ = 1000
SAMPLES = 200
SOUND = SoundFormat(rate_hz=RATE_HZ, samples=SAMPLES)
HOP_NS = 50 * NS_PER_MS


def ramp(start: int, stop: int) -> np.ndarray:
    """The sound of the world: sample n is n, so that a copy shows where it was cut."""
    return np.arange(start, stop).astype(np.float32)


def window(t_ns: int, sound: np.ndarray | None = None) -> Window:
    end = round(t_ns * RATE_HZ / NS_PER_S)
    heard = ramp(end - SAMPLES, end) if sound is None else sound
    frame = VideoFrame(np.zeros((48, 64, 3), np.uint8), t_ns, 0)
    return Window(frame, heard, 0, t_ns - SAMPLES * NS_PER_MS, t_ns, 0, 0, StampGrade.A)


def picture(t_ns: int) -> np.ndarray:
    return np.full((*SIZE, 3), t_ns // HOP_NS % 251, np.uint8)


def thing(number: int, box: Box = (1, 2, 5, 4)) -> SoundingObject:
    return SoundingObject(number, 0, "kettle", 0.9, box, 20, lambda: np.zeros(SIZE, np.bool_))


def filled(
    windows: int, *, seconds: float = 2, mib: float = 1, objects: dict[int, list[SoundingObject]] | None = None
) -> Recent:
    """A ring that has seen windows 1, 2, ..., 50 ms apart."""
    recent = Recent(SIZE, SOUND, seconds=seconds, mib=mib)
    for number in range(1, windows + 1):
        t_ns = number * HOP_NS
        recent.append(window(t_ns), picture(t_ns), (objects or {}).get(number, []))
    return recent


def test_the_last_seconds_are_given_with_their_sound() -> None:
    recent = filled(100)
    last_ns = 100 * HOP_NS
    found = recent.windows(0.5, now_ns=last_ns)
    assert found is not None
    assert found.t_ns.tolist() == [number * HOP_NS for number in range(91, 101)]
    assert all(np.array_equal(frame, picture(int(t_ns))) for frame, t_ns in zip(found.frames, found.t_ns, strict=True))
    for place, t_ns in enumerate(found.t_ns.tolist()):
        end = t_ns // NS_PER_MS
        assert np.array_equal(found.sound_of(place, SAMPLES), ramp(end - SAMPLES, end))


def test_the_sound_may_reach_beyond_the_frame() -> None:
    ahead = SoundFormat(rate_hz=RATE_HZ, samples=SAMPLES, lookahead_samples=30)
    recent = Recent(SIZE, ahead, seconds=2, mib=1)
    for number in range(10, 20):
        t_ns = number * HOP_NS
        end = t_ns // NS_PER_MS + 30
        frame = VideoFrame(np.zeros((48, 64, 3), np.uint8), t_ns, 0)
        end_ns = end * NS_PER_MS
        recent.append(
            Window(frame, ramp(end - SAMPLES, end), 0, end_ns - SAMPLES * NS_PER_MS, end_ns, 0, 0, StampGrade.A),
            picture(t_ns),
            [],
        )
    found = recent.windows(2, now_ns=t_ns)
    assert found is not None
    for place, t_ns in enumerate(found.t_ns.tolist()):
        end = t_ns // NS_PER_MS + 30
        assert np.array_equal(found.sound_of(place, SAMPLES, 30), ramp(end - SAMPLES, end))


def test_no_more_than_the_seconds_are_kept_and_given() -> None:
    recent = filled(400)
    found = recent.windows(60, now_ns=400 * HOP_NS)
    assert found is not None
    assert len(found) == 40
    held = recent.held(400 * HOP_NS)
    assert (held.frames, held.source) == (40, (48, 64))
    assert held.seconds == pytest.approx(1.95)


def test_what_is_older_than_the_seconds_by_the_clock_is_not_given() -> None:
    """A camera that went away a minute ago has no recent windows."""
    recent = filled(100)
    later_ns = 100 * HOP_NS + 60 * NS_PER_S
    assert recent.windows(2, now_ns=later_ns) is None
    assert recent.held(later_ns).frames == 0
    at_its_own_time = recent.windows(2, now_ns=None)
    assert at_its_own_time is not None


def test_memory_stays_below_its_bound_and_frames_are_thinned_evenly() -> None:
    frame_bytes = SIZE[0] * SIZE[1] * 3
    sound_bytes = 4 * (3 * RATE_HZ + 2 * SAMPLES)
    mib = (sound_bytes + 20 * frame_bytes) / MIB
    recent = filled(200, mib=mib)
    assert recent.mib <= mib
    found = recent.windows(2, now_ns=200 * HOP_NS)
    assert found is not None
    assert len(found) in (19, 20)
    assert found.t_ns[-1] - found.t_ns[0] >= 1.8 * NS_PER_S
    assert set(np.diff(found.t_ns).tolist()) == {2 * HOP_NS}


def test_too_little_memory_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"--recent-mib 0\.001: no room for 2 s; give 1 or more"):
        Recent(SIZE, SOUND, seconds=2, mib=0.001)


def test_at_most_so_many_frames_are_given_with_the_newest_among_them() -> None:
    found = filled(100).windows(2, now_ns=100 * HOP_NS, most=4)
    assert found is not None
    assert (found.t_ns // HOP_NS).tolist() == [70, 80, 90, 100]


def test_an_empty_ring_gives_nothing() -> None:
    recent = Recent(SIZE, SOUND, seconds=2, mib=1)
    assert recent.windows(2, now_ns=0) is None
    assert recent.held(None).frames == 0
    assert recent.objects(None) == ()


def test_sound_that_comes_late_is_there_with_the_next_window() -> None:
    recent = Recent(SIZE, SOUND, seconds=2, mib=1)
    first_ns, next_ns = 10 * HOP_NS, 11 * HOP_NS
    torn = ramp(300, 500)
    torn[-80:] = 0
    recent.append(window(first_ns, torn), picture(first_ns), [])
    recent.append(window(next_ns), picture(next_ns), [])
    found = recent.windows(2, now_ns=next_ns)
    assert found is not None
    assert np.array_equal(found.sound_of(0, SAMPLES), ramp(300, 500))


def test_a_pause_is_silence_between_what_was_heard() -> None:
    recent = filled(10)
    after_ns = 30 * HOP_NS
    recent.append(window(after_ns), picture(after_ns), [])
    found = recent.windows(2, now_ns=after_ns)
    assert found is not None
    before = found.t_ns.tolist().index(10 * HOP_NS)
    assert np.array_equal(found.sound_of(before, SAMPLES), ramp(300, 500))
    assert np.array_equal(found.sound_of(len(found) - 1, SAMPLES), ramp(1300, 1500))
    assert not found.sound[500 - found.sound_start_ns // NS_PER_MS :][:800].any()


def test_a_source_that_begins_again_forgets_what_was() -> None:
    recent = filled(100)
    recent.append(window(5 * HOP_NS), picture(5 * HOP_NS), [])
    found = recent.windows(2, now_ns=None)
    assert found is not None
    assert found.t_ns.tolist() == [5 * HOP_NS]


def test_the_same_time_twice_is_kept_once() -> None:
    recent = filled(10)
    recent.append(window(10 * HOP_NS), picture(0), [])
    found = recent.windows(2, now_ns=None)
    assert found is not None
    assert len(found) == 10


def test_the_windows_of_an_object_come_with_where_it_was() -> None:
    recent = filled(100, objects={80: [thing(7)], 82: [thing(7, (0, 0, 10, 8)), thing(9)], 95: [thing(9)]})
    found = recent.windows_of(7, 1, now_ns=100 * HOP_NS)
    assert found is not None
    assert found.boxes is not None
    assert (found.t_ns // HOP_NS).tolist() == [80, 82]
    assert np.allclose(found.boxes, np.array([(0.1, 0.25, 0.5, 0.5), (0.0, 0.0, 1.0, 1.0)]))
    assert recent.windows_of(8, 1, now_ns=100 * HOP_NS) is None
    assert [seen.id for seen in recent.objects(100 * HOP_NS)] == [9]


def test_only_the_last_seconds_of_an_object_count() -> None:
    found = filled(100, objects={70: [thing(7)], 90: [thing(7)]}).windows_of(7, 0.5, now_ns=100 * HOP_NS)
    assert found is not None
    assert (found.t_ns // HOP_NS).tolist() == [90]


def test_reading_while_it_is_written_never_mixes_frames() -> None:
    """A real thread reads what another overwrites as fast as it can: each frame is the one of its time, or left out."""
    frame_bytes = SIZE[0] * SIZE[1] * 3
    recent = Recent(SIZE, SOUND, seconds=2, mib=(4 * (3 * RATE_HZ + 2 * SAMPLES) + 40 * frame_bytes) / MIB)
    ended = threading.Event()

    def write() -> None:
        for number in range(1, 20_000):
            t_ns = number * HOP_NS
            recent.append(window(t_ns), picture(t_ns), [])
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    read = 0
    while not ended.is_set():
        found = recent.windows(2, now_ns=None)
        if found is None:
            continue
        read += 1
        assert all(np.array_equal(frame, picture(int(t_ns))) for frame, t_ns in zip(found.frames, found.t_ns, strict=True))
    thread.join()
    assert read > 0
