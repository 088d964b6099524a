"""A stream, a learner beside it, and somebody who teaches: they meet on the disk and over ZeroMQ only.

All three are stepped by hand here, so nothing depends on how fast the machine is; sockets, files and the control are real.
"""

from contextlib import ExitStack
from pathlib import Path

from cavs.adapt.serve.desk import Desk
from cavs.adapt.serve.learner import Learner
from cavs.adapt.serve.link import Link
from cavs.adapt.serve.options import ServeOptions
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock, MonotonicClock
from cavs.runtime.control import ControlClient, control_address
from cavs.runtime.lesson import Lessons
from cavs.runtime.store import ModelStore
from cavs.stream.assembly import assemble, open_slot, open_sources
from cavs.stream.beside import start_beside
from cavs.stream.counters import Counters
from cavs.stream.masks import Masks
from cavs.stream.pipeline import LiveLoop
from cavs.stream.settings import StreamSettings
from cavs.stream.source import CaptureThread
from cavs.stream.subscriber import Subscriber
from cavs.stream.wire import Event
from tests.clips import write_clip
from tests.tiny_school import TinySchool

WAIT_MS = 20_000
TAUGHT_AFTER = 25
SECONDS, FPS = 40.0, 10
OPTIONS = {
    "probation": {"windows": 20, "early": 10, "infer_ratio": 1000},
    "give_way": {"p99_ms": 1e9, "on_battery": True, "hot_c": 1000},
    "ask": {"seconds": 1.5},
    "idle_s": 1e6,
}


class Stream:
    """A whole stream in this thread, with its control socket, and a subscriber who misses nothing."""

    def __init__(self, settings: StreamSettings, closing: ExitStack) -> None:
        clock, counters = MonotonicClock(), Counters()
        slot, _ = open_slot(settings, clock, closing)
        sources = open_sources(settings, slot.engine.bundle, clock, counters)
        self.parts = assemble(settings, slot, sources, clock=clock, counters=counters, closing=closing)
        self.loop = LiveLoop(self.parts, windows=settings.windows)
        self.subscriber = Subscriber(self.parts.publisher.address, newest_only=False, kinds=("masks", "event"))
        closing.callback(self.subscriber.close)
        assert self.parts.publisher.wait_for_watcher(WAIT_MS)
        self.loop.start()
        start_beside(settings, self.parts, closing)
        thread = CaptureThread(sources[0], self.parts.inbox, clock)
        closing.callback(thread.stop)
        closing.callback(self.parts.inbox.close)
        thread.start()
        self.seen: list[Masks] = []
        self.events: list[Event] = []

    def step(self) -> bool:
        going = self.loop.step()
        while len(self.seen) < self.parts.health.windows_published or self.subscriber._sockets[-1].poll(0):
            message = self.subscriber.receive(WAIT_MS)
            assert message is not None, f"window {len(self.seen)} was published but never came"
            if isinstance(message, Masks):
                self.seen.append(message)
            elif isinstance(message, Event):
                self.events.append(message)
        return going


def test_what_is_taught_is_learned_and_named_without_losing_a_window(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """A yellow thing sounds unknown: the learner asks, somebody teaches, and the same stream calls it by its name."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=SECONDS, fps=FPS, colour=(230, 230, 20), sounding_s=(0.0, SECONDS))
    store = ModelStore(tmp_path / "s")
    store.commit(None, store.add_bundle(tiny_bundle.root))
    settings = StreamSettings(source=str(clip), store=store.path, rate="fast", bind=f"ipc://{tmp_path}/w", threads=1)
    with ExitStack() as closing:
        stream = Stream(settings, closing)
        control = closing.enter_context(ControlClient(control_address(store.path), timeout_ms=WAIT_MS))
        clock = ManualClock()
        desk = Desk(store, TinySchool(), Link(control_address(store.path), clock), clock, ServeOptions.model_validate(OPTIONS))
        closing.callback(desk.close)
        learner, lesson = Learner(desk), ""
        learner.start()
        lessons = Lessons(store.path)
        while stream.step():
            learner.step()
            if len(stream.seen) >= TAUGHT_AFTER and not lesson:
                lesson = str(control.ask("teach", name="yellow", seconds=2.0, yes=True)["lesson"])
            if lesson and lessons.outcome(lesson) is not None and learner._proving.probation.record is None:
                break
        stream.step()
    outcome = lessons.outcome(lesson)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == ("live", "")
    assert [masks.seq for masks in stream.seen] == list(range(len(stream.seen)))
    assert {masks.model.version: {thing.cls for thing in masks.objects} for masks in stream.seen} == {
        1: {"unknown"},
        2: {"yellow"},
    }
    checks = {check["name"]: check["state"] for check in outcome.verdict["checks"]}  # type: ignore[union-attr,index,call-overload]
    assert checks["shadow"] == "passed"  # the stream was asked for what it saw
    said = {event.subject: event for event in stream.events if event.kind == "learner"}
    assert "yellow learned: version 2 is live" in {event.text for event in stream.events}
    assert said["probation"].text == "version 2 is proven"
    (question,) = [event for event in stream.events if event.kind == "question"]
    assert question.thumb.startswith(b"\xff\xd8")
