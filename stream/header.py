"""The headers of the wire, version 1: what each key is and may be. Unknown keys are ignored, wrong ones refused."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cavs.stream.payload import MAX_OBJECTS_ON_WIRE, MAX_PAYLOAD_BYTES

MAX_SIDE_PX = 16384
MAX_PIXELS = 1 << 26
"""Pixels of a mask grid or a picture; 8192 x 8192."""

STREAM_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_NAME = 256
MAX_TEXT = 4096

Name = Annotated[str, Field(max_length=MAX_NAME)]
StreamName = Annotated[str, Field(pattern=f"^{STREAM_NAME.pattern}$")]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
Nanoseconds = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Offset = Annotated[int, Field(ge=0, le=MAX_PAYLOAD_BYTES)]
Probability = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=-1e9, le=1e9)]
Grade = Literal["A", "B", "C"]
Size = Annotated[tuple[Side, Side], Field(strict=False)]
"""Height, width."""
Counters = Annotated[dict[Name, Count], Field(max_length=256)]


class _Part(BaseModel):
    # strict: "1" is no number and true is no count. Tuples are the exception, because msgpack has only lists.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class ModelPart(_Part):
    """Which model said it."""

    bundle: Name
    adapter: Name = ""
    digest: Name = ""
    engine: Name = ""
    version: Count | None = None


class SoundPart(_Part):
    """The span of sound that was heard; `missing` samples of it never came and are zero."""

    start_ns: Nanoseconds
    end_ns: Nanoseconds
    missing: Count = 0
    grade: Grade = "A"


class ObjectPart(_Part):
    """One sounding object. box: x, y, width, height on the grid. offset, bytes: its mask in an `rle` payload."""

    id: Count
    row: Annotated[int, Field(ge=0, le=253)] | None = None
    cls: Name
    score: Probability
    box: Annotated[tuple[Count, Count, Side, Side], Field(strict=False)]
    area: Count
    offset: Offset = 0
    bytes: Offset = 0


class HeardPart(_Part):
    """A class whose sound is heard."""

    row: Annotated[int, Field(ge=0, le=253)]
    cls: Name
    p: Probability


class MasksHeader(_Part):
    """Header of `masks`: one window. size: of the grid of the masks; source: of the frame they were cut from."""

    stream: StreamName
    seq: Count
    t_ns: Nanoseconds
    sent_ns: Nanoseconds
    grade: Grade = "A"
    size: Size
    source: Size
    sound: SoundPart
    skew_ns: Nanoseconds = 0
    model: ModelPart
    encoding: Name
    objects: Annotated[list[ObjectPart], Field(max_length=MAX_OBJECTS_ON_WIRE)] = []
    heard: Annotated[list[HeardPart], Field(max_length=256)] = []
    latency_ms: Annotated[dict[Name, Milliseconds], Field(max_length=64)] = {}
    counters: Counters = {}
    flags: Annotated[list[Name], Field(max_length=64)] = []


class SoundFormat(_Part):
    """What the model listens to."""

    rate_hz: Annotated[int, Field(ge=1, le=1_000_000)]
    samples: Annotated[int, Field(ge=1, le=1 << 26)]
    lookahead_samples: Count = 0


class ClassPart(_Part):
    """A row of the class table and its name."""

    row: Annotated[int, Field(ge=0, le=253)]
    cls: Name


Health = Annotated[dict[Name, float | int | str | bool | None], Field(max_length=256)]
"""Once-a-second numbers of the stream by name, such as `fps`, `latency_p99_ms`, `rss_mib`, `drift_ppm`."""


class Hello(_Part):
    """`hello`: who speaks, once a second, so that a late joiner knows what it sees.

    boot_id: of the publisher's machine; times can be compared with one's own monotonic clock only where it is equal.
    preview: whether pictures and sound are sent to those who subscribe to `frame`.
    """

    stream: StreamName
    t_ns: Nanoseconds
    software: Name
    boot_id: Name = ""
    model: ModelPart
    classes: Annotated[list[ClassPart], Field(max_length=254)] = []
    size: Size
    source: Size | None = None
    fps: Annotated[float, Field(ge=0, le=1e6)] | None = None
    sound: SoundFormat
    encoding: Name
    preview: bool = False
    health: Health = {}


class BytesPart(_Part):
    """Where something lies in the payload."""

    offset: Offset
    bytes: Offset


class EventHeader(_Part):
    """Header of `event`: something changed. kind: `model`, `lost`, `recovered`, `reconnecting`, `ended`, `warning`, ...

    thumb: a small JPEG in the payload, if there is one.
    """

    stream: StreamName
    t_ns: Nanoseconds
    kind: Name
    subject: Name
    text: Text = ""
    thumb: BytesPart | None = None


class PreviewSound(BytesPart):
    """Mono s16 little-endian: the samples since the frame before. first: number of the first on the stream's sound line."""

    rate_hz: Annotated[int, Field(ge=1, le=1_000_000)]
    first: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class FrameHeader(_Part):
    """Header of `frame`: the JPEG picture and the new sound of the window with the same seq; sent only when asked for."""

    stream: StreamName
    seq: Count
    t_ns: Nanoseconds
    size: Size
    jpeg: BytesPart
    sound: PreviewSound
