"""What the wire costs: finding objects, writing and reading each encoding, publishing alone and to a crowd.

python scripts/bench_wire.py [--seconds S]      run by hand on a quiet machine
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import get_args

import cv2
import numpy as np
import zmq

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.runtime.engine import Prediction
from cavs.stream.items import StampGrade, VideoFrame, Window
from cavs.stream.masks import Masks, ModelStamp
from cavs.stream.objects import ObjectFinder
from cavs.stream.overlay import draw_overlay
from cavs.stream.payload import Encoding, MaskPacker
from cavs.stream.publisher import Publisher
from cavs.stream.wire import pack_masks, unpack

FPS = 30
CROWD, SILENT = 100, 10
SIZES = ((224, 224), (480, 640), (720, 1280))
CLOCK = MonotonicClock()
MODEL = ModelStamp(bundle="0" * 64, adapter="default", digest="0" * 64)


def prediction(height: int, width: int) -> Prediction:
    """Three objects with ragged edges and specks, as networks make them."""
    labels, side = np.zeros((height, width), np.uint8), min(height, width)
    for label, (x, y), radius in ((2, (0.25, 0.4), 0.17), (5, (0.7, 0.6), 0.2), (1, (0.6, 0.15), 0.08)):
        cv2.circle(labels, (round(x * width), round(y * height)), round(radius * side), label, cv2.FILLED)
    noise = cv2.blur(np.random.default_rng(0).random((height, width)).astype(np.float32), (5, 5))
    labels[noise > 0.62] = 0
    labels[noise < 0.34] = 2
    confidence = np.where(labels > 0, 200, 20).astype(np.uint8)
    return Prediction(labels, confidence, np.linspace(0, 1, 128, dtype=np.float32))


def window(seq: int, height: int, width: int) -> Window:
    t_ns = CLOCK.now_ns()
    frame = VideoFrame(np.zeros((height, width, 3), np.uint8), t_ns, seq)
    return Window(frame, np.zeros(32_000, np.float32), seq, t_ns - 2 * NS_PER_S, t_ns, 0, 0, StampGrade.A)


def times_ms(work: Callable[[], object], repeats: int = 200) -> str:
    took = []
    for _ in range(repeats):
        start_ns = CLOCK.now_ns()
        work()
        took.append((CLOCK.now_ns() - start_ns) / NS_PER_MS)
    return "/".join(f"{value:.3f}" for value in np.percentile(took, [0, 50, 99]))


def show_codecs(height: int, width: int) -> None:
    said = prediction(height, width)
    finder = ObjectFinder({0: "dog", 3: "kettle"})
    objects = finder.find(said)
    print(f"\n{height}x{width}, {len(objects)} objects; ms min/p50/p99")
    print(f"  find objects     {times_ms(lambda: finder.find(said))}")
    masks = Masks("bench", 1, 0, 0, height, width, height, width, 0, 0, MODEL, objects, finder.heard(said))
    for encoding in get_args(Encoding):
        packer = MaskPacker(encoding)
        message = pack_masks(masks, packer)

        def read(message: bytes = message) -> None:
            read = unpack(message)
            assert isinstance(read, Masks)
            for thing in read.objects:
                assert thing.mask.any()

        wrote = times_ms(lambda packer=packer: pack_masks(masks, packer))  # type: ignore[misc]
        print(f"  {encoding:<10}{len(message):>8} bytes   write {wrote}   read {times_ms(read)}")
    picture = np.zeros((height, width, 3), np.uint8)
    print(f"  draw overlay     {times_ms(lambda: draw_overlay(picture, objects, masks.heard, level=-20.0), 50)}")


def show_publishing(seconds: float, crowd: int) -> None:
    said, finder = prediction(224, 224), ObjectFinder({0: "dog"})
    with Publisher("tcp://127.0.0.1:*", "bench", clock=CLOCK) as publisher:
        command = [sys.executable, __file__, "--crowd", publisher.address, str(crowd)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as others:
            try:
                assert others.stdout is not None
                others.stdout.readline()
                publisher.wait_for_watcher(5000)
                took, due_ns = [], CLOCK.now_ns()
                for seq in range(round(seconds * FPS)):
                    due_ns += NS_PER_S // FPS
                    CLOCK.sleep_ns(due_ns - CLOCK.now_ns())
                    objects, cut = finder.find(said), window(seq, 480, 640)
                    start_ns = CLOCK.now_ns()
                    publisher.publish(cut, said, objects, MODEL, {"infer": 1.0}, {"windows_formed": seq})
                    took.append((CLOCK.now_ns() - start_ns) / NS_PER_MS)
            finally:
                others.terminate()
    p50, p99, worst = np.percentile(took[FPS:], [50, 99, 100])
    print(f"  to {crowd:>3} subscribers: p50 {p50:.3f} p99 {p99:.3f} max {worst:.3f} ms")


def be_crowd(address: str, count: int) -> None:
    """Subscribers in one process; every tenth of a hundred never reads."""
    context, poller = zmq.Context(), zmq.Poller()
    sockets = [context.socket(zmq.SUB) for _ in range(count)]
    for k, socket in enumerate(sockets):
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.setsockopt(zmq.RCVHWM, 2)
        socket.connect(address)
        if k >= count * SILENT // CROWD:
            poller.register(socket, zmq.POLLIN)
    print("connected", flush=True)
    while True:
        for socket, _ in poller.poll():
            socket.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each publishing run")
    parser.add_argument("--crowd", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.crowd:
        be_crowd(args.crowd[0], int(args.crowd[1]))
    for height, width in SIZES:
        show_codecs(height, width)
    print(f"\npublish at {FPS} fps, 224x224, of a crowd {SILENT} % never read")
    for crowd in (1, CROWD, 1, CROWD):
        show_publishing(args.seconds, crowd)


if __name__ == "__main__":
    main()
