"""Files that are not as one would wish: uneven, turned, with half a sound track, torn, damaged."""

from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from tests.stream.clips import Clip, write_clip
from tests.stream.playing import RATE_HZ, play


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.4, 1.0, 1.02, 1.9]
    played = play(write_clip(tmp_path / "vfr.mkv", Clip(seconds=2, frame_times=times, sound_codec="flac")))
    assert [f.t_ns / NS_PER_S for f in played.frames] == pytest.approx(times, abs=0.002)
    assert [f.index for f in played.frames] == list(range(len(times)))


def test_a_missing_sound_track_is_said_once_and_the_picture_goes_on(tmp_path: Path) -> None:
    played = play(write_clip(tmp_path / "mute.mp4", Clip(sound=None)))
    assert len(played.frames) == 30
    assert [event.kind for event in played.events] == ["no_sound"]
    assert "mute.mp4: no sound track" in played.events[0].text


def test_a_sound_track_that_starts_late_is_numbered_from_where_it_starts(tmp_path: Path) -> None:
    clip = Clip(seconds=3, sound_start=1.5, sound_codec="flac")
    for rate in ("fast", "realtime"):
        played = play(write_clip(tmp_path / "late.mkv", clip), rate)
        assert played.blocks[0].first == pytest.approx(1.5 * RATE_HZ, abs=20)
        assert len(played.frames) == 90
        assert np.abs(played.sound()[: int(1.4 * RATE_HZ)]).max() == 0


def test_a_sound_track_that_ends_early_does_not_hold_the_picture_up(tmp_path: Path) -> None:
    played = play(write_clip(tmp_path / "short.mkv", Clip(seconds=20, fps=5, sound_end=1.0, sound_codec="flac")))
    assert len(played.frames) == 100
    assert played.blocks[-1].end == pytest.approx(RATE_HZ, abs=0.05 * RATE_HZ)


def test_a_hole_in_the_sound_makes_the_numbers_jump(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "hole.mkv", Clip(seconds=2, sound_codec="flac"))
    holed = tmp_path / "holed.mkv"
    _remux_without_sound_between(path, holed, 0.8, 1.3)
    played = play(holed)
    assert played.jumps() == pytest.approx([0.5 * RATE_HZ], abs=0.05 * RATE_HZ)
    for block in played.blocks:
        assert block.t_ns == pytest.approx(block.first * NS_PER_S / RATE_HZ, abs=2 * NS_PER_MS)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_video_is_given_upright(tmp_path: Path, turn: int) -> None:
    lying = np.full((48, 64, 3), 10, np.uint8)
    lying[:24, :32] = 240  # the bright corner: top left before the turn
    frame = play(write_clip(tmp_path / "turned.mp4", Clip(picture=lambda t: lying, turn=turn))).frames[0]
    upright = np.rot90(lying, turn // 90)
    assert frame.pixels.shape == upright.shape
    assert np.abs(frame.pixels.astype(int) - upright).mean() < 12


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    frame = play(write_clip(tmp_path / "odd.avi", Clip(width=63, height=47, codec="ffv1", sound_codec="pcm_s16le"))).frames[0]
    assert frame.pixels.shape == (47, 63, 3)


def test_a_truncated_file_plays_what_is_there_then_warns_and_ends(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", Clip(seconds=6, sound_codec="flac"))
    torn = tmp_path / "torn.mkv"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    played = play(torn)
    assert 60 < len(played.frames) < 120
    assert [event.kind for event in played.events] == ["warning"]
    assert "torn.mkv: ends after" in played.events[0].text
    assert "of 6.0 s" in played.events[0].text


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", Clip(seconds=4, codec="mjpeg", sound_codec="pcm_s16le"))
    data = bytearray(whole.read_bytes())
    noise = np.random.default_rng(1)
    for start in range(len(data) // 4, len(data) // 2, 2500):
        data[start : start + 1200] = noise.integers(0, 255, 1200, np.uint8).tobytes()
    damaged = tmp_path / "damaged.avi"
    damaged.write_bytes(data)
    played = play(damaged)
    assert played.counters["frames_corrupt"] + played.counters["packets_unreadable"] > 0
    assert 60 <= len(played.frames) < 120
    assert played.frames[-1].t_ns > 3 * NS_PER_S


def _remux_without_sound_between(path: Path, out: Path, start_s: float, end_s: float) -> None:
    import av

    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            time = float(packet.pts * packet.time_base)
            if packet.stream.type == "audio" and start_s <= time < end_s:
                continue
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
