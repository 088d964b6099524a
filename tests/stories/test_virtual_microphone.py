"""A real PyAudio capture from a PulseAudio null sink: what is played is what is heard, and when.

Runs wherever PulseAudio is installed (`.ci/run` installs it). It takes its time: seconds of sound cannot be hurried.
"""

import os
import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.stream.items import AudioBlock
from cavs.stream.microphone import MicrophoneSource
from cavs.stream.sound_line import SoundLine

RATE_HZ = 16_000
PLAYED_HZ = 48_000
PLAYED_S = 2.0
TRIES = 3
"""A machine that is busy with something else may lose sound before it reaches us; it will not three times running."""
CLOCK = MonotonicClock()

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def virtual_microphone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PulseAudio of the test's own with a sink that nobody hears, and its monitor as an ALSA device."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    pytest.importorskip("pyaudio", reason="PyAudio is not installed: pip install 'cavs-stream[mic]'")
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (tmp_path / ".asoundrc").write_text('pcm.vmic { type pulse device "vsink.monitor" }\n')
    for name, value in (("HOME", tmp_path), ("XDG_RUNTIME_DIR", run), ("PULSE_RUNTIME_PATH", run)):
        monkeypatch.setenv(name, str(value))
    modules = ["-L", "module-native-protocol-unix", "-L", f"module-null-sink sink_name=vsink rate={PLAYED_HZ}"]
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *modules]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not _answers(server):
            pytest.skip("pulseaudio does not start here")
        yield "vmic"
    finally:
        server.terminate()
        server.wait(10)


def test_what_is_played_is_heard_without_a_gap_and_at_a_steady_time(virtual_microphone: str, tmp_path: Path) -> None:
    played = chirp()
    path = written(played, tmp_path / "chirp.wav")
    for _ in range(TRIES):
        blocks, overflows = heard_while_playing(virtual_microphone, path)
        if overflows == 0:
            break
    assert overflows == 0
    assert [b.first for b in blocks[1:]] == [b.end for b in blocks[:-1]]
    assert likeness(np.concatenate([block.samples for block in blocks]), played) > 0.95
    assert blocks[-1].grade.value in ("A", "B")
    line = SoundLine(RATE_HZ, 10)
    for block in blocks:
        line.push(block)
    drift = line.report()
    assert abs(drift.ppm) < 1000
    elapsed_ns = blocks[-1].t_ns - blocks[0].t_ns
    assert elapsed_ns == pytest.approx((blocks[-1].first - blocks[0].first) * NS_PER_S / RATE_HZ, abs=60 * NS_PER_MS)


def heard_while_playing(microphone: str, path: Path) -> tuple[list[AudioBlock], int]:
    """The blocks, and how often sound was lost."""
    source = MicrophoneSource(microphone, rate_hz=RATE_HZ, clock=CLOCK)
    source.open()
    blocks: list[AudioBlock] = []
    try:
        capture(source, blocks, 4.5)  # past the start of the plugin, and past the first stamps
        with subprocess.Popen(["paplay", "-d", "vsink", str(path)]) as player:
            capture(source, blocks, PLAYED_S + 1.0)
            player.wait(10)
    finally:
        source.close()
    return blocks, source.counters["sound_overflows"]


def capture(source: MicrophoneSource, blocks: list[AudioBlock], seconds: float) -> None:
    end_ns = CLOCK.now_ns() + round(seconds * NS_PER_S)
    while CLOCK.now_ns() < end_ns:
        blocks += [item for item in source.step() if isinstance(item, AudioBlock)]


def chirp() -> npt.NDArray[np.float64]:
    t_s = np.arange(round(PLAYED_HZ * PLAYED_S)) / PLAYED_HZ
    return 0.5 * np.sin(2 * np.pi * (300 + 500 * t_s) * t_s)


def written(sound: npt.NDArray[np.float64], path: Path) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(PLAYED_HZ)
        out.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


def likeness(heard: npt.NDArray[np.float32], played: npt.NDArray[np.float64]) -> float:
    """Best normalised correlation of what was played with any stretch of what was heard."""
    wanted = played[:: PLAYED_HZ // RATE_HZ]
    size = 1 << (len(heard) + len(wanted)).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size)), size)[: len(heard) - len(wanted)]
    energy = np.concatenate([[0.0], np.cumsum(heard.astype(np.float64) ** 2)])
    power = energy[len(wanted) : len(heard)] - energy[: len(heard) - len(wanted)]
    return float((products / np.sqrt(np.maximum(power, 1e-9) * (wanted**2).sum())).max())


def _answers(server: "subprocess.Popen[bytes]") -> bool:
    end_ns = CLOCK.now_ns() + 10 * NS_PER_S
    while CLOCK.now_ns() < end_ns and server.poll() is None:
        if subprocess.run(["pactl", "info"], capture_output=True, env=os.environ, check=False).returncode == 0:
            return True
        CLOCK.sleep_ns(100 * NS_PER_MS)
    return False
