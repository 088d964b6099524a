"""The control socket: a ROUTER on a thread of its own, so that whoever asks, and whatever is asked, the masks go on."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import zmq

from cavs.runtime.clock import MonotonicClock
from cavs.runtime.control import REQUEST_BYTES_MAX, fits_a_socket
from cavs.runtime.errors import CavsError, ConfigError, ControlRefused
from cavs.stream.address import IPC, check_address, clear_for_bind, is_public
from cavs.stream.control_requests import Request, read_request
from cavs.stream.curve_guard import CurveGuard

POLL_MS = 100
"""Also how long stopping takes."""
STOP_S = 10.0
"""A lesson that is being written is finished."""
ENVELOPE_PARTS_MAX = 8
ITEMS_MAX = 64
TEXT_BYTES_MAX = 64 << 10

Answer = Callable[[Request], dict[str, Any]]


class ControlServer:
    """Answers requests in the order in which they come. `step` is one round; a thread calls it, or a test.

    addresses: ipc://PATH, which only this user can open, or tcp://HOST:PORT. keys: as for the publisher; used on tcp.
    answer: called with each request; raises CavsError for what cannot be done.
    on_death: called with what the thread died of.
    Raises ConfigError if an address cannot be bound, or is public and there are no keys.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        answer: Answer,
        *,
        keys: Path | None = None,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._answer = answer
        self._on_death = on_death
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._context = zmq.Context()
        self._guard: CurveGuard | None = None
        self._sockets: list[zmq.Socket[bytes]] = []
        self.faults = 0
        """Requests that failed for a fault of ours rather than of the one who asked."""
        try:
            for address in addresses:
                self._sockets.append(self._bound(address, keys))
        except BaseException:
            self._close_sockets()
            raise
        self._poller = zmq.Poller()
        for socket in self._sockets:
            self._poller.register(socket, zmq.POLLIN)

    @property
    def addresses(self) -> list[str]:
        """Where it can be asked; with tcp port * the port that was found."""
        return [str(socket.getsockopt_string(zmq.LAST_ENDPOINT)) for socket in self._sockets]

    def start(self) -> None:
        """Begins to answer, in a thread."""
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def step(self, timeout_ms: int = POLL_MS) -> None:
        """Answers what has come, one request of each socket."""
        for socket, _ in self._poller.poll(timeout_ms):
            *envelope, body = socket.recv_multipart()
            if len(envelope) <= ENVELOPE_PARTS_MAX:
                socket.send_multipart([*envelope, self._reply(body)])
        if self._guard is not None:
            self._guard.step()

    def close(self) -> None:
        """Ends the thread after the request it is answering, and frees the addresses. Idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            if self._thread.is_alive():  # it hangs in a disk: sockets belong to their thread, both end with the process
                return
        self._close_sockets()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.step()
        except Exception as error:  # noqa: BLE001  raised again in the main loop
            if self._on_death is not None:
                self._on_death(error)

    def _reply(self, body: bytes) -> bytes:
        try:
            answer = {"ok": True, **self._answer(read_request(_unpacked(body)))}
            return bytes(msgpack.packb(answer))
        except CavsError as error:
            return _refusal(str(error))
        except Exception as error:  # noqa: BLE001  a request must not end the stream; whoever asked hears what happened
            self.faults += 1
            return _refusal(f"a fault of the stream itself: {type(error).__name__}: {error}")

    def _bound(self, address: str, keys: Path | None) -> "zmq.Socket[bytes]":
        check_address(address)
        if is_public(address) and keys is None:
            raise ConfigError(
                f"--control {address} can be reached by other machines, so it needs keys: cavs-stream keys --out DIR, then "
                "--keys DIR"
            )
        if address.startswith(f"{IPC}@"):
            raise ConfigError(f"--control {address}: every user of this machine could open it; give ipc://PATH")
        if not fits_a_socket(address):
            raise ConfigError(f"{address}: longer than the path of a socket may be; give another --control")
        clear_for_bind(address, option="--control")
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, REQUEST_BYTES_MAX)
        socket.setsockopt(zmq.IPV6, int("[" in address))
        try:
            if keys is not None and not address.startswith(IPC):
                self._encrypt(socket, keys)
            socket.bind(address.replace("tcp://localhost:", "tcp://127.0.0.1:"))
        except zmq.ZMQError as error:
            socket.close()
            reason = zmq.strerror(error.errno or 0).lower()
            raise ConfigError(f"cannot bind {address}: {reason}; choose another --control") from None
        except BaseException:
            socket.close()
            raise
        if address.startswith(IPC):
            os.chmod(address.removeprefix(IPC), 0o600)
        return socket

    def _encrypt(self, socket: "zmq.Socket[bytes]", keys: Path) -> None:
        if self._guard is None:
            self._guard = CurveGuard(self._context, keys, MonotonicClock())
        self._guard.protect(socket)

    def _close_sockets(self) -> None:
        for socket in self._sockets:
            if not socket.closed:
                with suppress(OSError):  # ZeroMQ leaves it; while it is bound nobody else's can lie there
                    os.unlink(str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).removeprefix(IPC))
            socket.close(linger=POLL_MS)
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._context.term()


def _unpacked(body: bytes) -> dict[str, Any]:
    """The map of a request. Raises ControlRefused."""
    try:
        fields = msgpack.unpackb(
            body,
            strict_map_key=True,
            max_str_len=TEXT_BYTES_MAX,
            max_bin_len=REQUEST_BYTES_MAX,
            max_array_len=ITEMS_MAX,
            max_map_len=ITEMS_MAX,
            max_ext_len=0,
        )
    except (ValueError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise ControlRefused(f"request of {len(body)} bytes is not msgpack: {reason}; one map with do in it expected") from None
    if not isinstance(fields, dict):
        raise ControlRefused(f"request is a msgpack {type(fields).__name__}; one map with do in it expected")
    return fields


def _refusal(text: str) -> bytes:
    return bytes(msgpack.packb({"ok": False, "error": " ".join(text.split())}))
