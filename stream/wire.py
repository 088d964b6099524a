"""Messages as bytes, version 1. docs/wire.md describes them for readers in other languages.

topic `cavs/1/<kind>/<stream>` + NUL | magic `CAV` + version | header length, u32 little-endian | msgpack header | payload

One part per message, because ZeroMQ's CONFLATE (keep the newest only) does not work with several. The kind stands before
the stream, so that a subscriber to `cavs/1/masks/` gets masks of whatever stream and nothing that could conflate them away.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from cavs.runtime.errors import WireError
from cavs.stream.header import MAX_NAME, MAX_PIXELS, MAX_TEXT, BytesPart, EventHeader, FrameHeader, Hello, MasksHeader
from cavs.stream.items import StampGrade
from cavs.stream.masks import HeardClass, Masks, ModelStamp, SoundingObject
from cavs.stream.payload import MAX_PAYLOAD_BYTES, MaskPacker, Span, unpack_masks

MASKS, HELLO, EVENT, FRAME = "masks", "hello", "event", "frame"
KINDS = (MASKS, HELLO, EVENT, FRAME)
TOPIC_PREFIX = "cavs/1/"
MAGIC = b"CAV\x01"
MAX_TOPIC_BYTES = 96
MAX_HEADER_BYTES = 256 << 10
MAX_MESSAGE_BYTES = MAX_PAYLOAD_BYTES + MAX_HEADER_BYTES + MAX_TOPIC_BYTES
"""Also what a subscriber gives ZeroMQ as the largest message it takes."""

_HEADER_LENGTH = struct.Struct("<I")
_MAX_ITEMS = 1024
_MAX_TEXT_BYTES = 4 * MAX_TEXT
_ModelT = TypeVar("_ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed. kind: `model`, `lost`, `recovered`, `reconnecting`, `ended`, `warning`, `learner`, ...

    text:  one line for a person.
    thumb: a small JPEG of what it is about, or nothing.
    """

    stream: str
    t_ns: int
    kind: str
    subject: str
    text: str = ""
    thumb: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """The picture and the new sound of one window, for those who want to see it. Lossy: never use it for measurement.

    jpeg:    the picture, upright, of the source's size or smaller.
    samples: int16 (N,), mono, since the frame before; `first` is the number of the first on the stream's sound line.
    """

    stream: str
    seq: int
    t_ns: int
    height: int
    width: int
    jpeg: bytes
    samples: npt.NDArray[np.int16]
    rate_hz: int
    first: int


Message = Masks | Hello | Event | Preview


