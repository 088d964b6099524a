"""cavs-stream watch as a user starts it, beside a running stream."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from cavs.runtime.clock import MonotonicClock
from cavs.stream.publisher import Publisher
from tests.one_window import CLASSES, MODEL, SOUND, disc, prediction, thing, window

WAIT_MS = 20_000
WAIT_S = 60
BETWEEN_WINDOWS_MS = 15
LABELS = disc(np.zeros((48, 64), np.uint8), (30, 24), 12, 2)


@contextmanager
def watching(address: str, *flags: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "cavs.stream.cli", "watch", address, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(f"ipc://{tmp_path}/masks", "kitchen-1", clock=MonotonicClock()) as made:
        made.hello(model=MODEL, classes=CLASSES, size=(48, 64), source=(48, 64), fps=25.0, sound=SOUND, health={})
        yield made


def publish(publisher: Publisher, seqs: range) -> None:
    clock = MonotonicClock()
    for seq in seqs:
        publisher.publish(window(seq), prediction(LABELS), (thing(1, LABELS, 2, "dog"),), MODEL, {"end_to_end": 9.0}, {})
        clock.sleep_ns(BETWEEN_WINDOWS_MS * 1_000_000)


def test_until_end_writes_the_film_with_sound_and_the_picture(publisher: Publisher, tmp_path: Path) -> None:
    film, picture = tmp_path / "o.mp4", tmp_path / "o.png"
    with watching(publisher.address, "--until-end", "--save", str(film), "--snapshot", str(picture)) as process:
        assert publisher.wait_for_watcher(WAIT_MS)
        publish(publisher, range(60))
        publisher.event("ended", "kitchen-1", "end of file")
        out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    assert "latency p50 9.0 p99 9.0 ms | 1.0 objects: dog" in out
    assert "event: ended kitchen-1: end of file" in out
    with av.open(str(film)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert file.streams.audio[0].codec_context.name == "aac"
        times = [float(frame.time) for frame in file.decode(video=0)]
    assert len(times) >= 50
    assert times[-1] == pytest.approx(59 * 0.04, abs=0.2)
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape == (48, 64, 3)
    assert drawn[24, 30].tolist() != drawn[2, 60].tolist()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_0_and_what_was_seen_is_saved(number: int, publisher: Publisher, tmp_path: Path) -> None:
    film = tmp_path / "o.mp4"
    with watching(publisher.address, "--save", str(film)) as process:
        assert publisher.wait_for_watcher(WAIT_MS)
        publish(publisher, range(40))
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    assert f"{film}:" in out
    with av.open(str(film)) as file:
        assert sum(1 for _ in file.decode(video=0)) >= 20


def test_a_stream_without_preview_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with Publisher(f"ipc://{tmp_path}/masks", "s", clock=MonotonicClock(), preview=False) as publisher:
        publisher.hello(model=MODEL, classes=CLASSES, size=(48, 64), source=(48, 64), fps=25.0, sound=SOUND, health={})
        with watching(publisher.address, "--snapshot", str(tmp_path / "o.png")) as process:
            assert publisher.wait_for_watcher(WAIT_MS)
            publish(publisher, range(10))
            _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert err == "cavs-stream: this stream sends no pictures: it runs with --no-preview; start it without\n"
