"""`cavs-adapt teach`: tells a running stream what sounds, or what does not, and follows the lesson until it is live."""

import argparse
import getpass
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cavs.adapt.progress_line import ProgressLine, learning_line
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock
from cavs.runtime.control import ControlClient, control_address, somebody_listens
from cavs.runtime.errors import AdaptError, ConfigError, ControlRefused, LessonRejected
from cavs.runtime.lesson import PREVIEW_FILE, PROPOSAL
from cavs.runtime.store import default_store_path
from cavs.runtime.terminal import can_draw, half_blocks

LOOK_NS = 500 * NS_PER_MS
NO_LEARNER_NS = 15 * NS_PER_S
"""A learner that is being started again is back within this."""
PREVIEW_COLUMNS, PREVIEW_ROWS = 100, 30
EXIT_INTERRUPTED = 130
ENDS = ("live", "refused", "rejected", "failed")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `teach` to cavs-adapt."""
    parser = subparsers.add_parser(
        "teach",
        help="teach a running stream a name for what sounds now",
        description="Turns what the stream saw in the last seconds into a lesson: NAME for what sounds there. The learner "
        "proposes pixels, you accept them, and it learns in the background. Ctrl-C leaves the lesson running.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="what sounds")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--correct", metavar="NAME", help="not that: what was marked just now is NAME")
    other.add_argument("--not-sounding", action="store_true", help="not that: what was marked just now does not sound")
    other.add_argument("--accept", metavar="LESSON", help="accept what the learner proposed")
    other.add_argument("--reject", metavar="LESSON", help="reject it")
    parser.add_argument("--seconds", type=float, metavar="S", help="how far back to look: 10, for corrections 3")
    hint = parser.add_mutually_exclusive_group()
    hint.add_argument(
        "--box", type=_numbers(4), metavar="X,Y,W,H", help="where it is, in pixels of the source, or each with %% of its sides"
    )
    hint.add_argument("--point", type=_numbers(2), metavar="X,Y", help="a point on it, likewise")
    hint.add_argument("--mask", type=Path, metavar="FILE", help="a PNG of the picture, white where it is")
    hint.add_argument("--object", type=int, metavar="ID", help="the object with this id on the wire")
    parser.add_argument("--yes", action="store_true", help="accept the proposal unseen")
    parser.add_argument("--no-wait", action="store_true", help="give the lesson and stop")
    add_stream_options(parser)
    parser.set_defaults(run=run)


def add_stream_options(parser: argparse.ArgumentParser) -> None:
    """Which stream is asked."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--control", metavar="ADDRESS", help="control socket of the stream")
    where.add_argument("--store", type=Path, default=default_store_path(), metavar="DIR", help="its store (%(default)s)")
    parser.add_argument("--keys", type=Path, metavar="DIR", help="directory clients/NAME made by cavs-stream keys")


def address_of(args: argparse.Namespace) -> str:
    """Where the stream that the options mean is asked."""
    return str(args.control) if args.control is not None else control_address(args.store)


