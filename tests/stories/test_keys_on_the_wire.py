"""A stream with keys: who has the right ones reads, nobody else does, and is told why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cavs.runtime.clock import MonotonicClock
from cavs.stream.keys import make_keys
from cavs.stream.publisher import Publisher
from cavs.stream.subscriber import Subscriber
from tests.one_window import MODEL, pixels, prediction, thing, window

LABELS = pixels("....", ".22.", "....")
WINDOWS = 200
BETWEEN_WINDOWS_MS = 20


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


def test_a_stranger_does_not_disturb_those_who_are_allowed(publisher: Publisher, keys: Path) -> None:
    with Subscriber(publisher.address) as stranger, Subscriber(publisher.address, keys=keys / "clients" / "viewer") as viewer:
        assert windows_until_read(publisher, viewer) is not None
        assert windows_until_read(publisher, stranger, 10) is None
        assert windows_until_read(publisher, viewer) is not None
