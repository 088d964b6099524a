"""Many subscribers in one process, some of which never read: what a stream must not notice."""

import argparse
import signal

import zmq

from benchmarks.windows import MASKS_TOPIC

FEW_BYTES = 4096
POLL_MS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--silent", type=int, required=True, help="so many of them never read")
    args = parser.parse_args()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, max(2 * args.count, 1023))
    poller = zmq.Poller()
    sockets: list[zmq.Socket[bytes]] = []
    for index in range(args.count):
        socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        reads = index >= args.silent
        socket.setsockopt(zmq.LINGER, 0)
        if not reads:  # full at once, so that the messages pile up at the publisher
            socket.setsockopt(zmq.RCVHWM, 1)
            socket.setsockopt(zmq.RCVBUF, FEW_BYTES)
        socket.setsockopt(zmq.SUBSCRIBE, MASKS_TOPIC)
        socket.connect(args.address)
        sockets.append(socket)
        if reads:
            poller.register(socket, zmq.POLLIN)
    print("connected", flush=True)
    received = 0
    while not ended:
        for socket, _ in poller.poll(POLL_MS):
            socket.recv(zmq.NOBLOCK)
            received += 1
    context.destroy(linger=0)
    print(f"received {received}", flush=True)


if __name__ == "__main__":
    main()
