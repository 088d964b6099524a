"""Masks arrive here: `for masks in Subscriber("tcp://127.0.0.1:5555")`."""

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType

import zmq
import zmq.utils.monitor

from cavs.runtime.clock import NS_PER_MS, Clock, MonotonicClock
from cavs.runtime.curve import ClientKeys, load_client_keys
from cavs.runtime.errors import ConfigError, WireError
from cavs.stream.address import check_address
from cavs.stream.masks import Masks
from cavs.stream.wire import KINDS, MASKS, MAX_MESSAGE_BYTES, Message, topic, unpack

RECEIVE_QUEUE = 256
"""Messages kept for a reader of every message that is slower than the stream; what comes on top is lost, and counted."""
HEARTBEAT_MS, HEARTBEAT_LOST_MS = 1000, 4000
RECONNECT_MS, RECONNECT_MOST_MS = 100, 2000
_REFUSALS = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_WATCHED = _REFUSALS | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


class StreamSilent(WireError):
    """Nothing came within the time that the caller was ready to wait. Receiving again may succeed."""


class Subscriber:
    """Receives what one stream publishes. One thread. Reconnects by itself, for ever.

    address:     as given to `cavs-stream --bind`; a stream need not be there yet.
    stream:      name of the stream; None takes masks of any.
    newest_only: True: the newest masks, older unread ones are skipped (what a robot wants). False: every message in order.
    timeout_ms:  iterating raises StreamSilent after so long without a message; None waits for ever.
    keys:        directory `clients/NAME` made by `cavs-stream keys`, if the stream has keys.
    kinds:       what to receive: `masks`, `hello`, `event`, `frame`; `receive` and `messages` give them all.
    strict:      True: a malformed message raises WireError. False: it is skipped and counted in `malformed`.
    """

    def __init__(
        self,
        address: str,
        *,
        stream: str | None = None,
        newest_only: bool = True,
        timeout_ms: int | None = None,
        keys: Path | None = None,
        kinds: Collection[str] = (MASKS,),
        strict: bool = False,
        clock: Clock | None = None,
    ) -> None:
        check_address(address)
        unknown = set(kinds) - set(KINDS)
        if unknown or not kinds:
            raise ValueError(f"kinds={list(kinds)}: some of {', '.join(KINDS)} expected")
        if timeout_ms is not None and timeout_ms < 0:
            raise ValueError(f"timeout_ms={timeout_ms}: None or 0 and more expected")
        self.address = address
        self.timeout_ms = timeout_ms
        self.received = 0
        self.malformed = 0
        self.missed = 0
        """Windows published that this subscriber did not read, by the gaps in seq."""
        self._strict = strict
        self._stream = stream
        self._clock = clock if clock is not None else MonotonicClock()
        self._last_seq: dict[str, int] = {}
        self._state = 0
        self._has_keys = keys is not None
        self._sockets: list[zmq.Socket[bytes]] = []
        self._context = zmq.Context()
        try:
            own = load_client_keys(keys) if keys is not None else None
            newest = {MASKS} & set(kinds) if newest_only else set()  # others would push masks out of a queue of one
            for group in (newest, set(kinds) - newest):
                if group:
                    self._sockets.append(self._connect(group, own, conflate=group is newest))
            self._monitor = self._sockets[0].get_monitor_socket(_WATCHED)
            for socket in self._sockets:
                socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to {address}: {zmq.strerror(error.errno or 0).lower()}") from None
        except BaseException:
            self.close()
            raise
        self._poller = zmq.Poller()
        for socket in self._sockets:
            self._poller.register(socket, zmq.POLLIN)

    def __iter__(self) -> Iterator[Masks]:
        """Masks for ever. Raises StreamSilent after `timeout_ms`, WireError for malformed messages if `strict`."""
        for message in self.messages():
            if isinstance(message, Masks):
                yield message

    def messages(self) -> Iterator[Message]:
        """Every message of the kinds asked for, for ever. Raises as iterating does."""
        while True:
            message = self.receive(self.timeout_ms)
            if message is None:
                raise StreamSilent(f"{self.address}: no message for {self.timeout_ms} ms; {self.why_silent()}")
            yield message

    def receive(self, timeout_ms: int | None = None) -> Message | None:
        """The next message, or None after `timeout_ms` (None: waits for ever). Raises WireError only if `strict`."""
        deadline_ns = None if timeout_ms is None else self._clock.now_ns() + timeout_ms * NS_PER_MS
        while True:
            wait_ms = None if deadline_ns is None else max(0, (deadline_ns - self._clock.now_ns()) // NS_PER_MS)
            ready = dict(self._poller.poll(wait_ms))
            if not ready:
                return None
            for socket in self._sockets:
                if socket in ready:
                    message = self._read(socket.recv())
                    if message is not None:
                        return message

    def close(self) -> None:
        """Idempotent."""
        for socket in self._sockets:
            socket.close(linger=0)
        self._context.destroy(linger=0)

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _connect(self, kinds: Collection[str], own: ClientKeys | None, *, conflate: bool) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        options = {
            zmq.LINGER: 0,
            zmq.CONFLATE: int(conflate),
            zmq.RCVHWM: RECEIVE_QUEUE,
            zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_LOST_MS,
            zmq.RECONNECT_IVL: RECONNECT_MS,
            zmq.RECONNECT_IVL_MAX: RECONNECT_MOST_MS,
            zmq.IPV6: int("[" in self.address),
        }
        for option, value in options.items():
            socket.setsockopt(option, value)
        if own is not None:
            socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = own.public, own.secret, own.server
        for kind in sorted(
            kinds, key=lambda kind: kind == MASKS
        ):  # masks last: a stream that waits for a watcher waits for them
            socket.setsockopt(zmq.SUBSCRIBE, topic(kind, self._stream or ""))
        return socket

    def _read(self, data: bytes) -> Message | None:
        try:
            message = unpack(data)
        except WireError:
            self.malformed += 1
            if self._strict:
                raise
            return None
        self.received += 1
        if isinstance(message, Masks):
            self._count_missed(message)
        return message

    def _count_missed(self, masks: Masks) -> None:
        last, self._last_seq[masks.stream] = self._last_seq.get(masks.stream), masks.seq
        if last is not None and masks.seq > last:  # a smaller one is a stream that started again
            self.missed += masks.seq - last - 1

    def why_silent(self) -> str:
        """What the connection went through, as advice."""
        while self._monitor.poll(0):
            event = int(zmq.utils.monitor.recv_monitor_message(self._monitor)["event"])
            if event != zmq.EVENT_DISCONNECTED or self._state == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._state = event
        if self._state == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            named = f" named {self._stream!r}" if self._stream else ""
            return f"connected, but no stream{named} publishes here now"
        if self._state & _REFUSALS:
            keys = "are these keys allowed there, and is the server key its own?" if self._has_keys else "does it need --keys?"
            return f"the stream refused the connection: {keys}"
        return "is cavs-stream running with this --bind?"
