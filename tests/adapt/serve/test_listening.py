"""The learner's own reader of the wire, on the golden messages and on rubbish."""

import json
from pathlib import Path

import pytest
import zmq

from cavs.adapt.serve.listening import HeardEvent, HeardHello, HeardMasks, Listening, read_header
from cavs.runtime.errors import WireError

GOLDEN = Path(__file__).parents[2] / "stream" / "golden"


@pytest.mark.parametrize("name", ["masks-bits-zstd", "masks-rle", "masks-raw"])
def test_the_header_of_masks_is_read(name: str) -> None:
    heard = read_header((GOLDEN / f"{name}.bin").read_bytes())
    truth = json.loads((GOLDEN / f"{name}.json").read_text())
    header = truth["header"]
    assert isinstance(heard, HeardMasks)
    assert (heard.stream, heard.seq, heard.t_ns) == (header["stream"], header["seq"], header["t_ns"])
    assert [(thing.cls, thing.area) for thing in heard.objects] == [(one["cls"], one["area"]) for one in header["objects"]]
    assert heard.model.version == header["model"]["version"]
    assert heard.mass == pytest.approx(sum(one["area"] for one in header["objects"]) / (header["size"][0] * header["size"][1]))


def test_hello_and_event_are_read() -> None:
    hello, event = (read_header((GOLDEN / f"{name}.bin").read_bytes()) for name in ("hello", "event"))
    assert isinstance(hello, HeardHello)
    assert hello.number("rss_mib") == 180.5
    assert hello.number("nobody_says_this") is None
    assert isinstance(event, HeardEvent)
    assert (event.kind, event.subject) == ("lost", "camera 0")


def test_rubbish_is_a_wire_error() -> None:
    whole = (GOLDEN / "hello.bin").read_bytes()
    for cut in range(0, len(whole), 7):
        with pytest.raises(WireError):
            read_header(whole[:cut])
    for message in (b"", b"cavs/2/hello/x\0CAV\x02", b"cavs/1/frame/x\0CAV\x01\0\0\0\0", whole.replace(b"CAV\x01", b"CAV\x02")):
        with pytest.raises(WireError):
            read_header(message)


def test_what_is_published_is_heard_in_order_and_rubbish_is_counted() -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    listening = Listening(f"tcp://127.0.0.1:{port}")
    heard: list[object] = []
    for _ in range(200):  # until the subscription has arrived
        for name in ("hello", "event"):
            socket.send((GOLDEN / f"{name}.bin").read_bytes())
        socket.send(b"cavs/1/masks/x\0rubbish")
        listening._socket.poll(50)
        heard += listening.drain()
        if len(heard) >= 4 and listening.malformed:
            break
    listening.close()
    socket.close(linger=0)
    context.destroy(linger=0)
    kinds = [type(one) for one in heard[:4]]
    assert kinds in ([HeardHello, HeardEvent] * 2, [HeardEvent, HeardHello] * 2)
    assert listening.malformed > 0
