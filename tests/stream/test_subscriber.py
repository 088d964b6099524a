"""The subscriber: the newest or all, time-outs, damaged messages, streams that go and come back."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

import cavs.stream
from cavs.runtime.errors import ConfigError, WireError
from cavs.stream.masks import Masks
from cavs.stream.payload import MaskPacker
from cavs.stream.subscriber import StreamSilent, Subscriber
from cavs.stream.wire import pack_event, pack_masks
from tests.one_window import sample_event, sample_masks

SOON_MS = 10_000
NEVER_MS = 50


class Outlet:
    """A socket on an ipc path that sends what a test wants sent."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.bind(address)

    def wait_for(self, subscriptions: int = 1) -> None:
        for _ in range(subscriptions):
            assert self._socket.poll(SOON_MS), "nobody subscribed"
            self._socket.recv()

    def subscribed(self) -> bool:
        return bool(self._socket.poll(0))

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self._socket.send(message)

    def close(self) -> None:
        self._socket.close(linger=1000)
        self._context.term()


@pytest.fixture
def outlet(tmp_path: Path) -> Iterator[Outlet]:
    made = Outlet(f"ipc://{tmp_path}/masks")
    yield made
    made.close()


def masks(seq: int, stream: str = "kitchen-1") -> bytes:
    return pack_masks(dataclasses.replace(sample_masks(), seq=seq, stream=stream), MaskPacker())


def seqs(subscriber: Subscriber, count: int) -> list[int]:
    found = []
    for message in subscriber:
        found.append(message.seq)
        if len(found) == count:
            break
    return found


def test_it_can_be_imported_from_the_room() -> None:
    assert cavs.stream.Subscriber is Subscriber
    assert cavs.stream.Masks is Masks


def test_every_message_mode_gives_all_in_order_and_counts_what_is_missing(outlet: Outlet) -> None:
    with Subscriber(outlet.address, newest_only=False, timeout_ms=SOON_MS) as subscriber:
        outlet.wait_for()
        outlet.send(masks(1), masks(2), masks(5))
        assert seqs(subscriber, 3) == [1, 2, 5]
        assert (subscriber.received, subscriber.missed) == (3, 2)
        outlet.send(masks(0), masks(1))  # the stream began again
        assert seqs(subscriber, 2) == [0, 1]
        assert subscriber.missed == 2


def test_newest_only_skips_what_was_not_read_in_time(outlet: Outlet) -> None:
    with Subscriber(outlet.address, timeout_ms=SOON_MS) as subscriber:
        outlet.wait_for()
        outlet.send(*(masks(seq) for seq in range(200)))
        found = seqs(subscriber, 1)
        while found[-1] < 199:
            found += seqs(subscriber, 1)
        assert found == sorted(found)
        assert len(found) < 200
        assert subscriber.missed == found[-1] - found[0] + 1 - len(found)


def test_newest_only_does_not_lose_events_to_masks(outlet: Outlet) -> None:
    with Subscriber(outlet.address, kinds=("masks", "event"), timeout_ms=SOON_MS) as subscriber:
        outlet.wait_for(2)
        outlet.send(pack_event(sample_event()), *(masks(seq) for seq in range(50)), pack_event(sample_event()))
        events = 0
        while events < 2:
            message = subscriber.receive(SOON_MS)
            assert message is not None
            events += message == sample_event()


def test_only_the_named_stream_is_received(outlet: Outlet) -> None:
    with Subscriber(outlet.address, stream="kitchen-1", newest_only=False, timeout_ms=SOON_MS) as subscriber:
        outlet.wait_for()
        outlet.send(masks(1, "kitchen-10"), masks(2, "kitchen"), masks(3))
        assert seqs(subscriber, 1) == [3]


def test_silence_raises_when_iterating_and_is_none_when_receiving_and_both_go_on_afterwards(outlet: Outlet) -> None:
    with Subscriber(outlet.address, timeout_ms=NEVER_MS) as subscriber:
        outlet.wait_for()
        with pytest.raises(StreamSilent, match=f"no message for {NEVER_MS} ms; connected, but"):
            next(iter(subscriber))
        assert subscriber.receive(0) is None
        outlet.send(masks(4))
        received = subscriber.receive(SOON_MS)
        assert isinstance(received, Masks)
        assert received.seq == 4


def test_an_address_where_nobody_publishes_says_so(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/nobody"
    with Subscriber(address, timeout_ms=NEVER_MS) as subscriber, pytest.raises(StreamSilent, match="with this --bind"):
        next(iter(subscriber))


DAMAGED = b"cavs/1/masks/kitchen-1\0CAV\x01\xff\xff\xff\xff"


def test_damaged_messages_are_skipped_and_counted(outlet: Outlet) -> None:
    with Subscriber(outlet.address, newest_only=False, timeout_ms=SOON_MS) as subscriber:
        outlet.wait_for()
        outlet.send(DAMAGED, masks(1)[:-3], masks(2))
        assert seqs(subscriber, 1) == [2]
        assert (subscriber.malformed, subscriber.received) == (2, 1)


def test_a_flood_of_damaged_messages_does_not_outlast_the_timeout(outlet: Outlet) -> None:
    with Subscriber(outlet.address, newest_only=False) as subscriber:
        outlet.wait_for()
        outlet.send(*[DAMAGED] * 20)
        assert subscriber.receive(NEVER_MS) is None


def test_strict_raises_on_a_damaged_message_and_reads_on(outlet: Outlet) -> None:
    with Subscriber(outlet.address, newest_only=False, timeout_ms=SOON_MS, strict=True) as subscriber:
        outlet.wait_for()
        outlet.send(DAMAGED, masks(2))
        with pytest.raises(WireError, match="header of 4294967295 bytes"):
            next(iter(subscriber))
        assert seqs(subscriber, 1) == [2]


def test_a_stream_that_goes_and_comes_back_is_received_again(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/masks"
    first = Outlet(address)
    with Subscriber(address, newest_only=False, timeout_ms=SOON_MS) as subscriber:
        first.wait_for()
        first.send(masks(7))
        assert seqs(subscriber, 1) == [7]
        first.close()
        second = Outlet(address)
        while not second.subscribed():
            assert subscriber.receive(20) is None  # ZeroMQ subscribes again from within the reader's calls
        second.send(masks(0))
        assert seqs(subscriber, 1) == [0]
        second.close()


def test_settings_that_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ipc://PATH expected"):
        Subscriber("5555")
    with pytest.raises(ValueError, match="kinds="):
        Subscriber("ipc:///tmp/x", kinds=("mask",))
    with pytest.raises(ValueError, match="timeout_ms=-1"):
        Subscriber("ipc:///tmp/x", timeout_ms=-1)
    with pytest.raises(ConfigError, match="cavs-stream keys"):
        Subscriber("ipc:///tmp/x", keys=tmp_path)
    with pytest.raises(ConfigError, match="cannot connect"):
        Subscriber(f"ipc://{tmp_path}/{'x' * 200}")
