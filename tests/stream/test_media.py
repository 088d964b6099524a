"""Files: every rate and shape of sound and picture, paced or not, whole, torn and looped."""

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.errors import MediaLost
from cavs.stream.items import AudioBlock, StampGrade, VideoFrame
from cavs.stream.media import MediaSource, lead_ns
from cavs.stream.media_open import place_of
from tests.stream.clips import Clip, brightness, write_clip
from tests.stream.playing import OPENED_NS, RATE_HZ, play, rest_of


def test_fast_gives_every_frame_with_its_time_from_zero(tmp_path: Path) -> None:
    played = play(write_clip(tmp_path / "a.mp4", Clip(seconds=2)))
    assert [frame.index for frame in played.frames] == list(range(60))
    times_ms = [frame.t_ns / NS_PER_MS for frame in played.frames]
    assert times_ms == pytest.approx([i * 1000 / 30 for i in range(60)], abs=1.0)
    shown = [int(frame.pixels.mean()) for frame in played.frames]
    assert shown == pytest.approx([brightness(i / 30) for i in range(60)], abs=6)
    assert not played.events


def test_a_frame_is_rgb_and_read_only(tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 250
    frame = play(write_clip(tmp_path / "red.mp4", Clip(picture=lambda t: red))).frames[5]
    assert frame.pixels.shape == (48, 64, 3)
    assert frame.pixels[..., 0].min() > 200
    assert frame.pixels[..., 1:].max() < 50
    with pytest.raises(ValueError, match="read-only"):
        frame.pixels[0] = 0


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "channels"),
    [("mp4", "aac", 48_000, 2), ("mkv", "flac", 44_100, 1), ("avi", "pcm_s16le", 22_050, 2), ("mkv", "aac", 16_000, 6)],
)
def test_sound_of_any_rate_and_channels_becomes_mono_at_the_wanted_rate(
    tmp_path: Path, suffix: str, codec: str, rate: int, channels: int
) -> None:
    clip = Clip(seconds=2, sound_codec=codec, sound_rate=rate, channels=channels)
    played = play(write_clip(tmp_path / f"a.{suffix}", clip))
    assert played.jumps() == []
    assert {block.rate_hz for block in played.blocks} == {RATE_HZ}
    sound = played.sound()
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(2 * RATE_HZ, abs=0.1 * RATE_HZ)
    middle = sound[RATE_HZ // 2 : RATE_HZ // 2 + RATE_HZ]
    spectrum = np.abs(np.fft.rfft(middle))
    assert int(spectrum.argmax()) == 1000
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.1)  # AAC keeps no 1 kHz in the sixth, the low channel


