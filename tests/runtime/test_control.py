"""The asking end of the control socket, against an answering socket of a few lines."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from cavs.runtime.control import ControlClient, control_address, fits_a_socket
from cavs.runtime.errors import ConfigError, ControlRefused

SHORT_MS = 100


@contextmanager
def answering(*replies: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A ROUTER that gives these answers, one for each request; its address and what it was asked."""
    asked: list[dict[str, Any]] = []
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"

        def serve() -> None:
            for reply in replies:
                *envelope, body = socket.recv_multipart()
                asked.append(msgpack.unpackb(body))
                socket.send_multipart([*envelope, reply])

        thread = threading.Thread(target=serve)
        thread.start()
        yield address, asked
        thread.join()


def test_a_request_is_one_map_and_so_is_its_answer() -> None:
    with answering(msgpack.packb({"ok": True, "lesson": "l"})) as (address, asked), ControlClient(address) as client:
        assert client.ask("teach", name="kettle", box=None, seconds=3.0) == {"ok": True, "lesson": "l"}
    assert asked == [{"do": "teach", "name": "kettle", "seconds": 3.0}]


def test_a_refusal_is_raised_in_the_words_of_the_stream() -> None:
    refusal = msgpack.packb({"ok": False, "error": "nothing recent yet"})
    with answering(refusal) as (address, _), ControlClient(address) as client, pytest.raises(ControlRefused) as refused:
        client.ask("teach", name="kettle")
    assert str(refused.value) == "nothing recent yet"


@pytest.mark.parametrize("reply", [b"", b"\xc1", msgpack.packb([1]), msgpack.packb({"ok": 1}), b"HTTP/1.1 400 Bad Request"])
def test_an_answer_that_is_none_is_one_line(reply: bytes) -> None:
    with (
        answering(reply) as (address, _),
        ControlClient(address) as client,
        pytest.raises(ControlRefused, match="is it a stream"),
    ):
        client.status()


def test_recent_windows_come_as_arrays() -> None:
    frames = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    sound = np.linspace(-1, 1, 50, dtype=np.float32)
    reply = {
        "ok": True,
        "frames": frames.tobytes(),
        "shape": list(frames.shape),
        "t_ns": [5, 9],
        "sound": sound.tobytes(),
        "sound_start_ns": 1,
        "rate_hz": 16000,
        "model": {"version": 3},
    }
    with answering(msgpack.packb(reply)) as (address, _), ControlClient(address) as client:
        windows, answer = client.recent(1, most=5)
    assert np.array_equal(windows.frames, frames)
    assert np.array_equal(windows.sound, sound)
    assert (windows.t_ns.tolist(), windows.rate_hz, answer["model"]) == ([5, 9], 16000, {"version": 3})


def test_recent_windows_that_do_not_fit_together_are_refused() -> None:
    reply = msgpack.packb({"ok": True, "frames": b"123", "shape": [1, 2, 2, 3], "t_ns": [1]})
    with answering(reply) as (address, _), ControlClient(address) as client, pytest.raises(ControlRefused) as refused:
        client.recent(1, most=5)
    assert "do not fit together" in str(refused.value)


def test_nobody_there_is_said_in_time_and_a_later_stream_is_found(tmp_path: Path) -> None:
    address = control_address(tmp_path)
    with ControlClient(address, timeout_ms=SHORT_MS) as client, zmq.Context() as context:
        with pytest.raises(ControlRefused, match=r"no answer for 0\.1 s; is cavs-stream running"):
            client.status()
        with context.socket(zmq.ROUTER) as socket:
            socket.bind(address)
            with pytest.raises(ControlRefused):
                client.ask("second")
            while True:  # the first request is delivered too: its answer, late, is not taken for the second's
                *envelope, body = socket.recv_multipart()
                socket.send_multipart([*envelope, msgpack.packb({"ok": True, "of": msgpack.unpackb(body)["do"]})])
                if msgpack.unpackb(body)["do"] == "second":
                    break
            third = threading.Thread(target=lambda: socket.send_multipart([*socket.recv_multipart()[:-1], THIRD]))
            third.start()
            assert client.ask("third")["of"] == "third"
            third.join()


THIRD = msgpack.packb({"ok": True, "of": "third"})


def test_an_address_that_is_none_is_one_line() -> None:
    with pytest.raises(ConfigError, match="cannot connect to kitchen"):
        ControlClient("kitchen")


def test_a_path_that_is_too_long_for_a_socket_is_known(tmp_path: Path) -> None:
    assert fits_a_socket(control_address("/var/lib/cavs"))
    assert not fits_a_socket(control_address(tmp_path / ("x" * 108)))
    assert fits_a_socket("tcp://" + "x" * 200)
