"""The loop that one would write without us: cv2, onnxruntime, zmq, one thread. The peer of `scripts/bench peer`.

It does the same work (graph, size, sound, threads) and is left as its libraries come: ONNX Runtime spins while it waits.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
import zmq
from safetensors.numpy import load_file

from benchmarks.footage import read_wav
from benchmarks.painted import read
from cavs.runtime.clock import NS_PER_S, MonotonicClock


class Work:
    """What is done with one picture: resize, the sound up to its time, the graph, the message. Equal in all loops of others."""

    def __init__(self, args: argparse.Namespace) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        if args.no_spin:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(args.bundle / "graph.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._adapter = load_file(args.bundle / "adapter.safetensors")
        _, self._height, self._width, _ = self._session.get_inputs()[0].shape
        self._samples = self._session.get_inputs()[1].shape[1]
        # silence before the first sample
        self._sound = np.concatenate([np.zeros(self._samples, np.float32), read_wav(args.wav)])
        self._args, self._clock = args, MonotonicClock()
        self._start_ns: int | None = None
        self._seq = 0

    def on(self, picture: npt.NDArray[np.uint8]) -> list[bytes]:
        """The message of the next picture, BGR."""
        if self._start_ns is None:
            self._start_ns = self._clock.now_ns()
        args, seq, clock = self._args, self._seq, self._clock
        self._seq += 1
        number = read(picture) if args.painted else seq
        frame = cv2.cvtColor(cv2.resize(picture, (self._width, self._height)), cv2.COLOR_BGR2RGB)
        passed_s = (clock.now_ns() - self._start_ns) / NS_PER_S if args.painted else seq / args.fps
        last = min(self._samples + round(passed_s * args.rate_hz), len(self._sound))
        window = self._sound[last - self._samples : last]
        fed: dict[str, Any] = {"frame": frame[None], "sound": window[None], **self._adapter}
        labels, _, presence = self._session.run(None, fed)
        header = {"seq": seq, "number": number, "presence": presence[0].tolist(), "sent_ns": clock.now_ns()}
        return [json.dumps(header).encode(), labels.tobytes()]


def bound(address: str) -> "zmq.Socket[bytes]":
    socket = zmq.Context().socket(zmq.PUB)
    socket.bind(address)
    return socket


def main() -> None:
    args = arguments()
    work, socket = Work(args), bound(args.bind)
    capture = cv2.VideoCapture(args.source)
    print("opened", flush=True)
    while True:
        seen, picture = capture.read()
        if not seen:
            break
        socket.send_multipart(work.on(picture.astype(np.uint8, copy=False)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--wav", type=Path, required=True)
    parser.add_argument("--bind", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--rate-hz", type=int, default=16_000)
    parser.add_argument("--painted", action="store_true", help="a live source whose pictures carry their number")
    parser.add_argument("--no-spin", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
