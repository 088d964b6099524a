from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.adapter import Adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.errors import EngineError
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.preprocess import fit_frame
from cavs.runtime.slot import Slot
from cavs.stream.align import Aligner
from cavs.stream.counters import Counters
from cavs.stream.header import Hello, SoundFormat
from cavs.stream.health import Health
from cavs.stream.inbox import Inbox, Strategy
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame
from cavs.stream.masks import Masks
from cavs.stream.objects import ObjectFinder
from cavs.stream.pipeline import LiveLoop, Parts
from cavs.stream.publisher import Publisher
from cavs.stream.recent import Recent
from cavs.stream.said import Said
from cavs.stream.subscriber import Subscriber
from cavs.stream.wire import Event
from tests.tiny_bundle import not_a_number, square_frame, tone

WAIT_MS = 20_000
FRAME_NS = NS_PER_S // 30
START_NS = 10 * NS_PER_S


class Rig:
    """A live loop fed and stepped by hand on a clock that stands still, and a subscriber."""

    def __init__(self, bundle: Bundle, path: Path, closing: ExitStack, adapter: Adapter | None = None) -> None:
        self.bundle = bundle
        self.clock = ManualClock(START_NS)
        counters = Counters()
        self.slot = Slot(OnnxEngine(bundle, threads=1), adapter or default_adapter(bundle), self.clock)
        closing.callback(self.slot.close)
        sound = bundle.manifest.sound
        self.inbox = Inbox(Strategy.DROP_OLDEST, frame_capacity=4, block_capacity_s=5.0, counters=counters)
        # Lossless: a busy machine may take longer to carry four messages than a test to make five.
        self.publisher = publisher = Publisher(f"ipc://{path}/wire", "rig", clock=self.clock, lossless=True)
        closing.callback(publisher.close)
        aligner = Aligner(
            sound.rate_hz,
            sound.samples,
            sound.lookahead_samples,
            live=True,
            staleness_ns=500 * NS_PER_MS,
            audio_wait_ns=100 * NS_PER_MS,
            counters=counters,
        )
        health = Health(self.clock, counters, self.slot)
        finder = ObjectFinder(dict(bundle.manifest.classes))
        listens = SoundFormat(rate_hz=sound.rate_hz, samples=sound.samples)
        self.recent = Recent((64, 64), listens, seconds=5, mib=4)
        self.said = Said()
        parts = Parts(self.inbox, aligner, self.slot, finder, publisher, health, self.clock, said=self.said, recent=self.recent)
        self.loop = LiveLoop(parts, windows=100)
        self.subscriber = Subscriber(publisher.address, newest_only=False, kinds=("masks", "event", "hello"))
        closing.callback(self.subscriber.close)
        assert publisher.wait_for_watcher(WAIT_MS)
        self.loop.start()
        self.frames = 0

    def feed(self, colour: str) -> None:
        """One frame and the sound up to it."""
        samples = tone(self.bundle)
        rate_hz = self.bundle.manifest.sound.rate_hz
        t_ns = self.clock.now_ns()
        first = round((t_ns - START_NS) * rate_hz / NS_PER_S)
        span_ns = len(samples) * NS_PER_S // rate_hz
        self.inbox.put(AudioBlock(samples, first, t_ns - span_ns, rate_hz))
        self.inbox.put(VideoFrame(square_frame(self.bundle, colour), t_ns, self.frames))
        self.frames += 1
        self.loop.step(0)
        self.clock.advance_ns(span_ns)

    def heard(self, kind: type) -> list[object]:
        """What came of this kind until now: up to an event that this sends behind all else."""
        self.publisher.event("mark", "rig", "")
        came: list[object] = []
        while not (isinstance(message := self.subscriber.receive(WAIT_MS), Event) and message.kind == "mark"):
            assert message is not None, "nothing comes any more"
            if isinstance(message, kind):
                came.append(message)
        return came


@pytest.fixture
def rig(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as closing:
        yield Rig(tiny_bundle, tmp_path, closing)


def test_a_hello_comes_before_the_first_window_and_once_a_second(rig: Rig) -> None:
    (hello,) = rig.heard(Hello)
    assert isinstance(hello, Hello)
    assert [part.cls for part in hello.classes] == ["red", "green", "blue"]
    for _ in range(25):  # 0.1 s each
        rig.feed("red")
    assert len(rig.heard(Hello)) == 2


def test_a_model_that_gives_no_number_falls_back_and_says_so_without_losing_the_window(rig: Rig) -> None:
    rig.feed("red")
    rig.slot.offer(not_a_number(rig.bundle), version=9)
    rig.feed("red")
    rig.feed("green")
    came = [rig.subscriber.receive(WAIT_MS) for _ in range(7)]
    masks = [message for message in came if isinstance(message, Masks)]
    events = [message for message in came if isinstance(message, Event)]
    assert [window.seq for window in masks] == [0, 1, 2]
    assert [window.objects[0].cls for window in masks] == ["red", "red", "green"]
    assert {window.model.version for window in masks} == {None}
    assert [event.subject for event in events] == ["taken", "fell_back"]
    assert all(event.kind == "model" for event in events)


def test_without_a_model_to_fall_back_to_the_error_ends_the_run(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with ExitStack() as closing:
        rig = Rig(tiny_bundle, tmp_path, closing, not_a_number(tiny_bundle))
        with pytest.raises(EngineError):
            rig.feed("red")


def test_events_of_the_sources_reach_the_wire_and_the_report(rig: Rig) -> None:
    rig.inbox.put(SourceEvent("lost", "camera:/dev/video0", "no frame for 212 ms", START_NS))
    rig.loop.step(0)
    (event,) = rig.heard(Event)
    assert isinstance(event, Event)
    assert (event.kind, event.subject) == ("lost", "camera:/dev/video0")


def test_a_source_without_sound_does_not_hold_its_frames_back(rig: Rig) -> None:
    rig.inbox.put(SourceEvent("no_sound", "file:silent.mp4", "no sound track", START_NS))
    rig.inbox.put(VideoFrame(np.zeros((48, 64, 3), np.uint8), START_NS, 0))
    rig.loop.step(0)
    (masks,) = rig.heard(Masks)
    assert isinstance(masks, Masks)
    assert masks.flags == {"audio_missing"}
    assert (masks.source_height, masks.source_width) == (48, 64)


def test_what_was_seen_and_heard_is_kept_for_teaching(rig: Rig) -> None:
    for colour in ("red", "green"):
        rig.feed(colour)
    kept = rig.recent.windows(5, now_ns=None)
    assert kept is not None
    size = rig.bundle.manifest.frame
    for frame, colour in zip(kept.frames, ("red", "green"), strict=True):
        assert np.array_equal(frame, fit_frame(square_frame(rig.bundle, colour), (size.height_px, size.width_px)))
    samples = rig.bundle.manifest.sound.samples
    assert np.allclose(kept.sound_of(1, samples), tone(rig.bundle), atol=1e-6)
    assert [thing.cls for thing in rig.recent.objects(None)] == ["green"]


def test_what_other_threads_say_is_published_between_two_windows(rig: Rig) -> None:
    rig.said.say(SourceEvent("unknown", "object 3", "what is this?", START_NS, thumb=b"jpeg"))
    rig.feed("red")
    (event,) = rig.heard(Event)
    assert event == Event("rig", START_NS, "unknown", "object 3", "what is this?", b"jpeg")
