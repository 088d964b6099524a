"""The live loop: items in, windows through the engine, masks out. One thread; everything slow happens elsewhere."""

from dataclasses import dataclass, field

from cavs.runtime.adapter import Adapter
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.slot import ModelRef, Slot
from cavs.stream.align import Aligner
from cavs.stream.header import SoundFormat
from cavs.stream.health import Health
from cavs.stream.inbox import Inbox
from cavs.stream.items import SourceEvent
from cavs.stream.latency import STAGES, StageTimes
from cavs.stream.masks import ModelStamp
from cavs.stream.objects import ObjectFinder
from cavs.stream.publisher import Publisher
from cavs.stream.recent import Recent
from cavs.stream.runner import OneAtATime, Ran, Runner
from cavs.stream.said import Said

TAKE_NS = 20 * NS_PER_MS
"""Longest wait for an item: a frame whose sound does not come must be let go in time."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop is made of.

    said:         events of other threads. recent: where the last windows are kept for teaching, if they are.
    virtual_time: the source's time line is not the clock's (a file read fast).
    runner:       how windows get through the engine; None: one at a time.
    """

    inbox: Inbox
    aligner: Aligner
    slot: Slot
    finder: ObjectFinder
    publisher: Publisher
    health: Health
    clock: Clock
    virtual_time: bool = False
    said: Said = field(default_factory=Said)
    recent: Recent | None = None
    runner: Runner | None = None


class LiveLoop:
    """Runs windows until the sources end or a limit is reached. Tests call `step` by hand."""

    def __init__(self, parts: Parts, *, windows: int | None = None) -> None:
        self._parts = parts
        self._windows = windows
        bundle = parts.slot.engine.bundle.manifest
        self._size = (bundle.frame.height_px, bundle.frame.width_px)
        self._sound = SoundFormat(
            rate_hz=bundle.sound.rate_hz, samples=bundle.sound.samples, lookahead_samples=bundle.sound.lookahead_samples
        )
        self._runner = parts.runner or OneAtATime(parts.slot, parts.clock)
        self._started = 0
        self._source_size: tuple[int, int] | None = None
        self._running: ModelRef | None = None
        self._stamp = ModelStamp(bundle="")
        self._publish_ns = 0
        self._hello_ns = parts.clock.now_ns()
        self._flushed = False

    def start(self) -> None:
        """Says hello before the first window, so that a subscriber knows that somebody is there."""
        self._follow_model(self._parts.slot.model, self._parts.slot.adapter)
        self._hello()

    def step(self, timeout_ns: int = TAKE_NS) -> bool:
        """One round: what has arrived, the windows it makes, a hello when a second is over. False at the end."""
        parts = self._parts
        items = parts.inbox.take(timeout_ns)
        now_ns = parts.clock.now_ns()
        for item in items:
            if isinstance(item, SourceEvent):
                if item.kind == "no_sound":
                    parts.aligner.audio_expected = False
                self._tell(item)
            else:
                parts.aligner.push(item, now_ns)
        ended = parts.inbox.ended
        if ended and not self._flushed:
            self._flushed = True
            parts.aligner.flush()
        while not self._done() and (window := parts.aligner.pop(parts.clock.now_ns())) is not None:
            self._started += 1
            self._runner.start(window, parts.aligner.received_ns)
            self._publish_done()
        for event in (*parts.aligner.drain_events(), *parts.said.take()):
            self._tell(event)
        if parts.clock.now_ns() - self._hello_ns >= NS_PER_S:
            self._hello()
        return not (ended or self._done())

    def settle(self) -> None:
        """Publishes what is still under way in the engine; to be called when no `step` will follow."""
        self._publish_done(wait=True)

    def finish(self, ended: str) -> None:
        """The last words: why it ends, and a hello with the final numbers."""
        now_ns = self._parts.clock.now_ns()
        self._hello()
        self._tell(SourceEvent("ended", self._parts.publisher.stream, ended, now_ns))

    def _done(self) -> bool:
        return self._windows is not None and self._started >= self._windows

    def _publish_done(self, *, wait: bool = False) -> None:
        while (ran := self._runner.take(wait=wait)) is not None:
            self._publish(ran)

    def _publish(self, ran: Ran) -> None:
        parts, clock, window = self._parts, self._parts.clock, ran.window
        began_ns = ran.received_ns if parts.virtual_time else window.frame.t_ns
        if ran.model != self._running:
            self._follow_model(ran.model, ran.adapter)
        objects = parts.finder.find(ran.prediction)
        heard = parts.finder.heard(ran.prediction)
        decoded_ns = clock.now_ns()
        times = StageTimes(
            capture=ran.received_ns - began_ns,
            align=ran.formed_ns - ran.received_ns,
            infer=ran.inferred_ns - ran.formed_ns,
            decode=decoded_ns - ran.inferred_ns,
            publish=self._publish_ns,  # its own cannot be in its own message: that of the window before
            end_to_end=decoded_ns - began_ns,
        )
        parts.publisher.publish(
            window, ran.prediction, objects, self._stamp, _in_ms(times), parts.aligner.counters.to_dict(), heard=heard
        )
        sent_ns = clock.now_ns()
        self._publish_ns = sent_ns - decoded_ns
        parts.health.note_window(
            StageTimes(times.capture, times.align, times.infer, times.decode, self._publish_ns, sent_ns - began_ns),
            len(objects),
            window.skew_ns,
        )
        if parts.recent is not None:
            parts.recent.append(window, ran.frame, objects)
        self._source_size = window.frame.pixels.shape[:2]
        for event in parts.slot.take_events():
            self._tell(SourceEvent("model", event.kind, event.text, event.t_ns))

    def _follow_model(self, model: ModelRef, adapter: Adapter) -> None:
        """The names and the stamp of the model that ran; only when it changed."""
        self._running = model
        self._parts.finder.rename(dict(adapter.classes))
        self._stamp = ModelStamp(
            bundle=model.bundle_id,
            adapter=model.adapter_id,
            digest=model.digest,
            engine=self._parts.slot.engine.name,
            version=model.version or None,
        )

    def _tell(self, event: SourceEvent) -> None:
        self._parts.publisher.event(event.kind, event.device, event.text, event.t_ns, event.thumb)
        self._parts.health.note_event(event.kind, event.device, event.text, event.t_ns)

    def _hello(self) -> None:
        parts = self._parts
        self._hello_ns = parts.clock.now_ns()
        health = parts.health.second(parts.aligner.drift())
        fps = health["fps"]
        parts.publisher.hello(
            model=self._stamp,
            classes=dict(parts.slot.adapter.classes),
            size=self._size,
            source=self._source_size,
            fps=fps if isinstance(fps, float) else None,
            sound=self._sound,
            health=health,
        )


def _in_ms(times: StageTimes) -> dict[str, float]:
    return {stage: round(getattr(times, stage) / NS_PER_MS, 3) for stage in STAGES}
