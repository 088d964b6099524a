"""What the learner hears of a stream: the headers of its messages, docs/wire.md. Masks themselves are not unpacked.

The reader is the learner's own: `adapt` shares no code with `stream`, it reads what any other program could read.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgpack
import zmq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cavs.runtime.curve import load_client_keys
from cavs.runtime.errors import ConfigError, WireError
from cavs.runtime.manifest import what_is_wrong

MAGIC = b"CAV\x01"
PREFIX = b"cavs/1/"
TOPIC_BYTES_MAX = 96
HEADER_BYTES_MAX = 256 << 10
MESSAGE_BYTES_MAX = 64 << 20
QUEUE = 1024
"""Messages that wait while the learner computes: half a minute of a stream."""
_LENGTH = struct.Struct("<I")

Count = Annotated[int, Field(ge=0)]


class _Heard(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class HeardModel(_Heard):
    """Which model spoke. version: in the store, None if it is from none."""

    bundle: str = ""
    digest: str = ""
    version: int | None = None


class HeardObject(_Heard):
    """One sounding thing. row: None if it is of no known class. box: x, y, width, height on the grid."""

    id: int
    row: int | None = None
    cls: str
    score: float
    box: Annotated[tuple[int, int, int, int], Field(strict=False)]
    area: Count


class HeardSound(_Heard):
    """The span of sound that was heard; `missing` samples of it never came."""

    start_ns: int
    end_ns: int
    missing: Count = 0


class HeardMasks(_Heard):
    """One window."""

    stream: str
    seq: int
    t_ns: int
    size: Annotated[tuple[int, int], Field(strict=False)]
    sound: HeardSound
    model: HeardModel
    objects: list[HeardObject] = []
    latency_ms: dict[str, float] = {}
    flags: list[str] = []

    @property
    def mass(self) -> float:
        """Share of the picture that is marked."""
        return sum(thing.area for thing in self.objects) / (self.size[0] * self.size[1])


class HeardHello(_Heard):
    """How the stream is, once a second."""

    stream: str
    model: HeardModel
    fps: float | None = None
    health: dict[str, Any] = {}

    def number(self, name: str) -> float | None:
        """One of its health numbers, if it is there and a number."""
        value = self.health.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class HeardEvent(_Heard):
    """Something changed. kind `model`: subject says how (`taken`, `fell_back`, `refused`, ...)."""

    stream: str
    kind: str
    subject: str
    text: str = ""


Heard = HeardMasks | HeardHello | HeardEvent
_KINDS: dict[bytes, type[HeardMasks] | type[HeardHello] | type[HeardEvent]] = {
    b"masks": HeardMasks,
    b"hello": HeardHello,
    b"event": HeardEvent,
}


class Listening:
    """Subscribes to one stream. One thread; never waits. Reconnects by itself, for ever.

    keys: directory `clients/NAME` made by `cavs-stream keys`, if the stream has keys.
    """

    def __init__(self, address: str, *, keys: Path | None = None) -> None:
        self.address = address
        self.malformed = 0
        own = load_client_keys(keys) if keys is not None else None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        options = {zmq.LINGER: 0, zmq.RCVHWM: QUEUE, zmq.MAXMSGSIZE: MESSAGE_BYTES_MAX, zmq.IPV6: int("[" in address)}
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        if own is not None:
            self._socket.curve_publickey, self._socket.curve_secretkey = own.public, own.secret
            self._socket.curve_serverkey = own.server
        for kind in _KINDS:
            self._socket.setsockopt(zmq.SUBSCRIBE, PREFIX + kind + b"/")
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to {address}: {zmq.strerror(error.errno or 0).lower()}") from None

    def drain(self) -> Iterator[Heard]:
        """All that came since the last call, in order; what cannot be read is counted in `malformed`."""
        while True:
            try:
                message = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                yield read_header(message)
            except WireError:
                self.malformed += 1

    def close(self) -> None:
        """Idempotent."""
        self._socket.close(linger=0)
        self._context.destroy(linger=0)


def read_header(message: bytes) -> Heard:
    """The header of a `masks`, `hello` or `event` message of version 1. Raises WireError for all else."""
    end = message.find(b"\0", 0, TOPIC_BYTES_MAX)
    topic = message[: max(end, 0)]
    kind = _KINDS.get(topic[len(PREFIX) :].partition(b"/")[0]) if topic.startswith(PREFIX) else None
    start = end + 1 + len(MAGIC) + _LENGTH.size
    if kind is None or message[end + 1 : end + 1 + len(MAGIC)] != MAGIC or len(message) < start:
        raise WireError(f"message starts with {message[:24]!r}; masks, hello or event of version 1 expected")
    (length,) = _LENGTH.unpack_from(message, start - _LENGTH.size)
    if length > HEADER_BYTES_MAX or start + length > len(message):
        raise WireError(f"header of {length} bytes in a message of {len(message)}")
    try:
        return kind.model_validate(msgpack.unpackb(message[start : start + length], strict_map_key=True))
    except ValidationError as error:
        raise WireError(f"header of {topic.decode(errors='replace')}: {what_is_wrong(error)}") from None
    # All that msgpack raises for bad bytes; UnicodeDecodeError is a ValueError.
    except (ValueError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"header of {length} bytes is not msgpack: {error}") from None
