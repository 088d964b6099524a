"""The bytes of masks: three encodings, each written fast and read with suspicion."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import zstandard

from cavs.runtime.errors import WireError
from cavs.stream.masks import Mask

Encoding = Literal["bits+zstd", "rle", "raw"]
DEFAULT_ENCODING: Encoding = "bits+zstd"

ZSTD_LEVEL = 1
MAX_PAYLOAD_BYTES = 64 << 20
"""Bytes of a payload, packed or unpacked: a reader never allocates more for one message."""
MAX_OBJECTS_ON_WIRE = 254
"""`raw` numbers objects in one byte and keeps 0 for "none" and 255 free."""

RLE_FIRST_CHAR = 48
RLE_MORE, RLE_SIGN, RLE_DATA = 0x20, 0x10, 0x1F
RLE_MAX_CHARS = 7
"""Characters of one count: 5 bits each, and the grid has fewer than 2^32 pixels."""

Span = tuple[int, int]
"""Offset and length of one mask in an `rle` payload."""


class MaskPacker:
    """Writes the masks of one message. Keeps the compressor's memory, so one per thread."""

    def __init__(self, encoding: Encoding = DEFAULT_ENCODING) -> None:
        if encoding not in ("bits+zstd", "rle", "raw"):
            raise ValueError(f"encoding {encoding!r}: bits+zstd, rle or raw expected")
        self.encoding: Encoding = encoding
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)

    def pack(self, masks: Sequence[Mask], height: int, width: int) -> tuple[bytes, list[Span]]:
        """The payload, and for `rle` where each mask lies in it. masks: bool (height, width) each."""
        if not masks:
            return b"", []
        if self.encoding == "raw":
            numbers = np.zeros((height, width), np.uint8)
            for k in sorted(range(len(masks)), key=lambda k: -np.count_nonzero(masks[k])):  # the smaller lies on top
                numbers[masks[k]] = k + 1
            return numbers.tobytes(), []
        if self.encoding == "rle":
            return _pack_rle(masks)
        bits = b"".join(np.packbits(mask).tobytes() for mask in masks)
        return self._compressor.compress(bits), []


def unpack_masks(
    encoding: str, payload: memoryview, spans: Sequence[Span], height: int, width: int
) -> list[Callable[[], Mask]]:
    """A function per object that makes its mask. All checks are done here: the functions cannot fail.

    spans: one per object, where its mask lies; used by `rle` only. Raises WireError.
    """
    count = len(spans)
    if count == 0:
        if len(payload):
            raise WireError(f"payload of {len(payload)} bytes without objects; expected none")
        return []
    if encoding == "raw":
        return _unpack_raw(payload, count, height, width)
    if encoding == "rle":
        return [_unpack_rle(payload, span, height, width) for span in spans]
    if encoding == "bits+zstd":
        return _unpack_bits(payload, count, height, width)
    raise WireError(f"encoding {encoding!r} is not known; known: bits+zstd, rle, raw")


def _unpack_raw(payload: memoryview, count: int, height: int, width: int) -> list[Callable[[], Mask]]:
    if len(payload) != height * width:
        raise WireError(f"raw payload of {len(payload)} bytes, {height}x{width} = {height * width} expected")
    numbers = np.frombuffer(payload, np.uint8).reshape(height, width)
    highest = int(numbers.max(initial=0))
    if highest > count:
        raise WireError(f"raw payload marks object {highest}, the header lists {count}")

    def nth(k: int) -> Callable[[], Mask]:
        return lambda: numbers == k + 1

    return [nth(k) for k in range(count)]


def _unpack_bits(payload: memoryview, count: int, height: int, width: int) -> list[Callable[[], Mask]]:
    pixels = height * width
    stride = (pixels + 7) // 8
    bits = np.frombuffer(_decompress(payload, count * stride), np.uint8)

    def nth(k: int) -> Callable[[], Mask]:
        part = bits[k * stride : (k + 1) * stride]
        return lambda: np.unpackbits(part, count=pixels).view(np.bool_).reshape(height, width)

    return [nth(k) for k in range(count)]


def _decompress(payload: memoryview, expected_bytes: int) -> bytes:
    """One zstd frame that says it holds exactly what is expected; the claim is checked before anything is allocated."""
    if expected_bytes > MAX_PAYLOAD_BYTES:
        raise WireError(f"masks of {expected_bytes} bytes unpacked, at most {MAX_PAYLOAD_BYTES} are read")
    try:
        claimed = zstandard.frame_content_size(payload)
        if claimed != expected_bytes:
            raise WireError(f"zstd frame of {claimed} bytes unpacked, {expected_bytes} expected from the header")
        data = zstandard.ZstdDecompressor().decompress(payload, max_output_size=expected_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise WireError(f"payload is not one zstd frame: {error}") from None
    if len(data) != expected_bytes:
        raise WireError(f"zstd frame of {len(data)} bytes unpacked, {expected_bytes} expected from the header")
    return data


def _pack_rle(masks: Sequence[Mask]) -> tuple[bytes, list[Span]]:
    from pycocotools import mask as coco

    parts = [coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"] for mask in masks]
    spans, offset = [], 0
    for part in parts:
        spans.append((offset, len(part)))
        offset += len(part)
    return b"".join(parts), spans


def _unpack_rle(payload: memoryview, span: Span, height: int, width: int) -> Callable[[], Mask]:
    offset, length = span
    if offset + length > len(payload):
        raise WireError(f"mask at bytes {offset} to {offset + length}, the payload has {len(payload)}")
    counts = rle_counts(bytes(payload[offset : offset + length]))
    total = int(counts.sum())
    if np.any(counts < 0) or np.any(counts > height * width) or total != height * width:
        raise WireError(f"RLE of {total} pixels, {height}x{width} = {height * width} expected")

    def mask() -> Mask:
        values = (np.arange(len(counts)) % 2).astype(np.bool_)  # the first run is of pixels that are off
        return np.ascontiguousarray(np.repeat(values, counts).reshape(width, height).T)  # runs go down the columns

    return mask


def rle_counts(text: bytes) -> npt.NDArray[np.int64]:
    """The run lengths of a COCO compressed RLE. Raises WireError where the C decoder would read past the end.

    A count is written in groups of 5 bits, lowest first, bit 6 says that more follow, the highest bit of the last group is
    the sign; from the fourth count on it is the difference to the count two places before that is written.
    """
    groups = np.frombuffer(text, np.uint8).astype(np.int64) - RLE_FIRST_CHAR
    if len(groups) == 0 or groups.min() < 0 or groups.max() >= 2 * RLE_MORE or groups[-1] & RLE_MORE:
        raise WireError(f"RLE of {len(text)} characters is empty, cut off or holds a character outside '0' to 'o'")
    ends = np.flatnonzero((groups & RLE_MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if int(lengths.max()) > RLE_MAX_CHARS:
        raise WireError(f"RLE count of {int(lengths.max())} characters, at most {RLE_MAX_CHARS} expected")
    places = np.arange(len(groups)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((groups & RLE_DATA) << (5 * places), starts)
    counts -= np.where(groups[ends] & RLE_SIGN, np.int64(1) << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
