"""The loop that one would write without us: cv2, onnxruntime, zmq, one thread. The peer of `scripts/bench peer`.

It does the same work (graph, size, sound, threads) and is left as its libraries come: ONNX Runtime spins while it waits.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import zmq
from safetensors.numpy import load_file

from benchmarks.footage import read_wav
from benchmarks.painted import read
from cavs.runtime.clock import NS_PER_S, MonotonicClock


def main() -> None:
    args = arguments()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    if args.no_spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(args.bundle / "graph.onnx"), options, providers=["CPUExecutionProvider"])
    adapter = load_file(args.bundle / "adapter.safetensors")
    _, height, width, _ = session.get_inputs()[0].shape
    samples = session.get_inputs()[1].shape[1]
    sound = np.concatenate([np.zeros(samples, np.float32), read_wav(args.wav)])  # silence before the first sample
    socket = zmq.Context().socket(zmq.PUB)
    socket.bind(args.bind)
    clock = MonotonicClock()
    capture = cv2.VideoCapture(args.source)
    print("opened", flush=True)
    start_ns, seq = clock.now_ns(), 0
    while True:
        seen, picture = capture.read()
        if not seen:
            break
        number = read(picture.astype(np.uint8, copy=False)) if args.painted else seq
        frame = cv2.cvtColor(cv2.resize(picture, (width, height)), cv2.COLOR_BGR2RGB)
        passed_s = (clock.now_ns() - start_ns) / NS_PER_S if args.painted else seq / args.fps
        last = min(samples + round(passed_s * args.rate_hz), len(sound))
        window = sound[last - samples : last]
        labels, _, presence = session.run(None, {"frame": frame[None], "sound": window[None], **adapter})
        header = {"seq": seq, "number": number, "presence": presence[0].tolist(), "sent_ns": clock.now_ns()}
        socket.send_multipart([json.dumps(header).encode(), labels.tobytes()])
        seq += 1


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
