"""The publisher: addresses it takes, messages it sends, what it does for watchers, and how it ends."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from cavs.runtime.clock import ManualClock
from cavs.runtime.errors import ConfigError
from cavs.stream.header import Hello
from cavs.stream.masks import HeardClass, Masks
from cavs.stream.publisher import Publisher
from cavs.stream.subscriber import Subscriber
from cavs.stream.wire import Event, Preview
from tests.one_window import CLASSES, MODEL, SOUND, pixels, prediction, thing, window

LABELS = pixels("........", ".222..1.", ".222....", "........")
LOCAL = "tcp://127.0.0.1:*"
SOON_MS = 10_000
"""Far longer than it takes; a test that waits so long fails."""
ALL = ("masks", "hello", "event", "frame")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher(LOCAL, "kitchen-1", clock=ManualClock(7_000_000_000)) as made:
        yield made


def publish(publisher: Publisher, seq: int = 0) -> None:
    objects = (thing(3, LABELS, 2, "dog"), thing(4, LABELS, 1, "unknown"))
    publisher.publish(
        window(seq),
        prediction(LABELS),
        objects,
        MODEL,
        {"infer": 16.5},
        {"frames_stale": 2},
        heard=(HeardClass(0, "dog", 0.9),),
        flags=("fallback",),
    )


def say_hello(publisher: Publisher, **health: float) -> None:
    publisher.hello(model=MODEL, classes=CLASSES, size=(4, 8), source=(48, 64), fps=30.0, sound=SOUND, health=health)


def receive(subscriber: Subscriber) -> Any:
    message = subscriber.receive(SOON_MS)
    assert message is not None
    return message


def test_a_window_arrives_with_all_that_was_known_of_it(publisher: Publisher) -> None:
    with Subscriber(publisher.address) as subscriber:
        assert publisher.wait_for_watcher(SOON_MS)
        publish(publisher, seq=5)
        masks = receive(subscriber)
    assert isinstance(masks, Masks)
    cut = window(5)
    assert (masks.stream, masks.seq, masks.t_ns, masks.sent_ns) == ("kitchen-1", 5, cut.frame.t_ns, 7_000_000_000)
    assert (masks.height, masks.width, masks.source_height, masks.source_width) == (4, 8, 48, 64)
    assert (masks.sound_start_ns, masks.sound_end_ns, masks.skew_ns) == (cut.sound_start_ns, cut.sound_end_ns, 250_000)
    assert (masks.grade, masks.sound_grade) == (cut.frame.grade, cut.sound_grade)
    assert (masks.model, masks.counters, masks.latency_ms) == (
        MODEL,
        {"frames_stale": 2, "previews_dropped": 0},
        {"infer": 16.5},
    )
    assert masks.flags == {"audio_partial", "fallback"}
    assert [(one.cls, one.id) for one in masks.objects] == [("dog", 3), ("unknown", 4)]
    assert np.array_equal(masks.label_map(), LABELS)
    assert masks.heard == (HeardClass(0, "dog", 0.9),)


def test_hello_and_events_arrive_and_numbers_that_are_not_finite_are_none(publisher: Publisher) -> None:
    with Subscriber(publisher.address, kinds=ALL, newest_only=False) as subscriber:
        assert publisher.wait_for_watcher(SOON_MS)
        publisher.event("lost", "camera 0", "unplugged")
        publisher.event("unknown", "object 3", "what is this?", thumb=b"jpeg")
        say_hello(publisher, rss_mib=float("nan"), fps=29.5)
        event, asking, greeting = receive(subscriber), receive(subscriber), receive(subscriber)
    assert isinstance(greeting, Hello)
    assert greeting.health == {"rss_mib": None, "fps": 29.5}
    assert {part.row: part.cls for part in greeting.classes} == CLASSES
    assert (greeting.model.bundle, greeting.model.version, greeting.preview) == (MODEL.bundle, 3, True)
    assert isinstance(event, Event)
    assert event == Event("kitchen-1", 7_000_000_000, "lost", "camera 0", "unplugged")
    assert asking == Event("kitchen-1", 7_000_000_000, "unknown", "object 3", "what is this?", b"jpeg")


def test_one_who_comes_late_is_greeted_with_the_last_hello_before_the_next_is_due(publisher: Publisher) -> None:
    say_hello(publisher, uptime_s=1.0)
    with Subscriber(publisher.address, kinds=("masks", "hello"), newest_only=False) as late:
        assert publisher.wait_for_watcher(SOON_MS)
        while not isinstance(message := late.receive(20), Hello):
            publish(publisher)
    assert message.health == {"uptime_s": 1.0}


def test_texts_too_long_for_the_wire_are_cut(publisher: Publisher) -> None:
    with Subscriber(publisher.address, kinds=("event", "masks"), newest_only=False) as subscriber:
        assert publisher.wait_for_watcher(SOON_MS)
        publisher.event("warning", "x" * 1000, "y" * 10_000)
        event = receive(subscriber)
    assert (len(event.subject), len(event.text)) == (256, 4096)


def test_pictures_are_made_only_while_somebody_subscribes_to_them(publisher: Publisher) -> None:
    say_hello(publisher)
    with Subscriber(publisher.address) as masks_only:
        assert publisher.wait_for_watcher(SOON_MS)
        sent = publisher.messages_sent
        for seq in range(20):
            publish(publisher, seq)
        assert receive(masks_only)
        assert publisher.messages_sent == sent + 20
    with Subscriber(publisher.address, kinds=("masks", "frame"), newest_only=False) as watcher:
        seq = 20
        while not isinstance(message := watcher.receive(20), Preview):
            publish(publisher, seq)
            seq += 1
    assert message.seq >= 20
    assert (message.height, message.width, message.rate_hz) == (48, 64, SOUND.rate_hz)


def test_without_preview_nobody_gets_pictures() -> None:
    with Publisher(LOCAL, "s", clock=ManualClock(), preview=False) as publisher:
        say_hello(publisher)
        with Subscriber(publisher.address, kinds=ALL, newest_only=False) as watcher:
            assert publisher.wait_for_watcher(SOON_MS)
            kinds = []
            for seq in range(5):
                publish(publisher, seq)
                kinds.append(type(receive(watcher)))
        assert set(kinds) <= {Masks, Hello}


def test_a_lossless_stream_waits_for_a_slow_reader_and_loses_nothing(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/masks"
    with (
        Publisher(address, "s", clock=ManualClock(), lossless=True) as publisher,
        Subscriber(address, newest_only=False) as reader,
    ):
        assert publisher.wait_for_watcher(SOON_MS)
        for seq in range(200):
            publish(publisher, seq)
        assert [receive(reader).seq for _ in range(200)] == list(range(200))
        assert publisher.messages_dropped == 0


def test_the_last_words_leave_before_it_closes() -> None:
    publisher = Publisher(LOCAL, "s", clock=ManualClock())
    with Subscriber(publisher.address, kinds=("masks", "event"), newest_only=False) as subscriber:
        assert publisher.wait_for_watcher(SOON_MS)
        publisher.event("ended", "s", "end of file")
        publisher.close()
        publisher.close()
        assert receive(subscriber).text == "end of file"


def test_nobody_watching_is_said_after_the_time_given() -> None:
    with Publisher(LOCAL, "s", clock=ManualClock()) as publisher:
        assert not publisher.wait_for_watcher(10)


@pytest.mark.parametrize("address", ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://192.0.2.1:5555"])
def test_a_public_address_without_keys_is_refused_with_the_command_that_makes_them(address: str) -> None:
    with pytest.raises(ConfigError, match="cavs-stream keys --out DIR"):
        Publisher(address, "s", clock=ManualClock())


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65, "küche"])
def test_a_name_that_cannot_be_a_topic_is_misuse(name: str) -> None:
    with pytest.raises(ValueError, match="stream "):
        Publisher(LOCAL, name, clock=ManualClock())


def test_a_port_in_use_is_one_line(publisher: Publisher) -> None:
    with pytest.raises(ConfigError, match="is in use by another process"):
        Publisher(publisher.address, "s", clock=ManualClock())


def test_an_address_of_another_machine_is_one_line(tmp_path: Path) -> None:
    from cavs.stream.keys import make_keys

    make_keys(tmp_path, "viewer")
    with pytest.raises(ConfigError, match=r"cannot bind tcp://192\.0\.2\.1:5555"):
        Publisher("tcp://192.0.2.1:5555", "s", clock=ManualClock(), keys=tmp_path)


def test_a_second_stream_on_the_same_ipc_path_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/masks"
    with Publisher(address, "s", clock=ManualClock()) as first:
        with pytest.raises(ConfigError, match="another process listens there"):
            Publisher(address, "s", clock=ManualClock())
        with Subscriber(address) as subscriber:
            assert first.wait_for_watcher(SOON_MS)
            publish(first)
            assert receive(subscriber).seq == 0


def test_the_path_of_a_stream_that_was_killed_can_be_used_again(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    killed = zmq.Context()
    socket = killed.socket(zmq.PUB)
    socket.bind(f"ipc://{path}")
    path.rename(tmp_path / "kept")  # what a kill leaves: the file, and nobody who listens
    socket.close()
    killed.term()
    (tmp_path / "kept").rename(path)
    assert stat.S_ISSOCK(path.stat().st_mode)
    with Publisher(f"ipc://{path}", "s", clock=ManualClock()), Subscriber(f"ipc://{path}"):
        assert path.exists()


def test_a_path_too_long_for_a_socket_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"too long|cannot bind"):
        Publisher(f"ipc://{tmp_path}/{'x' * 120}", "s", clock=ManualClock())
