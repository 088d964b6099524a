"""cavs-stream calibrate: measures the constant offset between a camera and a microphone with claps."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock
from cavs.runtime.command import CommandParser
from cavs.stream.camera import CameraSource
from cavs.stream.claps import Measured, MotionMeter, compare, onsets
from cavs.stream.inbox import Inbox, Item, Strategy
from cavs.stream.items import AudioBlock, VideoFrame
from cavs.stream.media import MediaSource
from cavs.stream.microphone import MicrophoneSource
from cavs.stream.offsets import store_offset
from cavs.stream.sound_line import SoundLine
from cavs.stream.source import CaptureThread, Source

RATE_HZ = 16_000
LONGEST_S = 600
"""Longest recording that is looked at: the sound of it is kept in memory, 38 MB."""
FRAMES, BLOCKS_S = 64, 30.0


class Listener:
    """Gathers what the sources give, and measures at the end."""

    def __init__(self, exact: bool, seconds: float) -> None:
        """exact: the sound's stamps are a file's; else a line is fitted through a live device's."""
        self._motion = MotionMeter()
        self._line = SoundLine(RATE_HZ, seconds, exact=exact)
        self._first: int | None = None
        self.seconds = 0.0
        """How much picture was seen."""
        self._start_ns: int | None = None

    def add(self, item: Item) -> None:
        """One more frame or block; events are passed over."""
        if isinstance(item, VideoFrame):
            self._start_ns = item.t_ns if self._start_ns is None else self._start_ns
            self.seconds = (item.t_ns - self._start_ns) / NS_PER_S
            self._motion.add(item.pixels, item.t_ns)
        elif isinstance(item, AudioBlock):
            self._first = item.first if self._first is None else self._first
            self._line.push(item)

    def measure(self) -> Measured:
        """Raises CavsError if there are too few claps."""
        first = self._first or 0
        sound = np.zeros(min(max(self._line.end - first, 0), self._line.capacity), np.float32)
        self._line.cut(self._line.end, sound)
        begins = self._line.end - len(sound) + onsets(sound, RATE_HZ)
        heard_ns = np.array([self._line.time_of(int(sample)) for sample in begins], np.int64)
        return compare(self._motion.peaks(), heard_ns)


def listen(sources: Sequence[Source], clock: Clock, seconds: float) -> Measured:
    """Drains live sources, or a file to its end, and measures. Raises CavsError."""
    live = sources[0].live
    listener = Listener(exact=not live, seconds=seconds if live else LONGEST_S)
    strategy = Strategy.DROP_OLDEST if live else Strategy.WAIT
    inbox = Inbox(strategy, frame_capacity=FRAMES, block_capacity_s=BLOCKS_S, producers=len(sources))
    with ExitStack() as closing:
        for source in sources:
            thread = CaptureThread(source, inbox, clock)
            closing.callback(thread.stop)
            thread.start()
        closing.callback(inbox.close)
        while not inbox.ended and listener.seconds < (seconds if live else LONGEST_S):
            for item in inbox.take(100 * NS_PER_MS):
                listener.add(item)
    return listener.measure()


def main(argv: list[str] | None = None) -> int:
    """Measures, prints, remembers."""
    args = _parser().parse_args(argv)
    clock = MonotonicClock()
    sources: list[Source]
    if args.source is not None:
        sources = [MediaSource(args.source, rate_hz=RATE_HZ, clock=clock, rate="fast")]
    else:
        sources = [
            CameraSource(args.camera, clock=clock, fps=args.fps),
            MicrophoneSource(args.mic, rate_hz=RATE_HZ, clock=clock),
        ]
        print(f"Clap slowly, once a second, hands large in the picture, for {args.seconds:g} s.", flush=True)
    measured = listen(sources, clock, args.seconds)
    print(f"offset {measured.offset_ms:+.1f} ms, +- {measured.spread_ms:.1f} ms a clap, {measured.claps} claps")
    print(f"use it: cavs-stream ... --offset-ms {measured.offset_ms:.1f}")
    if args.source is None and args.store:
        file = store_offset(args.camera, args.mic, measured)
        print(f"stored for this camera and microphone in {file}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="cavs-stream calibrate",
        description="Clap a few times before camera and microphone: measures how much later the picture is stamped than the "
        "sound. A recorded file works as well; then nothing is stored.",
    )
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument("--camera", default="0", metavar="CAMERA", help="as for cavs-stream; default 0")
    inputs.add_argument("--source", metavar="FILE", help="a recording with claps, instead of live devices")
    parser.add_argument("--mic", metavar="MIC", help="as for cavs-stream; default: the system's")
    parser.add_argument("--fps", type=float, metavar="HZ", help="frame rate asked of the camera; more is more exact")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="S", help="how long to listen, default 15")
    parser.add_argument("--no-store", dest="store", action="store_false", help="only print")
    return parser