def require_stream(address: str) -> None:
    """Raises ControlRefused at once if nobody can answer there."""
    if not somebody_listens(address):
        raise ControlRefused(f"{address}: no stream runs here; start one: cavs-stream --camera 0 --adapt, or give --control")


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when the lesson is live (or given, with --no-wait), 1 when it was refused."""
    do, fields = request_of(args)
    require_stream(address_of(args))
    with ControlClient(address_of(args), keys=args.keys) as client:
        if do == "decide":
            client.decide(fields["lesson"], accept=fields["accept"], by=getpass.getuser())
            lesson = fields["lesson"]
        else:
            reply = client.ask(do, **fields)
            lesson = reply["lesson"]
            print(f"lesson {lesson}: {reply['windows']} windows of {reply['seconds']:g} s")
            if reply.get("known"):
                print(f"{args.name} is known already: this lesson adds to it")
        if args.no_wait or do == "decide":
            return 0
        try:
            return Following(client, lesson, MonotonicClock()).until_the_end()
        except KeyboardInterrupt:
            print(f"\nlesson {lesson} goes on without you; see: cavs-adapt status", file=sys.stderr)
            return EXIT_INTERRUPTED


def request_of(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """What to ask of the stream. Raises ConfigError if the options do not go together."""
    said = [args.name, args.correct, args.not_sounding or None, args.accept, args.reject]
    if sum(word is not None for word in said) != 1:
        raise ConfigError("teach: one of NAME, --correct NAME, --not-sounding, --accept LESSON, --reject LESSON expected")
    if args.accept or args.reject:
        return "decide", {"lesson": args.accept or args.reject, "accept": bool(args.accept)}
    unit = _unit((args.box or ()) + (args.point or ()))
    fields: dict[str, Any] = {
        "seconds": args.seconds,
        "box": _values(args.box),
        "point": _values(args.point),
        "unit": unit if args.box or args.point else None,
        "object": args.object,
        "yes": args.yes,
    }
    if args.name is not None:
        return "teach", {**fields, "name": args.name, "mask": None if args.mask is None else read_mask(args.mask)}
    if args.mask is not None:
        raise ConfigError("--mask goes with teach NAME; a correction takes --object, --box or --point")
    return "correct", {**fields, "name": args.correct, "sounding": not args.not_sounding}


def read_mask(path: Path) -> bytes:
    """A mask file of any format that OpenCV reads, as PNG. Raises ConfigError."""
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    except OSError as error:
        raise ConfigError(f"--mask {path}: {error.strerror}; give a picture that is white where the thing is") from None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ConfigError(f"--mask {path}: no picture that can be read; give a PNG that is white where the thing is")
    return bytes(cv2.imencode(".png", pixels)[1])


class Following:
    """Asks again and again where a lesson stands, and says what is new. One thread."""

    def __init__(self, client: ControlClient, lesson: str, clock: Clock) -> None:
        self._client = client
        self._lesson = lesson
        self._clock = clock
        self._line = ProgressLine(sys.stderr)
        self._proposed = False
        self._alive_ns = clock.now_ns()

    def until_the_end(self) -> int:
        """0 if it is live, 1 if not. Raises AdaptError if no learner runs, ControlRefused if the stream is gone."""
        while True:
            told = self._client.lesson(self._lesson, preview=not self._proposed)
            if "proposal" in told and not self._proposed:
                self._proposed = True
                self._line.clear()
                self._show(told)
                if told["state"] == "proposed":
                    self._decide()
                    continue
            if told["state"] in ENDS and "outcome" in told:
                self._line.clear()
                return self._end(told)
            self._look_for_learner(told["learner"])
            self._line.show(learning_line(told["learner"], self._lesson))
            self._clock.sleep_ns(LOOK_NS)

    def _show(self, told: dict[str, Any]) -> None:
        proposal = told["proposal"]
        dropped = ", ".join(f"{reason} {count}" for reason, count in proposal["dropped"].items())
        print(f"proposal: {proposal['kept']} of {proposal['windows']} windows{f' (dropped: {dropped})' if dropped else ''}")
        if proposal["note"]:
            print(proposal["note"])
        if preview := told.get("preview"):
            print(f"preview: {self._place(told, preview)}")
            _draw(preview)

    def _place(self, told: dict[str, Any], preview: bytes) -> Path:
        """Where the preview lies; that of a stream on another machine is brought here."""
        path = Path(told["directory"]) / PROPOSAL / PREVIEW_FILE
        if not path.is_file():
            path = Path(tempfile.gettempdir()) / f"cavs-{self._lesson}.png"
            path.write_bytes(preview)
        return path

    def _decide(self) -> None:
        if not sys.stdin.isatty():
            raise LessonRejected(
                f"lesson {self._lesson} waits for you and nobody can be asked here; give --yes, or later: "
                f"cavs-adapt teach --accept {self._lesson} (or --reject)"
            )
        answer = input("learn this? [y/N] ").strip().lower()
        self._client.decide(self._lesson, accept=answer in ("y", "yes"), by=getpass.getuser())

    def _end(self, told: dict[str, Any]) -> int:
        outcome = told["outcome"]
        if told["state"] == "live":
            print(f"{told['name'] or 'the correction'} is live: version {outcome['version']}")
            return 0
        print(f"{told['state']}: {outcome['reason'] or 'no reason was given'}")
        return 1

    def _look_for_learner(self, learner: dict[str, Any]) -> None:
        now_ns = self._clock.now_ns()
        if learner["alive"]:
            self._alive_ns = now_ns
        elif now_ns - self._alive_ns > NO_LEARNER_NS:
            self._line.clear()
            raise AdaptError(
                f"no learner runs; lesson {self._lesson} waits for one: start the stream with --adapt, or run: "
                "cavs-adapt serve STORE"
            )


def _draw(png: bytes) -> None:
    if not can_draw(sys.stdout):
        return
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if pixels is not None:
        print(half_blocks(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), PREVIEW_COLUMNS, PREVIEW_ROWS))


class _numbers:  # noqa: N801  used as a type of argparse
    """So many numbers with commas between them; each may end with %."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(self, text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(","))
        try:
            [float(part.removesuffix("%")) for part in parts]
        except ValueError:
            parts = ()
        if len(parts) != self._count:
            raise argparse.ArgumentTypeError(f"{text!r}: {self._count} numbers with commas between them expected")
        return parts


def _unit(parts: tuple[str, ...]) -> str:
    """Raises ConfigError if some numbers have a percent sign and some have none."""
    percent = [part.endswith("%") for part in parts]
    if any(percent) and not all(percent):
        raise ConfigError(f"{','.join(parts)}: all numbers in pixels, or all with %")
    return "fraction" if any(percent) else "px"


def _values(parts: tuple[str, ...] | None) -> list[float] | None:
    if parts is None:
        return None
    return [float(part.removesuffix("%")) / (100 if part.endswith("%") else 1) for part in parts]
