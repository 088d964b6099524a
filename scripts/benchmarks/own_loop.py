"""Our live loop in a process of its own, put together as `cavs-stream` does it, with what a benchmark needs to add.

A numbered camera is read when its frame enters, in the capture thread. Its sound lies in memory, as for the plain loop, and
comes up to the time of each frame, so that no frame waits for it.
"""

import argparse
import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench_slot import LOOK_NS, other_adapter

from benchmarks.footage import read_wav
from benchmarks.painted import read
from cavs.runtime.adapter import default_adapter
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock
from cavs.runtime.errors import SourceError
from cavs.runtime.slot import Slot
from cavs.stream.assembly import assemble, open_slot, open_sources
from cavs.stream.counters import Counters
from cavs.stream.inbox import Item
from cavs.stream.items import AudioBlock, SourceEvent, VideoFrame
from cavs.stream.pipeline import LiveLoop
from cavs.stream.settings import settings_from
from cavs.stream.source import CaptureThread, EndOfSource, Source

WATCHER_MS = 20_000
MARGIN_NS = 5 * NS_PER_MS
"""So much sound beyond the frame's time: rounding must not make it wait."""


class NumberedCamera:
    """A source whose pictures carry a number, with sound from memory. Knows which frame carried which."""

    def __init__(self, inner: Source, wav: Path, rate_hz: int) -> None:
        self._inner = inner
        self._sound = read_wav(wav)
        self._sound.flags.writeable = False
        self._rate_hz = rate_hz
        self._start_ns: int | None = None
        self._given = 0
        self.numbers: dict[int, int] = {}
        """Time of a frame -> its number."""

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def live(self) -> bool:
        return self._inner.live

    def open(self) -> None:
        self._inner.open()

    def step(self) -> Sequence[Item]:
        """The inner source's frames, each with the sound up to its time. The server hanging up is the end."""
        try:
            items = self._inner.step()
        except SourceError as error:
            if not self.numbers:
                raise
            raise EndOfSource from error
        given: list[Item] = []
        for item in items:
            if isinstance(item, VideoFrame):
                self.numbers[item.t_ns] = read(item.pixels)
                given += self._sound_up_to(item.t_ns)
            if not isinstance(item, SourceEvent):  # that the camera has no sound is known
                given.append(item)
        return given

    def close(self) -> None:
        self._inner.close()

    def _sound_up_to(self, t_ns: int) -> Sequence[AudioBlock]:
        if self._start_ns is None:
            self._start_ns = t_ns
        end = min((t_ns + MARGIN_NS - self._start_ns) * self._rate_hz // NS_PER_S, len(self._sound))
        first, self._given = self._given, max(end, self._given)
        if self._given == first:
            return ()
        block_ns = self._start_ns + first * NS_PER_S // self._rate_hz
        return (AudioBlock(self._sound[first : self._given], first, block_ns, self._rate_hz),)


class Exchanger:
    """Offers the other of two adapters for every window, from its own thread."""

    def __init__(self, slot: Slot, clock: Clock) -> None:
        bundle = slot.engine.bundle
        self._slot, self._clock = slot, clock
        self._adapters = (other_adapter(bundle), default_adapter(bundle))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exchanger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._ended.is_set():
            seen = self._slot.exchanges
            self._slot.offer(self._adapters[turn % 2])
            turn += 1
            while self._slot.exchanges == seen and not self._ended.is_set():
                self._clock.sleep_ns(LOOK_NS)


def main() -> None:
    args = arguments()
    settings = settings_from({name: getattr(args, name) for name in ("source", "bundle", "rate", "bind", "threads")})
    clock, counters = MonotonicClock(), Counters()
    with ExitStack() as closing:
        slot, _ = open_slot(settings, clock, closing)
        rate_hz = slot.engine.bundle.manifest.sound.rate_hz
        (source,) = open_sources(settings, slot.engine.bundle, clock, counters)
        camera = NumberedCamera(source, args.wav, rate_hz) if args.wav else None
        parts = assemble(settings, slot, [camera or source], clock=clock, counters=counters, closing=closing)
        loop = LiveLoop(parts)
        loop.start()
        print("opened", flush=True)
        parts.publisher.wait_for_watcher(WATCHER_MS)
        thread = CaptureThread(camera or source, parts.inbox, clock)
        closing.callback(thread.stop)
        thread.start()
        closing.callback(parts.inbox.close)
        if args.exchange:
            exchanger = Exchanger(slot, clock)
            exchanger.start()
            closing.callback(exchanger.stop)
        while loop.step():
            pass
        loop.settle()
        loop.finish("end of the source")
        report = parts.health.report(parts.aligner.drift(), "end of the source")
        args.log.write_text(json.dumps({**report, "numbers": camera.numbers if camera else {}}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--rate", choices=["realtime", "fast"], default="realtime")
    parser.add_argument("--bind", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wav", type=Path, help="the source is a numbered camera, this is its sound")
    parser.add_argument("--exchange", action="store_true", help="exchange the adapter for every window")
    parser.add_argument("--log", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
