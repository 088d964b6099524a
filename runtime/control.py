"""Asks a running stream to do something: teach, say, roll back, or tell how it is. docs/wire.md, section Control.

One request is one msgpack map, and so is its answer. The stream's end is cavs.stream.control.
"""

import socket
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack
import numpy as np
import zmq

from cavs.runtime.curve import load_client_keys
from cavs.runtime.errors import ConfigError, ControlRefused
from cavs.runtime.lesson_windows import Windows

CONTROL_SOCKET = "control.sock"
IPC = "ipc://"
IPC_PATH_BYTES_MAX = 107
"""What the kernel takes as the path of a socket (sun_path without its last byte)."""
REQUEST_BYTES_MAX = 16 << 20
"""A drawn mask or a thumbnail is far smaller."""
REPLY_BYTES_MAX = 1 << 30
TIMEOUT_MS = 10_000
"""A lesson of half a minute is on the disk within this, unless the disk hangs."""


def control_address(store: Path | str) -> str:
    """Where the stream of a store is asked unless it was told otherwise."""
    return f"{IPC}{Path(store).absolute() / CONTROL_SOCKET}"


def fits_a_socket(address: str) -> bool:
    """False if this is an ipc address whose path is longer than the kernel takes."""
    return not address.startswith(IPC) or len(address.removeprefix(IPC).encode()) <= IPC_PATH_BYTES_MAX


def somebody_listens(address: str) -> bool:
    """False if this is a local socket that is not there, or that a killed stream left: no need to wait for its answer."""
    if not address.startswith(IPC):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address.removeprefix(IPC))
        except OSError:
            return False
    return True


class ControlClient:
    """Asks one stream. One thread. Raises ControlRefused for what the stream refuses or does not answer in time.

    address: as the stream's --control, or `control_address(store)`; a stream need not be there yet.
    keys:    directory `clients/NAME` made by `cavs-stream keys`, if the stream has keys. An ipc address needs none:
             only the user that the stream runs as can open it.
    """

    def __init__(self, address: str, *, keys: Path | None = None, timeout_ms: int = TIMEOUT_MS) -> None:
        self.address = address
        self._timeout_ms = timeout_ms
        own = load_client_keys(keys) if keys is not None and not address.startswith(IPC) else None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        options = {
            zmq.LINGER: 0,
            zmq.REQ_RELAXED: 1,  # a request that was never answered does not block the next one,
            zmq.REQ_CORRELATE: 1,  # and a late answer is not taken for another's
            zmq.MAXMSGSIZE: REPLY_BYTES_MAX,
            zmq.IPV6: int("[" in address),
        }
        try:
            for option, value in options.items():
                self._socket.setsockopt(option, value)
            if own is not None:
                self._socket.curve_publickey, self._socket.curve_secretkey = own.public, own.secret
                self._socket.curve_serverkey = own.server
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to {address}: {zmq.strerror(error.errno or 0).lower()}") from None

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One request, its answer. Fields that are None are left out."""
        request = {"do": do, **{name: value for name, value in fields.items() if value is not None}}
        self._socket.send(msgpack.packb(request))
        if not self._socket.poll(self._timeout_ms):
            raise ControlRefused(
                f"{self.address}: no answer for {self._timeout_ms / 1000:g} s; is cavs-stream running with --adapt, or with "
                "this --control and these keys?"
            )
        try:
            reply = msgpack.unpackb(self._socket.recv(), max_bin_len=REPLY_BYTES_MAX)
        except (ValueError, msgpack.UnpackException) as error:
            raise ControlRefused(f"{self.address}: answered with what is no msgpack ({error}); is it a stream?") from None
        if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
            raise ControlRefused(f"{self.address}: answered without the key ok; is it a stream?")
        if not reply["ok"]:
            raise ControlRefused(str(reply.get("error", "refused without a reason")))
        return reply

    def recent(self, seconds: float, most: int) -> tuple[Windows, dict[str, Any]]:
        """The windows of the last seconds, `most` at most, spread evenly; and the answer with `model`."""
        reply = self.ask("recent", seconds=float(seconds), most=int(most))
        try:
            shape = tuple(int(side) for side in reply["shape"])
            windows = Windows(
                frames=np.frombuffer(reply["frames"], np.uint8).reshape(shape),
                t_ns=np.array(reply["t_ns"], np.int64),
                sound=np.frombuffer(reply["sound"], "<f4").astype(np.float32),
                sound_start_ns=int(reply["sound_start_ns"]),
                rate_hz=int(reply["rate_hz"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ControlRefused(f"{self.address}: answered with windows that do not fit together: {error}") from None
        return windows, reply

    def lesson(self, lesson: str, *, preview: bool = False) -> dict[str, Any]:
        """Where a lesson stands: `state`, and `proposal`, `outcome` as far as there are any; `preview` is a PNG."""
        return self.ask("lesson", lesson=lesson, preview=preview)

    def decide(self, lesson: str, *, accept: bool, by: str = "") -> None:
        """Accepts or rejects what the learner proposes to learn."""
        self.ask("decide", lesson=lesson, accept=accept, by=by)

    def say(self, kind: str, subject: str, text: str, thumb: bytes | None = None) -> None:
        """Has the stream publish an event. thumb: a small JPEG."""
        self.ask("say", kind=kind, subject=subject, text=text, thumb=thumb)

    def status(self) -> dict[str, Any]:
        """Which model runs, how the stream is, what it keeps in memory, how its learner is."""
        return self.ask("status")

    def rollback(self) -> int:
        """Makes the store's version before the current one current; its number."""
        return int(self.ask("rollback")["version"])

    def close(self) -> None:
        """Idempotent."""
        self._socket.close(linger=0)
        self._context.destroy(linger=0)

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