def topic(kind: str, stream: str = "") -> bytes:
    """What a message of this kind starts with; without a stream, the prefix of all streams."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: one of {', '.join(KINDS)} expected")
    return f"{TOPIC_PREFIX}{kind}/{stream}".encode() + (b"\0" if stream else b"")


def pack_masks(masks: Masks, packer: MaskPacker) -> bytes:
    """The message of one window."""
    payload, spans = packer.pack([thing.mask for thing in masks.objects], masks.height, masks.width)
    return _framed(MASKS, masks.stream, _masks_header(masks, packer.encoding, spans), payload)


def pack_hello(hello: Hello) -> bytes:
    return _framed(HELLO, hello.stream, hello.model_dump())


def pack_event(event: Event) -> bytes:
    header: dict[str, Any] = {
        "stream": event.stream,
        "t_ns": event.t_ns,
        "kind": event.kind,
        "subject": event.subject,
        "text": event.text,
    }
    if event.thumb:
        header["thumb"] = {"offset": 0, "bytes": len(event.thumb)}
    return _framed(EVENT, event.stream, header, event.thumb)


def pack_preview(preview: Preview) -> bytes:
    sound = preview.samples.astype("<i2").tobytes()
    header = {
        "stream": preview.stream,
        "seq": preview.seq,
        "t_ns": preview.t_ns,
        "size": [preview.height, preview.width],
        "jpeg": {"offset": 0, "bytes": len(preview.jpeg)},
        "sound": {
            "offset": len(preview.jpeg),
            "bytes": len(sound),
            "rate_hz": preview.rate_hz,
            "first": preview.first,
        },
    }
    return _framed(FRAME, preview.stream, header, preview.jpeg + sound)


def unpack(message: bytes) -> Message:
    """Reads any message. Raises WireError, and nothing else, for whatever is not a well-formed one of version 1."""
    kind, stream, fields, payload = unframe(message)
    if kind == MASKS:
        read: Message = _masks(_checked(MasksHeader, fields), payload)
    elif kind == FRAME:
        read = _preview(_checked(FrameHeader, fields), payload)
    elif kind == EVENT:
        read = _event(_checked(EventHeader, fields), payload)
    elif len(payload):
        raise WireError(f"{kind} message with a payload of {len(payload)} bytes; expected none")
    else:
        read = _checked(Hello, fields)
    if read.stream != stream:
        raise WireError(f"topic is of stream {stream!r}, header of {read.stream!r}; they must be equal")
    return read


def unframe(message: bytes) -> tuple[str, str, dict[str, Any], memoryview]:
    """Kind, stream, unchecked header and payload of a message. Raises WireError."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError(f"message of {len(message)} bytes, at most {MAX_MESSAGE_BYTES} are read")
    end = message.find(b"\0", 0, MAX_TOPIC_BYTES)
    parts = message[: max(end, 0)].split(b"/")
    if end < 0 or len(parts) != 4 or parts[0] != b"cavs":
        raise WireError(f"message starts with {message[:24]!r}, cavs/1/<kind>/<stream> and a zero byte expected")
    magic = message[end + 1 : end + 5]
    if parts[1] != b"1" or magic != MAGIC:
        raise WireError(f"message of version {parts[1]!r} and magic {magic!r}, 1 and {MAGIC!r} are read; update cavs-stream")
    try:
        kind, stream = parts[2].decode("ascii"), parts[3].decode("ascii")
    except UnicodeDecodeError:
        raise WireError(f"topic {message[:end]!r} is not ASCII") from None
    if kind not in KINDS:
        raise WireError(f"message of kind {kind!r}; known: {', '.join(KINDS)}")
    start = end + 1 + len(MAGIC) + _HEADER_LENGTH.size
    if len(message) < start:
        raise WireError(f"message of {len(message)} bytes ends before the length of its header")
    (length,) = _HEADER_LENGTH.unpack_from(message, start - _HEADER_LENGTH.size)
    if length > MAX_HEADER_BYTES or start + length > len(message):
        raise WireError(f"header of {length} bytes, at most {min(MAX_HEADER_BYTES, len(message) - start)} expected here")
    body = memoryview(message)
    return kind, stream, _read_header(body[start : start + length]), body[start + length :]


def _framed(kind: str, stream: str, header: dict[str, Any], payload: bytes = b"") -> bytes:
    packed = msgpack.packb(header)
    return b"".join((topic(kind, stream), MAGIC, _HEADER_LENGTH.pack(len(packed)), packed, payload))


def _read_header(data: memoryview) -> dict[str, Any]:
    try:
        header = msgpack.unpackb(
            data,
            strict_map_key=True,
            max_str_len=_MAX_TEXT_BYTES,
            max_bin_len=_MAX_TEXT_BYTES,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_ext_len=_MAX_TEXT_BYTES,
        )
    # All that msgpack raises for bad bytes; UnicodeDecodeError is a ValueError. OverflowError: a time stamp out of range.
    except (ValueError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"header of {len(data)} bytes is not msgpack: {str(error) or type(error).__name__}") from None
    if not isinstance(header, dict):
        raise WireError(f"header is a msgpack {type(header).__name__}, a map expected")
    return header


def _checked(kind: type[_ModelT], fields: dict[str, Any]) -> _ModelT:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WireError(f"header key {where or '(top)'}: {first['msg']}, seen {str(first['input'])[:80]!r}") from None