def test_sound_and_picture_are_synchronous(tmp_path: Path) -> None:
    def picture(t: float) -> npt.NDArray[np.uint8]:
        return np.full((48, 64, 3), 250 if 1.0 <= t < 1.1 else 10, np.uint8)

    def click(t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where((t_s >= 1.0) & (t_s < 1.1), np.sin(2 * np.pi * 2000 * t_s), 0.0)

    for suffix, codec in (("mp4", "aac"), ("mkv", "flac"), ("ts", "aac")):
        video_codec = "libx264" if suffix == "ts" else "mpeg4"
        clip = Clip(seconds=2, picture=picture, sound=click, sound_codec=codec, codec=video_codec)
        played = play(write_clip(tmp_path / f"sync.{suffix}", clip))
        flash_ns = next(frame.t_ns for frame in played.frames if frame.pixels.mean() > 128)
        first = int(np.flatnonzero(np.abs(played.sound()) > 0.3)[0])
        block = next(block for block in played.blocks if block.first <= first < block.end)
        click_ns = block.t_ns + (first - block.first) * NS_PER_S // RATE_HZ
        assert click_ns == pytest.approx(flash_ns, abs=2 * NS_PER_MS), suffix


def test_number_and_time_of_sound_agree(tmp_path: Path) -> None:
    played = play(write_clip(tmp_path / "a.mp4", Clip(seconds=2)))
    for block in played.blocks:
        assert block.t_ns == pytest.approx(block.first * NS_PER_S / RATE_HZ, abs=NS_PER_MS)


def test_realtime_gives_nothing_ahead_of_its_time_and_nothing_late(tmp_path: Path) -> None:
    played = play(write_clip(tmp_path / "a.mp4", Clip(seconds=2)), "realtime")
    assert len(played.frames) == 60
    assert played.frames[0].t_ns == OPENED_NS
    for given_ns, item in played.given_ns:
        due_ns = item.t_ns + (len(item.samples) * NS_PER_S // RATE_HZ if isinstance(item, AudioBlock) else 0)
        late_ns = given_ns - due_ns
        assert 0 <= late_ns < (NS_PER_MS if isinstance(item, VideoFrame) else 21 * NS_PER_MS)


def test_realtime_gives_the_same_as_fast(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(seconds=2))
    fast, live = play(path), play(path, "realtime")
    assert [f.t_ns + OPENED_NS for f in fast.frames] == [f.t_ns for f in live.frames]
    assert np.array_equal(fast.sound(), live.sound())


def test_sound_runs_ahead_of_the_picture_when_fast(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(seconds=3))
    covered_ns = 0
    for _, item in play(path).given_ns:
        if isinstance(item, AudioBlock):
            covered_ns = item.t_ns + len(item.samples) * NS_PER_S // RATE_HZ
        else:
            assert covered_ns >= min(item.t_ns + 400 * NS_PER_MS, 29 * NS_PER_S // 10)


def test_ten_hours_open_at_once_and_need_little_memory(tmp_path: Path) -> None:
    times = [float(t) for t in range(0, 36_000, 20)]
    clip = Clip(seconds=36_000, frame_times=times, sound=None, width=16, height=16)
    path = write_clip(tmp_path / "long.mkv", clip)
    tracemalloc.start()
    try:
        source = MediaSource(str(path), rate_hz=RATE_HZ, clock=ManualClock(), rate="fast")
        source.open()
        first = source.step()
        before, _ = tracemalloc.get_traced_memory()
        frames = sum(1 for item in itertools.chain(first, rest_of(source)) if isinstance(item, VideoFrame))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames == len(times)
    assert most - before < 4 << 20


class SlowMachine(ManualClock):
    """Time passes while the program works: each look at the clock costs 25 ms."""

    def now_ns(self) -> int:
        self.advance_ns(25 * NS_PER_MS)
        return super().now_ns()


def test_a_decoder_that_cannot_keep_up_leaves_pictures_out_and_counts_them(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", Clip(seconds=8, sound=None))
    played = play(path, "realtime", clock=SlowMachine(OPENED_NS))
    late_s = np.array([(at_ns - item.t_ns) / NS_PER_S for at_ns, item in played.given_ns])
    assert late_s.max() < 3.0
    assert played.counters["frames_skipped_late"] > 50
    assert played.frames[-1].index + 1 == pytest.approx(240, abs=3)
    assert len(played.frames) + played.counters["frames_skipped_late"] == pytest.approx(240, abs=3)


def test_a_loop_goes_on_without_a_seam(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "loop.mp4", Clip(seconds=1))
    played = play(path, "realtime", loops=3)
    assert [frame.index for frame in played.frames] == list(range(90))
    intervals_ms = np.diff([frame.t_ns for frame in played.frames]) / NS_PER_MS
    assert intervals_ms == pytest.approx(1000 / 30, abs=12)
    assert played.jumps() == []
    assert np.diff([block.t_ns for block in played.blocks]).min() > 0
    assert {block.grade for block in played.blocks} == {StampGrade.A}


def test_frames_never_share_a_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(seconds=1))
    played = play(path, "realtime", loops=4)
    assert np.diff([frame.t_ns for frame in played.frames]).min() > 0


def test_a_file_that_loses_all_its_frames_is_an_error(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", Clip(codec="mjpeg", sound=None))
    data = bytearray(whole.read_bytes())
    start, end = data.index(b"movi") + 4, data.index(b"idx1")
    found = data.find(b"00dc", start, end)
    while found >= 0:
        size = int.from_bytes(data[found + 4 : found + 8], "little")
        data[found + 8 : found + 8 + size] = bytes(size)
        found = data.find(b"00dc", found + 8 + size, end)
    broken = tmp_path / "broken.avi"
    broken.write_bytes(data)
    with pytest.raises(MediaLost, match=r"broken\.avi: no frame of it can be decoded"):
        play(broken)


def test_it_can_be_closed_twice_and_opened_again(tmp_path: Path) -> None:
    source = MediaSource(str(write_clip(tmp_path / "a.mp4")), rate_hz=RATE_HZ, clock=ManualClock(), rate="fast")
    source.open()
    source.close()
    source.close()
    with pytest.raises(ValueError, match="before open"):
        source.step()
    source.open()
    assert any(isinstance(item, VideoFrame) for item in source.step())


def test_after_its_end_it_can_be_played_again_from_the_start(tmp_path: Path) -> None:
    source = MediaSource(str(write_clip(tmp_path / "a.mp4")), rate_hz=RATE_HZ, clock=ManualClock(), rate="fast")
    counts = []
    for _ in range(2):
        source.open()
        counts.append(sum(isinstance(item, VideoFrame) for item in rest_of(source)))
    assert counts == [30, 30]


def test_a_file_is_fast_and_a_url_is_live_by_default(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    assert not MediaSource(str(path), rate_hz=RATE_HZ, clock=ManualClock()).live
    assert MediaSource("rtsp://user:secret@camera/1", rate_hz=RATE_HZ, clock=ManualClock()).live


def test_a_name_never_shows_a_password() -> None:
    source = MediaSource("rtsp://user:secret@camera:554/1", rate_hz=RATE_HZ, clock=ManualClock())
    assert source.name == "network:rtsp://camera:554/1"


@pytest.mark.parametrize(
    ("address", "duration_s", "read_ahead"),
    [("rtsp://camera/live", None, False), ("rtsp://server/film", 30, False), ("udp://@:5000", None, False),
     ("http://server/live", None, False), ("http://server/film.mp4", 30, True), ("film.mp4", 30, True)],
)  # fmt: skip
def test_sound_is_read_ahead_of_its_picture_only_where_nobody_waits_for_the_picture(
    address: str, duration_s: int | None, read_ahead: bool
) -> None:
    duration_ns = None if duration_s is None else duration_s * NS_PER_S
    assert (lead_ns(place_of(address), duration_ns) > 0) == read_ahead
