"""The bytes of messages: golden, both ways, and whatever is not a message is refused with WireError and nothing else."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cavs.runtime.errors import WireError
from cavs.stream.header import EventHeader, FrameHeader, Hello, MasksHeader
from cavs.stream.masks import Masks
from cavs.stream.payload import MaskPacker
from cavs.stream.wire import KINDS, MAGIC, Preview, pack_masks, topic, unframe, unpack
from tests.one_window import sample_event, sample_event_with_thumb, sample_hello, sample_masks, sample_preview
from tests.stream.golden.write import messages

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("masks-bits-zstd", "masks-rle", "masks-raw", "hello", "event", "event-thumb", "frame")
PACKED = messages()


def message_of(header: Any, payload: bytes = b"", *, start: bytes = topic("masks", "s"), magic: bytes = MAGIC) -> bytes:
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    return start + magic + struct.pack("<I", len(packed)) + packed + payload


def masks_header(**changes: Any) -> dict[str, Any]:
    """A small correct header, with changes; a change to `...` takes the key out."""
    header: dict[str, Any] = {
        "stream": "s",
        "seq": 1,
        "t_ns": 2,
        "sent_ns": 3,
        "size": [2, 8],
        "source": [4, 16],
        "sound": {"start_ns": 0, "end_ns": 2},
        "model": {"bundle": "b"},
        "encoding": "raw",
        "objects": [],
    }
    return {key: value for key, value in (header | changes).items() if value is not ...}


def one_object(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "row": 0, "cls": "dog", "score": 0.5, "box": [0, 0, 8, 2], "area": 16} | changes


@pytest.mark.parametrize("name", NAMES)
def test_golden_messages_are_read_as_their_json_says(name: str) -> None:
    data, expected = (GOLDEN / f"{name}.bin").read_bytes(), json.loads((GOLDEN / f"{name}.json").read_text())
    kind, stream, header, payload = unframe(data)
    assert f"cavs/1/{kind}/{stream}" == expected["topic"]
    assert header == expected["header"]
    read = unpack(data)
    if isinstance(read, Masks):
        drawn = [["".join("#" if pixel else "." for pixel in row) for row in thing.mask] for thing in read.objects]
        assert drawn == expected["masks"]
    else:
        assert payload.hex() == expected["payload_hex"]


def test_the_page_on_the_wire_shows_the_golden_bytes() -> None:
    block = (DOCS / "wire.md").read_text().split("Byte by byte", 1)[1].split("```")[1]
    shown = re.findall(r"^(?:[0-9a-f]{2}|  )  ((?:[0-9a-f]{2} ?)+)(?:  |$)", block, re.MULTILINE)
    assert bytes.fromhex("".join(shown)) == (GOLDEN / "event.bin").read_bytes()


@pytest.mark.parametrize("name", [name for name in NAMES if "zstd" not in name])
def test_messages_are_written_as_the_golden_bytes(name: str) -> None:
    assert PACKED[name] == (GOLDEN / f"{name}.bin").read_bytes()  # zstd may compress better one day


@pytest.mark.parametrize("encoding", ["bits+zstd", "rle", "raw"])
def test_masks_come_back_as_they_were_sent(encoding: Any) -> None:
    sent = sample_masks()
    read = unpack(pack_masks(sent, MaskPacker(encoding)))
    assert isinstance(read, Masks)
    plain = [name for name in Masks.__dataclass_fields__ if name != "objects"]
    assert [getattr(read, name) for name in plain] == [getattr(sent, name) for name in plain]
    for before, after in zip(sent.objects, read.objects, strict=True):
        assert np.array_equal(before.mask, after.mask)
        for name in ("id", "row", "cls", "score", "box", "area"):
            assert getattr(before, name) == getattr(after, name)


def test_hello_event_and_preview_come_back_as_they_were_sent() -> None:
    assert unpack(PACKED["hello"]) == sample_hello()
    assert unpack(PACKED["event"]) == sample_event()
    assert unpack(PACKED["event-thumb"]) == sample_event_with_thumb()
    read, sent = unpack(PACKED["frame"]), sample_preview()
    assert isinstance(read, Preview)
    assert (read.seq, read.t_ns, read.jpeg, read.rate_hz, read.first) == (
        sent.seq,
        sent.t_ns,
        sent.jpeg,
        sent.rate_hz,
        sent.first,
    )
    assert np.array_equal(read.samples, sent.samples)


def test_keys_of_a_later_version_are_ignored() -> None:
    read = unpack(message_of(masks_header(colour="red", objects=[one_object(depth_m=1.5)]), bytes([1] * 16)))
    assert isinstance(read, Masks)
    assert read.objects[0].mask.all()


def test_a_name_that_is_too_long_for_the_wire_is_cut_rather_than_refused() -> None:
    sent = sample_masks()
    object.__setattr__(sent.objects[0], "cls", "x" * 1000)
    read = unpack(pack_masks(sent, MaskPacker("raw")))
    assert isinstance(read, Masks)
    assert read.objects[0].cls == "x" * 256


def test_the_prefix_of_a_kind_fits_all_streams_and_a_full_topic_only_one() -> None:
    assert PACKED["hello"].startswith(topic("hello"))
    assert PACKED["hello"].startswith(topic("hello", "kitchen-1"))
    assert not PACKED["hello"].startswith(topic("hello", "kitchen"))
    with pytest.raises(ValueError, match="kind 'mask'"):
        topic("mask")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "starts with b''"),
        (b"hello", "a zero byte expected"),
        (b"cavs/1/masks/s" + MAGIC, "a zero byte expected"),
        (b"cavs/2/masks/s\0" + MAGIC, "update cavs-stream"),
        (message_of(masks_header(), magic=b"CAV\x02"), "update cavs-stream"),
        (message_of(masks_header(), start=b"cavs/1/smells/s\0"), "kind 'smells'"),
        (message_of(masks_header(), start=b"cavs/1/masks/\xff\0"), "not ASCII"),
        (message_of(masks_header(), start=b"cavs/1/masks/t\0"), "topic is of stream 't', header of 's'"),
        (topic("masks", "s") + MAGIC + b"\1\0", "ends before the length of its header"),
        (topic("masks", "s") + MAGIC + b"\xff\xff\xff\xff", "header of 4294967295 bytes"),
        (message_of(b"\xc1"), "not msgpack"),
        (message_of(b"\x91" * 3000 + b"\0"), "not msgpack"),
        (message_of(b"\xdf\xff\xff\xff\xff"), "not msgpack"),
        (message_of(b"\xa1\xff"), "not msgpack"),
        (message_of([1, 2]), "a map expected"),
        (message_of({1: 2}), "not msgpack"),
        (message_of(masks_header(seq=...)), "header key seq"),
        (message_of(masks_header(seq=-1)), "header key seq"),
        (message_of(masks_header(seq="1")), "header key seq"),
        (message_of(masks_header(t_ns=1.5)), "header key t_ns"),
        (message_of(masks_header(t_ns=1 << 63)), "header key t_ns"),
        (message_of(masks_header(size=[0, 8])), "header key size.0"),
        (message_of(masks_header(size=[8])), "header key size"),
        (message_of(masks_header(size=[16384, 16384])), "at most"),
        (message_of(masks_header(encoding="png", objects=[one_object()])), "encoding 'png'"),
        (message_of(masks_header(objects=[one_object(score=float("nan"))])), "score"),
        (message_of(masks_header(objects=[one_object(score=1.5)])), "score"),
        (message_of(masks_header(objects=[one_object(box=[1, 0, 8, 2])]), bytes(16)), "leaves the grid"),
        (message_of(masks_header(objects=[one_object(box=[-1, 0, 8, 2])]), bytes(16)), "box"),
        (message_of(masks_header(objects=[one_object()] * 255), bytes(16)), "header key objects"),
        (message_of(masks_header(), b"\0"), "without objects"),
        (message_of(masks_header(objects=[one_object()]), bytes(15)), "raw payload of 15 bytes"),
        (message_of(masks_header(objects=[one_object()]), bytes([2] * 16)), "marks object 2"),
        (PACKED["hello"] + b"\0", "payload of 1 bytes"),
        (PACKED["frame"][:-1], "of a payload of"),
    ],
)
def test_a_malformed_message_is_refused_with_what_is_wrong(data: bytes, says: str) -> None:
    with pytest.raises(WireError) as caught:
        unpack(data)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def read_all(data: bytes) -> None:
    """Reads a message and everything lazy in it; only WireError may come of it."""
    try:
        read = unpack(data)
    except WireError:
        return
    if isinstance(read, Masks):
        for thing in read.objects:
            assert thing.mask.shape == (read.height, read.width)
            assert thing.mask.dtype == np.bool_
        read.label_map()


@given(st.sampled_from(NAMES), st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bits_raise_wire_error_or_nothing(name: str, data: st.DataObject) -> None:
    damaged = bytearray(PACKED[name])
    for place in data.draw(st.lists(st.integers(0, 8 * len(damaged) - 1), min_size=1, max_size=8)):
        damaged[place // 8] ^= 1 << place % 8
    read_all(bytes(damaged))


@given(st.sampled_from(NAMES), st.data())
@settings(max_examples=100, deadline=None)
def test_a_message_that_is_cut_off_or_spliced_raises_wire_error_or_nothing(name: str, data: st.DataObject) -> None:
    whole = PACKED[name]
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))
    read_all(whole[:start])
    read_all(whole[:start] + data.draw(st.binary(max_size=64)) + whole[end:])


@given(st.binary(max_size=400), st.sampled_from(KINDS))
@example(b"\x80", "masks")
@settings(max_examples=150, deadline=None)
def test_any_bytes_raise_wire_error_or_nothing(noise: bytes, kind: str) -> None:
    read_all(noise)
    read_all(topic(kind, "s") + MAGIC + noise)
    read_all(message_of(noise, start=topic(kind, "s")))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(sorted(masks_header())), ANYTHING, st.binary(max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_value_under_any_key_raises_wire_error_or_nothing(key: str, value: Any, payload: bytes) -> None:
    read_all(message_of(masks_header(**{key: value}), payload))
    read_all(message_of(masks_header(objects=[one_object(**{key: value})]), payload))


@pytest.mark.parametrize(("keep", "more"), [(-1, b""), (None, b"x")])
def test_an_event_whose_picture_is_cut_off_or_too_long_is_refused(keep: int | None, more: bytes) -> None:
    with pytest.raises(WireError, match="payload of"):
        unpack(PACKED["event-thumb"][:keep] + more)


def test_an_event_with_a_payload_that_its_header_does_not_name_is_refused() -> None:
    with pytest.raises(WireError, match="event message with a payload of 1 bytes; expected 0"):
        unpack(PACKED["event"] + b"x")


def test_the_published_json_schema_names_the_keys_that_are_read() -> None:
    published = json.loads((DOCS / "wire.schema.json").read_text())["$defs"]
    for model in (MasksHeader, Hello, EventHeader, FrameHeader):
        expected = model.model_json_schema()
        assert published[model.__name__]["properties"].keys() == expected["properties"].keys()
        assert published[model.__name__]["required"] == expected["required"]
