"""A real stream that is asked over real ZeroMQ: it is taught, it says, it keeps going whatever is asked and whoever dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import psutil
import pytest
import zmq

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_MS, MonotonicClock
from cavs.runtime.control import ControlClient, control_address
from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson import Hint, Lessons
from cavs.runtime.store import ModelStore
from cavs.stream.keys import make_keys
from cavs.stream.masks import Masks
from cavs.stream.subscriber import Subscriber
from cavs.stream.wire import Event
from tests.clips import write_clip

WAIT_S = 60
WAIT_MS = 60_000
THUMB = b"\xff\xd8\xff\xd9"

STAND_IN = """
import sys
from cavs.stream.cli import run_parser, settings_of
from cavs.stream.run import run
waits = [sys.executable, "-c", "import time; time.sleep(600)"]
sys.exit(run(settings_of(run_parser().parse_args(sys.argv[1:])), learner=lambda store, control, keys: waits))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=60.0, fps=10, sounding_s=(0.0, 60.0))


@pytest.fixture
def home(tmp_path: Path, tiny_bundle: Bundle) -> Path:
    """A store whose current version is the tiny bundle's own."""
    store = ModelStore(tmp_path / "m")
    store.commit(None, store.add_bundle(tiny_bundle.root))
    return store.path


@contextmanager
def streaming(home: Path, clip: Path, *argv: str, program: tuple[str, ...] = ("-m", "cavs.stream.cli")) -> Iterator[Any]:
    """A stream of the clip in real time, and a subscriber that has its first masks."""
    bind = f"ipc://{home.parent}/wire"
    command = [sys.executable, *program, "--source", str(clip), "--realtime", "--bind", bind, "--store", str(home), "--quiet"]
    with (
        subprocess.Popen([*command, *argv], stderr=subprocess.PIPE, text=True) as process,
        Subscriber(bind, newest_only=False, kinds=("masks", "event"), timeout_ms=WAIT_MS) as subscriber,
    ):
        try:
            until(subscriber, lambda message: isinstance(message, Masks))
            yield process, subscriber
            until(subscriber, lambda message: isinstance(message, Masks))  # whatever was asked, it goes on
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, err
        finally:
            process.kill()


def until(subscriber: Subscriber, holds: Callable[[Any], bool]) -> Any:
    return next(message for message in subscriber.messages() if holds(message))


def test_a_stream_is_taught_says_what_it_is_told_and_survives_garbage(home: Path, clip: Path, tiny_bundle: Bundle) -> None:
    with streaming(home, clip) as (_, subscriber), ControlClient(control_address(home), timeout_ms=WAIT_MS) as client:
        # The first windows have not heard enough.
        until(subscriber, lambda message: isinstance(message, Masks) and message.seq >= 20)
        windows, answer = client.recent(2, most=4)
        assert windows.frames.shape[1:] == (64, 64, 3)
        assert answer["model"] == {"bundle": tiny_bundle.id, "adapter": answer["model"]["adapter"], "version": 1}
        assert np.abs(windows.sound_of(len(windows) - 1, 1600)).max() > 0.1

        taught = client.ask("teach", name="kettle", seconds=2.0, box=[40, 30, 80, 60], yes=True)
        lessons = Lessons(home)
        request, kept = lessons.request(taught["lesson"]), lessons.windows(taught["lesson"])
        assert (request.name, request.hint, request.yes) == ("kettle", Hint(box=(0.25, 0.25, 0.5, 0.5)), True)
        middle = kept.frames[-1, 32, 32].astype(int)
        assert middle[0] > 180
        assert middle[1] < 60

        marked = until(subscriber, lambda message: isinstance(message, Masks) and bool(message.objects)).objects[0]
        corrected = client.ask("correct", name="green", object=marked.id)
        boxes = lessons.windows(corrected["lesson"]).boxes
        assert boxes is not None
        assert np.allclose(boxes[-1], 0.25, atol=0.06) or np.allclose(boxes[-1], (0.25, 0.25, 0.5, 0.5), atol=0.06)

        client.say("unknown", "object 3", "what is this?", THUMB)
        event = until(subscriber, lambda message: isinstance(message, Event) and message.kind == "unknown")
        assert (event.subject, event.text, event.thumb) == ("object 3", "what is this?", THUMB)

        with pytest.raises(ControlRefused, match="no path"):
            client.ask("teach", name="../kettle")
        with zmq.Context() as context, context.socket(zmq.DEALER) as noise:
            noise.connect(control_address(home))
            for body in (b"", b"\xc1" * 100, os.urandom(1000), msgpack.packb({"do": "teach"}), msgpack.packb([{}] * 50)):
                noise.send(body)
                assert msgpack.unpackb(noise.recv())["ok"] is False

        status = client.status()
        assert status["recent"]["source"] == [120, 160]
        assert [told["lesson"] for told in status["lessons"]] == [taught["lesson"], corrected["lesson"]]
        assert lessons.ids() == (taught["lesson"], corrected["lesson"])


def test_a_learner_that_is_killed_is_started_again_and_gone_with_the_stream(home: Path, clip: Path) -> None:
    """A process that only waits stands for the learner: what is tried is who looks after it."""
    program = ("-c", STAND_IN)
    with (
        streaming(home, clip, "--adapt", program=program) as (_, subscriber),
        ControlClient(control_address(home), timeout_ms=WAIT_MS) as client,
    ):
        first = learner_of(client)
        os.kill(first, signal.SIGKILL)
        event = until(subscriber, lambda message: isinstance(message, Event) and message.kind == "learner")
        assert "was killed by SIGKILL; it is started again in" in event.text
        second = learner_of(client, other_than=first)
        assert client.status()["learner"]["restarts"] == 1
    assert not psutil.pid_exists(second)


def learner_of(client: ControlClient, other_than: int | None = None) -> int:
    clock = MonotonicClock()
    for _ in range(WAIT_S * 20):
        state = client.status()["learner"]
        if state["alive"] and state["pid"] != other_than:
            return int(state["pid"])
        clock.sleep_ns(50 * NS_PER_MS)
    raise AssertionError("no learner came up")


def test_over_tcp_only_those_with_keys_are_answered(home: Path, clip: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", "robot")
    bind = f"ipc://{home.parent}/wire"
    command = [sys.executable, "-m", "cavs.stream.cli", "--source", str(clip), "--realtime", "--bind", bind]
    argv = ["--store", str(home), "--control", "tcp://127.0.0.1:*", "--keys", str(tmp_path / "keys")]
    with subprocess.Popen([*command, *argv], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if line.startswith("cavs-stream: control "))
            address = line.split("; ")[0].split(", ")[-1]
            with ControlClient(address, keys=tmp_path / "keys" / "clients" / "robot", timeout_ms=WAIT_MS) as robot:
                assert robot.status()["encrypted"] is True
            with ControlClient(address, timeout_ms=500) as stranger, pytest.raises(ControlRefused, match="no answer"):
                stranger.status()
            with ControlClient(control_address(home), timeout_ms=WAIT_MS) as neighbour:
                assert neighbour.status()["stream"] == "cavs"
        finally:
            process.kill()
