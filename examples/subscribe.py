"""Reads the masks of a cavs stream with nothing of ours: pip install pyzmq msgpack zstandard numpy

python subscribe.py [tcp://127.0.0.1:5555] [number of windows]
"""

import struct
import sys

import msgpack
import numpy as np
import zmq
import zstandard

MAGIC = b"CAV\x01"


def read(message):
    """Header (dict) and payload (bytes) of any message of wire version 1."""
    _topic, rest = message.split(b"\0", 1)
    if rest[:4] != MAGIC:
        raise ValueError(f"magic {rest[:4]!r}, {MAGIC!r} expected")
    (length,) = struct.unpack_from("<I", rest, 4)
    return msgpack.unpackb(rest[8 : 8 + length]), rest[8 + length :]


def masks_of(header, payload):
    """One bool array (height, width) for each object of the header."""
    height, width = header["size"]
    count = len(header["objects"])
    if count == 0:
        return []
    if header["encoding"] == "raw":
        numbers = np.frombuffer(payload, np.uint8).reshape(height, width)
        return [numbers == k + 1 for k in range(count)]
    if header["encoding"] == "bits+zstd":
        stride = (height * width + 7) // 8
        bits = np.frombuffer(zstandard.decompress(payload, max_output_size=count * stride), np.uint8)
        rows = bits.reshape(count, stride)
        return [np.unpackbits(row, count=height * width).reshape(height, width).astype(bool) for row in rows]
    raise ValueError(f"encoding {header['encoding']}: start the stream with --encoding bits+zstd or raw")


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"
    windows = int(sys.argv[2]) if len(sys.argv) > 2 else None
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.CONFLATE, 1)  # the newest only; works because a message is one part
    socket.subscribe(b"cavs/1/masks/")
    socket.connect(address)
    while windows is None or windows > 0:
        header, payload = read(socket.recv())
        for thing, mask in zip(header["objects"], masks_of(header, payload), strict=True):
            x, y, width, height = thing["box"]
            print(
                f"{header['seq']}: object {thing['id']} {thing['cls']} {thing['score']:.2f}"
                f" at {x},{y} {width}x{height}, {np.count_nonzero(mask)} pixels",
                flush=True,
            )
        if windows is not None:
            windows -= 1


if __name__ == "__main__":
    main()