def _masks_header(masks: Masks, encoding: str, spans: Sequence[Span]) -> dict[str, Any]:
    model = masks.model
    return {
        "stream": masks.stream,
        "seq": masks.seq,
        "t_ns": masks.t_ns,
        "sent_ns": masks.sent_ns,
        "grade": masks.grade.value,
        "size": [masks.height, masks.width],
        "source": [masks.source_height, masks.source_width],
        "sound": {
            "start_ns": masks.sound_start_ns,
            "end_ns": masks.sound_end_ns,
            "missing": masks.sound_missing,
            "grade": masks.sound_grade.value,
        },
        "skew_ns": masks.skew_ns,
        "model": {
            "bundle": model.bundle,
            "adapter": model.adapter,
            "digest": model.digest,
            "engine": model.engine,
            "version": model.version,
        },
        "encoding": encoding,
        "objects": [_object_part(thing, spans[k] if spans else None) for k, thing in enumerate(masks.objects)],
        "heard": [{"row": heard.row, "cls": heard.cls[:MAX_NAME], "p": heard.probability} for heard in masks.heard],
        "latency_ms": dict(masks.latency_ms),
        "counters": dict(masks.counters),
        "flags": sorted(masks.flags),
    }


def _object_part(thing: SoundingObject, span: Span | None) -> dict[str, Any]:
    part: dict[str, Any] = {
        "id": thing.id,
        "row": thing.row,
        "cls": thing.cls[:MAX_NAME],
        "score": thing.score,
        "box": thing.box,
        "area": thing.area,
    }
    if span is not None:
        part["offset"], part["bytes"] = span
    return part


def _masks(header: MasksHeader, payload: memoryview) -> Masks:
    height, width = header.size
    if height * width > MAX_PIXELS:
        raise WireError(f"grid of {height}x{width}, at most {MAX_PIXELS} pixels are read")
    for part in header.objects:
        x, y, w, h = part.box
        if x + w > width or y + h > height:
            raise WireError(f"object {part.id}: box {part.box} leaves the grid of {height}x{width}")
    spans = [(part.offset, part.bytes) for part in header.objects]
    decoders = unpack_masks(header.encoding, payload, spans, height, width)
    return Masks(
        stream=header.stream,
        seq=header.seq,
        t_ns=header.t_ns,
        sent_ns=header.sent_ns,
        height=height,
        width=width,
        source_height=header.source[0],
        source_width=header.source[1],
        sound_start_ns=header.sound.start_ns,
        sound_end_ns=header.sound.end_ns,
        model=ModelStamp(**header.model.model_dump()),
        objects=tuple(
            SoundingObject(part.id, part.row, part.cls, part.score, part.box, part.area, decode)
            for part, decode in zip(header.objects, decoders, strict=True)
        ),
        heard=tuple(HeardClass(part.row, part.cls, part.p) for part in header.heard),
        sound_missing=header.sound.missing,
        skew_ns=header.skew_ns,
        grade=StampGrade(header.grade),
        sound_grade=StampGrade(header.sound.grade),
        counters=header.counters,
        latency_ms=header.latency_ms,
        flags=frozenset(header.flags),
    )


def _event(header: EventHeader, payload: memoryview) -> Event:
    thumb = b"" if header.thumb is None else bytes(_slice(payload, header.thumb))
    if len(thumb) != len(payload):
        raise WireError(f"event message with a payload of {len(payload)} bytes; expected {len(thumb)}")
    return Event(header.stream, header.t_ns, header.kind, header.subject, header.text, thumb)


def _preview(header: FrameHeader, payload: memoryview) -> Preview:
    sound = _slice(payload, header.sound)
    if len(sound) % 2:
        raise WireError(f"preview sound of {len(sound)} bytes, an even number expected (s16)")
    return Preview(
        stream=header.stream,
        seq=header.seq,
        t_ns=header.t_ns,
        height=header.size[0],
        width=header.size[1],
        jpeg=bytes(_slice(payload, header.jpeg)),
        samples=np.frombuffer(sound, "<i2").astype(np.int16),
        rate_hz=header.sound.rate_hz,
        first=header.sound.first,
    )


def _slice(payload: memoryview, part: BytesPart) -> memoryview:
    if part.offset + part.bytes > len(payload):
        raise WireError(f"bytes {part.offset} to {part.offset + part.bytes} of a payload of {len(payload)}")
    return payload[part.offset : part.offset + part.bytes]
