"""A network camera: Motion JPEG over HTTP on loopback, each picture numbered. Writes down when it sent which.

Pictures are made beforehand, once for all runs, so that serving costs little. Like a camera it does not wait: a picture
whose time has come while the one before is still in the socket is dropped.
"""

import argparse
import json
import socket
from pathlib import Path

import cv2

from benchmarks.footage import pictures
from benchmarks.painted import paint
from cavs.runtime.clock import NS_PER_S, MonotonicClock

BOUNDARY = b"frame"
QUALITY = 85
LENGTH_BYTES = 4
SEND_BUFFER_BYTES = 256 << 10
"""A few pictures; what waits beyond that waits in the receiver."""
CLOCK = MonotonicClock()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fps", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="a file of `numbered_pictures`")
    parser.add_argument("--log", type=Path, required=True, help="JSON: number -> ns at which it was sent, and drops")
    args = parser.parse_args()
    jpegs = read_pictures(args.pictures, pictures_of(args.fps, args.seconds))
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"port {server.getsockname()[1]}", flush=True)
        client, _ = server.accept()
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=" + BOUNDARY + b"\r\n\r\n")
        sent, dropped = serve(client, jpegs, args.fps)
    args.log.write_text(json.dumps({"sent_ns": sent, "dropped": dropped}))


def pictures_of(fps: float, seconds: float) -> int:
    return max(round(fps * seconds), 1)


def numbered_pictures(folder: Path, count: int) -> Path:
    """A file of JPEGs, each with its length before it; made once per folder and count."""
    path = folder / f"numbered-{count}.jpegs"
    if path.exists():
        return path
    with path.open("wb") as file:
        for number, picture in enumerate(pictures(count)):
            paint(picture, number)
            _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            file.write(len(jpeg).to_bytes(LENGTH_BYTES, "little") + jpeg.tobytes())
    return path


def read_pictures(path: Path, count: int) -> list[bytes]:
    """The first ones of such a file."""
    with path.open("rb") as file:
        return [file.read(int.from_bytes(file.read(LENGTH_BYTES), "little")) for _ in range(count)]


def serve(client: socket.socket, jpegs: list[bytes], fps: float) -> tuple[dict[int, int], int]:
    """Sends each picture at its time; what is not sent when the next is due holds that one up, and it is dropped."""
    sent: dict[int, int] = {}
    dropped = 0
    start_ns, interval_ns = CLOCK.now_ns(), NS_PER_S / fps
    for number, jpeg in enumerate(jpegs):
        due_ns = start_ns + round(number * interval_ns)
        now_ns = CLOCK.now_ns()
        if now_ns > due_ns + interval_ns:
            dropped += 1
            continue
        CLOCK.sleep_ns(due_ns - now_ns)
        head = b"--%b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg))
        sent[number] = CLOCK.now_ns()
        try:
            client.sendall(head + jpeg + b"\r\n")
        except OSError:  # the reader has had enough
            del sent[number]
            break
    return sent, dropped


if __name__ == "__main__":
    main()
