"""Claps in a recording: the offset is found to the millisecond of what was put in."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cavs.runtime.clock import NS_PER_MS, ManualClock
from cavs.runtime.errors import CavsError, ConfigError
from cavs.stream.calibrate import RATE_HZ, listen, main
from cavs.stream.claps import Measured, compare, onsets
from cavs.stream.media import MediaSource
from cavs.stream.offsets import offsets_file, store_offset, stored_offset_ms
from tests.stream.clips import Clip, write_clip

CLAPS = [0.71, 1.63, 2.47, 3.52, 4.40]


def clapping(offset_s: float, noise: float = 0.003) -> Clip:
    """Hands (two bars) that meet at each clap; the sound of it is `offset_s` earlier than the picture."""
    rng = np.random.default_rng(4)

    def picture(t: float) -> npt.NDArray[np.uint8]:
        pixels = rng.integers(60, 70, (48, 64, 3)).astype(np.uint8)
        apart = min((t - clap if t >= clap else 1.0) for clap in CLAPS)
        gap = 0 if apart < 0.1 else 20
        pixels[10:40, 4 + 10 - gap // 2 : 24 + 10 - gap // 2] = 220
        pixels[10:40, 40 - 10 + gap // 2 : 60 - 10 + gap // 2] = 220
        return pixels

    def sound(t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        wave = rng.normal(0, noise, len(t_s))
        for clap in CLAPS:
            age_s = t_s - (clap - offset_s)
            wave += np.where(age_s >= 0, 0.8 * np.exp(-np.maximum(age_s, 0) / 0.02) * np.sin(2 * np.pi * 1500 * age_s), 0)
        return wave

    return Clip(seconds=5, fps=60, picture=picture, sound=sound, sound_codec="flac")


@pytest.mark.parametrize("offset_ms", [-120.0, 0.0, 45.0, 180.0])
def test_the_offset_of_a_recording_is_found(tmp_path: Path, offset_ms: float) -> None:
    path = write_clip(tmp_path / "claps.mkv", clapping(offset_ms / 1000))
    measured = listen([MediaSource(str(path), rate_hz=RATE_HZ, clock=ManualClock(), rate="fast")], ManualClock(), 10)
    assert measured.claps == len(CLAPS)
    assert measured.offset_ms == pytest.approx(offset_ms, abs=8)  # half a frame at 60 fps
    assert measured.spread_ms < 10


def test_the_command_prints_the_flag_to_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "claps.mkv", clapping(0.1))
    assert main(["--source", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "5 claps" in printed
    value = float(printed.split("--offset-ms ")[1].split()[0])
    assert value == pytest.approx(100, abs=8)


def test_a_recording_without_claps_is_refused_with_advice(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "still.mkv", Clip(seconds=2, picture=lambda t: np.full((48, 64, 3), 80, np.uint8)))
    with pytest.raises(CavsError, match=r"claps seen and heard .* 3 expected; clap slowly"):
        main(["--source", str(path)])


def test_movements_and_sounds_that_are_no_claps_do_not_disturb() -> None:
    rng = np.random.default_rng(2)
    claps_ns = np.array([t * 10**9 for t in (1, 2, 3, 4, 5)], np.int64)
    jitter = rng.integers(-8, 8, 5) * NS_PER_MS
    seen = np.sort(np.concatenate([claps_ns + 70 * NS_PER_MS + jitter, [int(1.4e9), int(3.3e9)]]))
    heard = np.sort(np.concatenate([claps_ns, [int(2.55e9), int(4.7e9)]]))
    measured = compare(seen, heard)
    assert measured.claps == 5
    assert measured.offset_ms == pytest.approx(70, abs=8)


def test_two_claps_are_too_few() -> None:
    at_ns = np.array([10**9, 2 * 10**9], np.int64)
    with pytest.raises(CavsError, match="2 claps seen and heard"):
        compare(at_ns, at_ns)


def test_a_sound_begins_where_it_rises_not_where_it_is_loudest() -> None:
    sound = np.random.default_rng(0).normal(0, 0.001, RATE_HZ).astype(np.float32)
    sound[8000:8200] += np.linspace(0.3, 0.9, 200).astype(np.float32)
    assert onsets(sound, RATE_HZ).tolist() == pytest.approx([8000], abs=16)


def test_an_offset_is_remembered_for_its_pair_only(tmp_path: Path) -> None:
    file = tmp_path / "cavs" / "offsets.json"
    assert stored_offset_ms("0", None, file) is None
    store_offset("0", None, Measured(41.257, 3.0, 7), file)
    store_offset("0", "usb", Measured(-5.0, 3.0, 7), file)
    assert stored_offset_ms("/dev/video0", None, file) == 41.26
    assert stored_offset_ms("0", "usb", file) == -5.0
    assert stored_offset_ms("1", None, file) is None
    assert json.loads(file.read_text())["camera /dev/video0, microphone usb"]["claps"] == 7


def test_a_damaged_file_of_offsets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "offsets.json").write_text("{")
    with pytest.raises(ConfigError, match=r"offsets\.json: cannot be read"):
        stored_offset_ms("a", "b", tmp_path / "offsets.json")


def test_the_file_lies_where_the_user_keeps_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert offsets_file() == tmp_path / "cavs" / "offsets.json"
