"""cavs-stream watch: a running stream as a line a second, a video with sound, a picture, or pictures in the terminal."""

import argparse
import sys
from pathlib import Path

import cv2

from cavs.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cavs.runtime.command import CommandParser, terminated_like_interrupted
from cavs.runtime.terminal import CLEAR, can_draw, draw
from cavs.stream.film import Film
from cavs.stream.overlay import Picture
from cavs.stream.settings import DEFAULT_BIND
from cavs.stream.subscriber import StreamSilent, Subscriber
from cavs.stream.viewer import Viewer, WatchError
from cavs.stream.wire import EVENT, FRAME, HELLO, MASKS

RECEIVE_MS = 100
"""Longest wait for a message, so that the line of a silent second comes, too."""
SHOW_EVERY_NS = NS_PER_S // 15
"""A terminal takes no more pictures than this."""
SILENCE_TOLD_NS = 3 * NS_PER_S
SILENT_END_NS = 10 * NS_PER_S
"""With --until-end, a stream that was there and says nothing for so long is over, too."""


class TerminalScreen:
    """Shows pictures in the terminal, no faster than it can take them, with the last status line below."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_ns = clock.now_ns()
        self.status = ""
        sys.stdout.write(CLEAR)

    def show(self, picture: Picture) -> None:
        """Draws it unless the one before was drawn just now."""
        if self._clock.now_ns() >= self._next_ns:
            draw(picture, self.status)
            self._next_ns = self._clock.now_ns() + SHOW_EVERY_NS

    def leave(self) -> None:
        """The lines that follow stand below the picture."""
        sys.stdout.write("\n")


def parser() -> argparse.ArgumentParser:
    """The flags of cavs-stream watch."""
    made = CommandParser(
        prog="cavs-stream watch",
        description="Shows what a running stream says: a line a second, and on demand a video or a picture.",
    )
    made.add_argument("address", nargs="?", default=DEFAULT_BIND, metavar="ADDRESS", help=f"default {DEFAULT_BIND}")
    made.add_argument("--stream", metavar="NAME", help="name of the stream; default: whichever speaks")
    made.add_argument("--save", type=Path, metavar="FILE.mp4", help="write a video with masks drawn in and the sound")
    made.add_argument("--snapshot", type=Path, metavar="FILE.png", help="write the newest picture; alone, take one and stop")
    made.add_argument("--show", action="store_true", help="draw the pictures in this terminal")
    made.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds")
    made.add_argument("--count", type=int, metavar="N", help="stop after N windows")
    made.add_argument("--until-end", action="store_true", help="stop when the stream ends")
    made.add_argument("--keys", type=Path, metavar="DIR", help="directory clients/NAME made by cavs-stream keys")
    made.add_argument("--debug", action="store_true", help="print a traceback when something fails")
    return made


class Limit:
    """When watching is over, as the flags say."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        self._args = args
        self._clock = clock
        self._start_ns = self._heard_ns = clock.now_ns()
        limited = args.save or args.show or args.seconds or args.count or args.until_end
        self._one_picture = args.snapshot is not None and not limited

    @property
    def silent_ns(self) -> int:
        """Since the last message."""
        return self._clock.now_ns() - self._heard_ns

    def heard(self) -> None:
        """A message came."""
        self._heard_ns = self._clock.now_ns()

    def reached(self, viewer: Viewer) -> bool:
        """True when what was asked for has been seen, or its time is over."""
        args = self._args
        if self._one_picture and viewer.picture is not None:
            return True
        if args.until_end and (viewer.ended or (viewer.windows and self.silent_ns > SILENT_END_NS)):
            return True
        if args.seconds is not None and self._clock.now_ns() - self._start_ns >= args.seconds * NS_PER_S:
            return True
        return args.count is not None and viewer.taken >= args.count


def main(argv: list[str]) -> int:
    """cavs-stream watch"""
    flags = parser()
    args = flags.parse_args(argv)
    if (args.seconds is not None and args.seconds <= 0) or (args.count is not None and args.count <= 0):
        flags.error("--seconds and --count take a number above 0")
    clock = MonotonicClock()
    screen = TerminalScreen(clock) if args.show and can_draw(sys.stdout) else None
    kinds = [MASKS, HELLO, EVENT] + ([FRAME] if args.save or args.snapshot or screen else [])
    interrupted = False
    with Subscriber(args.address, stream=args.stream, newest_only=False, keys=args.keys, kinds=kinds) as subscriber:
        film = Film(args.save) if args.save else None
        viewer = Viewer(clock, film=film, show=screen.show if screen else None, keep=args.snapshot is not None)
        try:
            with terminated_like_interrupted():  # what was asked for is saved
                _follow(viewer, subscriber, Limit(args, clock), screen)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if screen is not None:
                screen.leave()
            if film is not None:
                film.close()
        if viewer.windows == 0 and not interrupted:
            raise StreamSilent(f"{args.address}: no window came; {subscriber.why_silent()}")
        _say(viewer.line(subscriber.missed, closing=True), None)
    _report(viewer, film, args.snapshot)
    return 0


def _follow(viewer: Viewer, subscriber: Subscriber, limit: Limit, screen: TerminalScreen | None) -> None:
    told_silence = False
    while not limit.reached(viewer):
        message = subscriber.receive(RECEIVE_MS)
        if message is not None:
            limit.heard()
        elif not told_silence and limit.silent_ns > SILENCE_TOLD_NS:
            told_silence = True
            print(f"{subscriber.address}: no message for 3 s; {subscriber.why_silent()}", file=sys.stderr)
        for line in (viewer.step(message), viewer.line(subscriber.missed)):
            _say(line, screen)


def _say(line: str | None, screen: TerminalScreen | None) -> None:
    if line is not None and screen is not None:
        screen.status = line
    elif line is not None:
        print(line, flush=True)


def _report(viewer: Viewer, film: Film | None, snapshot: Path | None) -> None:
    """Says what was saved. Raises WatchError if a picture was asked for and none came."""
    if film is not None:
        print(f"{film.path}: {film.pictures} pictures")
    if snapshot is None:
        return
    if viewer.picture is None:
        raise WatchError(f"{snapshot}: not written, no picture came; is the stream started with --no-preview?")
    save_picture(snapshot, viewer.picture)
    print(f"{snapshot}: written")


def save_picture(path: Path, picture: Picture) -> None:
    """Writes a PNG or JPEG. Raises WatchError."""
    try:
        fine, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error:
        fine = False
    if not fine:
        raise WatchError(f"{path}: format {path.suffix or '(none)'} is not written; use .png or .jpg")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise WatchError(f"{path}: cannot be written: {error.strerror}") from None
