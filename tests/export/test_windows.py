"""Windows: drawn ones that repeat, and real ones whose sound ends where the picture was taken."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cavs.export.windows import drawn_windows, video_windows
from cavs.runtime.errors import ExportError
from tests.small_network import SMALL

RATE_HZ = SMALL.sound_rate_hz


def write_video(path: Path, seconds: int = 2, with_sound: bool = True) -> None:
    """Brightness and loudness both rise with time."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=Fraction(10))
        video.width, video.height, video.pix_fmt = 96, 80, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if with_sound else None
        for index in range(10 * seconds):
            picture = np.full((80, 96, 3), 10 * index, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            time = np.arange(seconds * RATE_HZ) / RATE_HZ
            wave = (0.4 * time / seconds * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
            block = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            block.sample_rate, block.pts = RATE_HZ, 0
            container.mux(audio.encode(block))
            container.mux(audio.encode(None))


def test_drawn_windows_have_the_networks_shapes_and_repeat_from_their_seed() -> None:
    windows, again = (list(drawn_windows(SMALL, 5, seed=4)) for _ in range(2))
    assert len(windows) == 5
    for one, other in zip(windows, again, strict=True):
        assert one.frame.shape == (64, 64, 3)
        assert one.sound.shape == (SMALL.sound_samples,)
        np.testing.assert_array_equal(one.frame, other.frame)
        np.testing.assert_array_equal(one.sound, other.sound)
    assert any(np.abs(window.sound).max() > 0.01 for window in windows)


def test_windows_of_a_video_go_on_in_time_and_their_sound_ends_at_the_picture(tmp_path: Path) -> None:
    write_video(tmp_path / "rise.mp4")
    windows = list(video_windows(tmp_path, SMALL, 4))
    brightness = [float(window.frame.mean()) for window in windows]
    loudness = [float(np.abs(window.sound).max()) for window in windows]
    assert brightness == sorted(brightness)
    assert not windows[0].sound.any()
    assert loudness == sorted(loudness)
    assert loudness[-1] == pytest.approx(0.4 * 1.9 / 2, abs=0.06)


def test_a_video_without_sound_gives_silence(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", with_sound=False)
    assert not any(window.sound.any() for window in video_windows(tmp_path / "mute.mp4", SMALL, 3))


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no videos there"):
        list(video_windows(tmp_path, SMALL, 3))


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    with pytest.raises(ExportError, match=r"no\.mp4: cannot be decoded"):
        list(video_windows(tmp_path, SMALL, 3))
