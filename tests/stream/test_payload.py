"""The encodings of masks: equal after a round trip, and no payload can make a reader take more than the header allows."""

from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from cavs.runtime.errors import WireError
from cavs.stream.payload import MaskPacker, rle_counts, unpack_masks

MASK = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


@given(MASK, st.integers(1, 4), st.sampled_from(["bits+zstd", "rle"]))
@settings(max_examples=100, deadline=None)
def test_overlapping_masks_come_back_equal(mask: Any, count: int, encoding: Any) -> None:
    masks = [np.roll(mask, k, axis=1) for k in range(count)]
    payload, spans = MaskPacker(encoding).pack(masks, *mask.shape)
    decoders = unpack_masks(encoding, memoryview(payload), spans or [(0, 0)] * count, *mask.shape)
    for before, decode in zip(masks, decoders, strict=True):
        assert np.array_equal(decode(), before)


def test_raw_keeps_the_smaller_of_two_masks_that_overlap() -> None:
    large, small = np.ones((3, 4), np.bool_), np.zeros((3, 4), np.bool_)
    small[1, 1:3] = True
    for masks in ([large, small], [small, large]):
        payload, _ = MaskPacker("raw").pack(masks, 3, 4)
        decoded = [decode() for decode in unpack_masks("raw", memoryview(payload), [(0, 0)] * 2, 3, 4)]
        assert sorted(mask.sum() for mask in decoded) == [2, 10]


@pytest.mark.parametrize("encoding", ["bits+zstd", "rle", "raw"])
def test_no_objects_need_no_bytes(encoding: Any) -> None:
    assert MaskPacker(encoding).pack([], 3, 4) == (b"", [])
    assert unpack_masks(encoding, memoryview(b""), [], 3, 4) == []


def test_an_unknown_encoding_is_misuse_when_written_and_a_wire_error_when_read() -> None:
    with pytest.raises(ValueError, match="'png'"):
        MaskPacker("png")  # type: ignore[arg-type]
    with pytest.raises(WireError, match="'png'"):
        unpack_masks("png", memoryview(b""), [(0, 0)], 3, 4)


def bits(count: int, height: int, width: int, payload: bytes) -> None:
    unpack_masks("bits+zstd", memoryview(payload), [(0, 0)] * count, height, width)


def test_a_zstd_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 27))
    assert len(bomb) < 1 << 14
    with pytest.raises(WireError, match="134217728 bytes unpacked, 8 expected"):
        bits(1, 8, 8, bomb)
    with pytest.raises(WireError, match="at most"):
        bits(254, 8192, 8192, bomb)


def test_a_zstd_frame_that_lies_about_its_size_says_none_or_carries_more_is_refused() -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(8))
    without_size = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(8))
    for wrong in (without_size, frame[:-1], frame + b"\0", frame + frame, b"", b"not zstd", frame[:5] + b"\xff" + frame[6:]):
        with pytest.raises(WireError):
            bits(1, 8, 8, wrong)


def encoded(mask: Any) -> bytes:
    return bytes(coco.encode(np.asfortranarray(mask, np.uint8))["counts"])


@given(MASK)
@settings(max_examples=100, deadline=None)
def test_run_lengths_add_up_to_the_mask(mask: Any) -> None:
    counts = rle_counts(encoded(mask))
    assert counts.sum() == mask.size
    assert counts[1::2].sum() == mask.sum()


@pytest.mark.parametrize("text", [b"", b"\0", b"p", b"o", b"0o", b"ooooooo0", b" 1", b"\xff"])
def test_rle_that_ends_inside_a_count_or_holds_other_characters_is_refused(text: bytes) -> None:
    with pytest.raises(WireError, match="RLE"):
        rle_counts(text)


@pytest.mark.parametrize("span", [(0, 100), (3, 1), (1 << 26, 1)])
def test_rle_outside_the_payload_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(WireError, match="the payload has"):
        unpack_masks("rle", memoryview(encoded(np.ones((2, 2)))[:3]), [span], 2, 2)


@given(st.binary(min_size=1, max_size=30).map(lambda raw: bytes(48 + byte % 64 for byte in raw)))
@settings(max_examples=200, deadline=None)
def test_any_rle_text_gives_a_mask_of_the_right_size_or_a_wire_error(text: bytes) -> None:
    try:
        (decode,) = unpack_masks("rle", memoryview(text), [(0, len(text))], 5, 7)
    except WireError:
        return
    assert decode().shape == (5, 7)
