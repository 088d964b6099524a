"""A network camera: Motion JPEG over HTTP on loopback, each picture numbered. Writes down when it sent which.

Pictures are made beforehand, so that serving costs little. Like a camera it does not wait: a picture whose time has come
while the one before is still in the socket is dropped.
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
SEND_BUFFER_BYTES = 256 << 10
"""A few pictures; what waits beyond that waits in the receiver."""
CLOCK = MonotonicClock()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fps", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--log", type=Path, required=True, help="JSON: number -> ns at which it was sent, and drops")
    args = parser.parse_args()
    jpegs = numbered_jpegs(max(round(args.fps * args.seconds), 1))
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


def numbered_jpegs(count: int) -> list[bytes]:
    jpegs = []
    for number, picture in enumerate(pictures(count)):
        paint(picture, number)
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        jpegs.append(jpeg.tobytes())
    return jpegs


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
