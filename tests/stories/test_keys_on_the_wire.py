"""A stream with keys: who has the right ones reads, nobody else does, and is told why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.stream.keys import make_keys
from cavs.stream.publisher import Publisher
from cavs.stream.subscriber import Subscriber
from tests.one_window import MODEL, pixels, prediction, thing, window

LABELS = pixels("....", ".22.", "....")
WINDOWS = 200
BETWEEN_WINDOWS_MS = 20
CUT_OFF_WITHIN_NS = 20 * NS_PER_S


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", "viewer")
    return tmp_path / "keys"


@pytest.fixture
def publisher(keys: Path) -> Iterator[Publisher]:
    # 127.0.0.1 so that the test touches no other machine; keys are taken on any address.
    with Publisher("tcp://127.0.0.1:*", "s", clock=MonotonicClock(), keys=keys) as made:
        yield made


def windows_until_read(publisher: Publisher, subscriber: Subscriber, windows: int = WINDOWS) -> int | None:
    """Publishes until the subscriber reads one; None if it never does."""
    for seq in range(windows):
        publisher.publish(window(seq), prediction(LABELS), (thing(1, LABELS, 2, "dog"),), MODEL, {}, {})
        if subscriber.receive(BETWEEN_WINDOWS_MS) is not None:
            return seq
    return None


def test_a_client_that_is_allowed_reads(publisher: Publisher, keys: Path) -> None:
    with Subscriber(publisher.address, keys=keys / "clients" / "viewer") as subscriber:
        assert windows_until_read(publisher, subscriber) is not None


def test_a_client_without_keys_reads_nothing_and_is_told(publisher: Publisher) -> None:
    with Subscriber(publisher.address) as subscriber:
        assert windows_until_read(publisher, subscriber, 25) is None
        assert "does it need --keys?" in subscriber.why_silent()


def test_a_client_that_is_not_on_the_list_reads_nothing_and_is_told(publisher: Publisher, keys: Path, tmp_path: Path) -> None:
    stranger = make_keys(tmp_path / "other", "stranger")
    (stranger / "server.key").write_bytes((keys / "server.key").read_bytes())
    with Subscriber(publisher.address, keys=stranger) as subscriber:
        assert windows_until_read(publisher, subscriber, 25) is None
        assert "are these keys allowed there" in subscriber.why_silent()


def test_a_client_that_expects_another_server_reads_nothing(publisher: Publisher, tmp_path: Path) -> None:
    elsewhere = make_keys(tmp_path / "other", "viewer")
    with Subscriber(publisher.address, keys=elsewhere) as subscriber:
        assert windows_until_read(publisher, subscriber, 25) is None


def test_a_client_that_is_shut_out_while_the_stream_runs_reads_no_more_and_the_others_go_on(
    publisher: Publisher, keys: Path
) -> None:
    guest = make_keys(keys, "guest")  # made while the stream runs
    with (
        Subscriber(publisher.address, keys=guest) as outsider,
        Subscriber(publisher.address, keys=keys / "clients" / "viewer") as viewer,
    ):
        assert windows_until_read(publisher, outsider) is not None
        assert windows_until_read(publisher, viewer) is not None
        (keys / "allowed" / "guest.key").unlink()
        until_cut_off(publisher, outsider)
        assert windows_until_read(publisher, viewer) is not None
        assert windows_until_read(publisher, outsider, 25) is None
        assert windows_until_read(publisher, viewer) is not None


def until_cut_off(publisher: Publisher, subscriber: Subscriber) -> None:
    """Publishes until a whole half second brings nothing; the list is looked at once a second."""
    clock = MonotonicClock()
    until_ns = clock.now_ns() + CUT_OFF_WITHIN_NS
    while clock.now_ns() < until_ns:
        if windows_until_read(publisher, subscriber, 25) is None:
            return
        clock.sleep_ns(BETWEEN_WINDOWS_MS * NS_PER_MS)
    pytest.fail("it still reads")


def test_a_stranger_does_not_disturb_those_who_are_allowed(publisher: Publisher, keys: Path) -> None:
    with Subscriber(publisher.address) as stranger, Subscriber(publisher.address, keys=keys / "clients" / "viewer") as viewer:
        assert windows_until_read(publisher, viewer) is not None
        assert windows_until_read(publisher, stranger, 10) is None
        assert windows_until_read(publisher, viewer) is not None
