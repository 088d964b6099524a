"""One line through the house: a file with sound, windows, an engine whose model is exchanged, the wire, a subscriber."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.slot import Slot
from cavs.runtime.store import ModelStore
from cavs.stream.assembly import assemble, open_slot, open_sources
from cavs.stream.counters import Counters
from cavs.stream.masks import Masks
from cavs.stream.pipeline import LiveLoop, Parts
from cavs.stream.settings import StreamSettings
from cavs.stream.source import CaptureThread
from cavs.stream.subscriber import Subscriber
from tests.clips import write_clip
from tests.tiny_bundle import red_green_swapped

WAIT_MS = 20_000


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", seconds=2.0, sounding_s=(0.5, 1.5))


class Line:
    """A whole stream in one thread, stepped by hand, and a subscriber beside it."""

    def __init__(self, settings: StreamSettings, closing: ExitStack) -> None:
        clock = MonotonicClock()
        counters = Counters()
        self.slot: Slot
        self.slot, _ = open_slot(settings, clock, closing)
        sources = open_sources(settings, self.slot.engine.bundle, clock, counters)
        self.parts: Parts = assemble(settings, self.slot, sources, clock=clock, counters=counters, closing=closing)
        self.loop = LiveLoop(self.parts, windows=settings.windows)
        self.subscriber = Subscriber(self.parts.publisher.address, newest_only=False, kinds=("masks", "event", "hello"))
        closing.callback(self.subscriber.close)
        assert self.parts.publisher.wait_for_watcher(WAIT_MS)
        self.loop.start()
        thread = CaptureThread(sources[0], self.parts.inbox, clock)
        closing.callback(thread.stop)
        closing.callback(self.parts.inbox.close)
        thread.start()

    def run(self) -> Iterator[Masks]:
        """Steps to the end; gives each window's masks as a subscriber sees them."""
        told = 0
        going = True
        while going:
            going = self.loop.step()
            if not going:
                self.loop.settle()
            while told < self.parts.health.windows_published:
                message = self.subscriber.receive(WAIT_MS)
                assert message is not None, f"window {told} was published but never came"
                if isinstance(message, Masks):
                    told += 1
                    yield message


def test_a_file_becomes_masks_where_and_when_it_sounds(tiny_bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    settings = StreamSettings(source=str(clip), bundle=tiny_bundle.root, rate="fast", bind=f"ipc://{tmp_path}/wire")
    with ExitStack() as closing:
        masks = list(Line(settings, closing).run())
    assert [window.seq for window in masks] == list(range(60))
    for window in masks:
        t_s = window.t_ns / 1e9
        if 0.7 < t_s < 1.4:
            (thing,) = window.objects
            assert thing.cls == "red"
            assert abs(thing.mask.mean() - 0.25) < 0.05
        elif t_s < 0.45 or t_s > 1.65:  # the tiny bundle hears the last 0.1 s
            assert window.objects == ()


def test_an_adapter_is_exchanged_while_the_stream_runs_and_no_window_is_lost(
    tiny_bundle: Bundle, clip: Path, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "store")
    first = store.commit(None, store.add_bundle(tiny_bundle.root))
    settings = StreamSettings(source=str(clip), store=tmp_path / "store", rate="fast", bind=f"ipc://{tmp_path}/wire")
    seen: list[Masks] = []
    with ExitStack() as closing:
        line = Line(settings, closing)
        for window in line.run():
            seen.append(window)
            if window.seq == 30:  # in the middle of the tone
                line.slot.offer(red_green_swapped(tiny_bundle), version=first + 1)
    assert [window.seq for window in seen] == list(range(60))
    versions = [window.model.version or 0 for window in seen]
    assert versions == sorted(versions), "the exchange happens once, between two windows"
    assert versions[30] == first
    assert versions[-1] == first + 1
    named = {(window.model.version, window.objects[0].cls) for window in seen if window.objects}
    assert named == {(first, "red"), (first + 1, "green")}
