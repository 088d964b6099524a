"""The control socket: real ZeroMQ clients, good and bad, keys, addresses that are taken, and garbage that ends nothing."""

import random
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from cavs.runtime.control import ControlClient, control_address, somebody_listens
from cavs.runtime.errors import ConfigError, ControlRefused
from cavs.stream.control import ControlServer
from cavs.stream.control_requests import Request, Say, Status
from cavs.stream.keys import make_keys

SHORT_MS = 300


def answer(request: Request) -> dict[str, Any]:
    if isinstance(request, Say):
        return {"said": request.kind}
    if isinstance(request, Status):
        raise ZeroDivisionError("a fault of ours\nin two lines")
    raise ControlRefused("not today")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ControlServer]:
    made = ControlServer([control_address(tmp_path), "tcp://127.0.0.1:*"], answer)
    made.start()
    yield made
    made.close()


def test_it_answers_on_every_address(server: ControlServer) -> None:
    for address in server.addresses:
        with ControlClient(address) as client:
            assert client.ask("say", kind="warning", subject="x") == {"ok": True, "said": "warning"}
            with pytest.raises(ControlRefused, match="not today"):
                client.ask("rollback")


def test_a_fault_of_ours_is_told_in_one_line_and_the_next_request_is_answered(server: ControlServer) -> None:
    with ControlClient(server.addresses[0]) as client:
        with pytest.raises(ControlRefused, match="the stream itself: ZeroDivisionError: a fault of ours in two lines"):
            client.status()
        assert client.ask("say", kind="a", subject="x")["ok"]
    assert server.faults == 1


def test_a_dealer_asks_with_or_without_the_empty_part(server: ControlServer) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.connect(server.addresses[0])
        request = msgpack.packb({"do": "say", "kind": "a", "subject": "x"})
        dealer.send(request)
        assert msgpack.unpackb(dealer.recv())["ok"]
        dealer.send_multipart([b"", request])
        empty, reply = dealer.recv_multipart()
        assert (empty, msgpack.unpackb(reply)["ok"]) == (b"", True)


def garbage(count: int) -> Iterator[bytes]:
    """Nothing, noise, torn and twisted requests, deep and wide and lying msgpack."""
    chance = random.Random(5)
    good = msgpack.packb({"do": "teach", "name": "kettle", "box": [1, 2, 3, 4], "seconds": 3.0})
    yield from (b"", b"\x00", b"\xc1", b"GET / HTTP/1.1\r\n\r\n", msgpack.packb(None), msgpack.packb([1, 2]), b"\x91" * 5000)
    yield from (b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", msgpack.packb({1: 2}), msgpack.packb({"do": {"do": "say"}}))
    yield msgpack.packb({"do": "say", "kind": "\x00" * 200, "subject": "x" * 300})
    yield msgpack.packb({"do": "recent", "seconds": 2**63, "most": 2**64 - 1})
    for _ in range(count):
        torn = bytearray(good[: chance.randrange(len(good) + 1)])
        for _ in range(chance.randrange(4)):
            if torn:
                torn[chance.randrange(len(torn))] = chance.randrange(256)
        yield bytes(torn)


def test_garbage_is_refused_and_ends_nothing(server: ControlServer) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.connect(server.addresses[0])
        for body in garbage(300):
            dealer.send(body)
            assert dealer.poll(5000), body
            reply = msgpack.unpackb(dealer.recv())
            assert reply["ok"] is False or reply["said"]
            assert "\n" not in reply.get("error", "")
        dealer.send_multipart([b"x"] * 40)  # an envelope that is none is not answered
        dealer.send_multipart([b"", msgpack.packb({"do": "say", "kind": "a", "subject": "x"})])
        assert msgpack.unpackb(dealer.recv_multipart()[-1])["ok"]
    assert server.faults == 0


def test_only_its_user_can_open_the_local_socket(server: ControlServer, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600


def test_its_local_socket_goes_with_it(tmp_path: Path) -> None:
    address = control_address(tmp_path)
    assert not somebody_listens(address)
    server = ControlServer([address, "tcp://127.0.0.1:*"], answer)
    assert somebody_listens(address)
    server.close()
    assert not somebody_listens(address)
    assert list(tmp_path.iterdir()) == []


def test_with_keys_only_allowed_clients_are_answered_on_tcp(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", "robot")
    server = ControlServer([control_address(tmp_path), "tcp://127.0.0.1:*"], answer, keys=tmp_path / "keys")
    server.start()
    local, public = server.addresses
    keys = tmp_path / "keys" / "clients" / "robot"
    with ControlClient(public, keys=keys) as client:
        assert client.ask("say", kind="a", subject="x")["ok"]
    with ControlClient(public, timeout_ms=SHORT_MS) as stranger, pytest.raises(ControlRefused, match="no answer"):
        stranger.ask("say", kind="a", subject="x")
    with ControlClient(local, keys=keys) as client:
        assert client.ask("say", kind="a", subject="x")["ok"]
    server.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://0.0.0.0:5599", "needs keys: cavs-stream keys"),
        ("ipc://@kitchen", "every user of this machine could open it"),
        ("kitchen", "tcp://HOST:PORT or ipc://PATH expected"),
        ("ipc:///nowhere/control.sock", "directory /nowhere does not exist; make it or choose another --control"),
        (f"ipc:///tmp/{'x' * 110}", "longer than the path of a socket may be"),
    ],
)
def test_an_address_that_cannot_be_bound_is_one_line(address: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ControlServer([address], answer)


def test_an_address_that_another_answers_at_is_left_to_it(server: ControlServer) -> None:
    with pytest.raises(ConfigError, match="another process listens there; stop it or choose another --control"):
        ControlServer([server.addresses[0]], answer)
    with pytest.raises(ConfigError, match="cannot bind tcp"):
        ControlServer([server.addresses[1]], answer)
    with ControlClient(server.addresses[0]) as client:
        assert client.ask("say", kind="a", subject="x")["ok"]


def test_a_thread_that_dies_tells_the_main_loop(tmp_path: Path) -> None:
    died: list[BaseException] = []
    server = ControlServer([control_address(tmp_path)], answer, on_death=died.append)
    for socket in server._sockets:
        socket.close()
    server.start()
    server.close()
    assert len(died) == 1
