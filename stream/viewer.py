"""What a running stream says, followed: seconds summed up in a line, pictures joined with their masks."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.errors import CavsError, WireError
from cavs.stream.film import Film
from cavs.stream.header import Hello
from cavs.stream.masks import Masks
from cavs.stream.overlay import Picture, draw_overlay, level_dbfs
from cavs.stream.wire import Event, Message, Preview

MASKS_KEPT = 256
"""Masks that wait for their picture, which comes a little later; the oldest is given up."""
PICTURE_PATIENCE_WINDOWS = 90
END_PATIENCE_NS = NS_PER_S // 2
"""How long after the word `ended` late pictures are taken."""

THUMB_SHOWN_NS = 5 * NS_PER_S
"""How long the picture of an event stays in the corner."""

FORMED = "windows_"
"""Counters of what went well; all others are of something lost, by cause."""
CAUSES_SHOWN = 4


class WatchError(CavsError):
    """What was asked for cannot be shown or saved."""


@dataclass(slots=True)
class Second:
    """What one second brought."""

    latencies_ms: list[float] = field(default_factory=list)
    windows: int = 0
    objects: int = 0
    names: Counter[str] = field(default_factory=Counter)
    flags: set[str] = field(default_factory=set)

    def add(self, masks: Masks) -> None:
        self.windows += 1
        self.latencies_ms.append(masks.latency_ms.get("end_to_end", (masks.sent_ns - masks.t_ns) / NS_PER_MS))
        self.objects += len(masks.objects)
        self.names.update(thing.cls for thing in masks.objects)
        self.flags |= masks.flags


class Viewer:
    """Takes messages in, keeps count, joins pictures with their masks. `step` takes one message; one thread."""

    def __init__(
        self, clock: Clock, *, film: Film | None = None, show: Callable[[Picture], None] | None = None, keep: bool = False
    ) -> None:
        self._clock = clock
        self._film = film
        self._show = show
        self._wants_pictures = film is not None or show is not None or keep
        self._waiting: OrderedDict[int, Masks] = OrderedDict()
        self._second = Second()
        self._second_ns = clock.now_ns()
        self._last: Masks | None = None
        self._ended_ns: int | None = None
        self._thumb: Picture | None = None
        self._thumb_ns = 0
        self._without_picture = 0
        self.windows = 0
        self.pictures = 0
        self.pictures_damaged = 0
        self.picture: Picture | None = None
        """The newest picture with its masks drawn in; with something that sounds in it, if there was one."""
        self._picture_sounds = False

    @property
    def taken(self) -> int:
        """Windows seen; if pictures are wanted, those that came with one."""
        return self.pictures if self._wants_pictures else self.windows

    @property
    def ended(self) -> bool:
        """True when the stream has said that it ends and its last pictures have had their time."""
        return self._ended_ns is not None and self._clock.now_ns() - self._ended_ns >= END_PATIENCE_NS

    def step(self, message: Message | None) -> str | None:
        """Takes what came (None: nothing for a while). A line to print, or None. Raises WatchError, FilmError."""
        if isinstance(message, Masks):
            self._take_masks(message)
        elif isinstance(message, Preview):
            self._take_picture(message)
        elif isinstance(message, Hello):
            if self._wants_pictures and not message.preview:
                raise WatchError("this stream sends no pictures: it runs with --no-preview; start it without")
        elif isinstance(message, Event):
            self._ended_ns = self._clock.now_ns() if message.kind == "ended" else None
            if message.thumb:
                self._thumb, self._thumb_ns = decoded(message.thumb), self._clock.now_ns()
            picture = f" [a picture of {len(message.thumb)} bytes]" if message.thumb else ""
            return f"event: {message.kind} {message.subject}: {message.text}{picture}"
        return None

    def line(self, missed: int, *, closing: bool = False) -> str | None:
        """The line of the second that has passed, once it has. missed: windows the subscriber has missed so far.

        closing: the line of a second that is not over, if it brought anything.
        """
        passed_ns = self._clock.now_ns() - self._second_ns
        due = self._second.windows > 0 and passed_ns > 0 if closing else passed_ns >= NS_PER_S
        if not due or self._last is None:
            return None
        second, self._second, self._second_ns = self._second, Second(), self._clock.now_ns()
        return status_line(second, passed_ns / NS_PER_S, self._last, missed)

    def _take_masks(self, masks: Masks) -> None:
        self.windows += 1
        self._last = masks
        self._ended_ns = None
        self._second.add(masks)
        if not self._wants_pictures:
            return
        self._waiting[masks.seq] = masks
        if len(self._waiting) > MASKS_KEPT:
            self._waiting.popitem(last=False)
        self._without_picture += 1
        if self.pictures == 0 and self._without_picture > PICTURE_PATIENCE_WINDOWS:
            raise WatchError(f"{self._without_picture} windows came without a picture; is it started with --no-preview?")

    def _take_picture(self, preview: Preview) -> None:
        masks = self._waiting.pop(preview.seq, None)
        if masks is None:
            return
        try:
            picture = drawn(preview, masks)
        except WireError:
            self.pictures_damaged += 1
            return
        if self._thumb is not None and self._clock.now_ns() - self._thumb_ns < THUMB_SHOWN_NS:
            paste(self._thumb, picture)
        self.pictures += 1
        if masks.objects or not self._picture_sounds:
            self.picture, self._picture_sounds = picture, bool(masks.objects)
        if self._film is not None:
            self._film.add(picture, preview.t_ns, preview.samples, rate_hz=preview.rate_hz, first=preview.first)
        if self._show is not None:
            self._show(picture)


def drawn(preview: Preview, masks: Masks) -> Picture:
    """The picture of a preview, RGB, with the masks of the same window drawn in. Raises WireError if it is no JPEG."""
    picture = decoded(preview.jpeg)
    if picture is None or picture.shape[:2] != (preview.height, preview.width):
        raise WireError(f"picture {preview.seq}: {len(preview.jpeg)} bytes are no JPEG of {preview.height}x{preview.width}")
    return draw_overlay(picture, masks.objects, masks.heard, level=level_dbfs(preview.samples))


def decoded(jpeg: bytes) -> Picture | None:
    """RGB, or None if these bytes are no picture."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return None if pixels is None else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def paste(thumb: Picture, picture: Picture) -> None:
    """Puts a small picture into the upper right corner of another, as much of it as fits."""
    height, width = min(len(thumb), len(picture)), min(thumb.shape[1], picture.shape[1])
    picture[:height, picture.shape[1] - width :] = thumb[:height, :width]


def status_line(second: Second, passed_s: float, last: Masks, missed: int) -> str:
    """One second in one line."""
    p50, p99 = np.percentile(second.latencies_ms, [50, 99]) if second.latencies_ms else (float("nan"), float("nan"))
    names = ", ".join(name for name, _ in second.names.most_common(4)) or "silence"
    objects = second.objects / second.windows if second.windows else 0.0
    model = last.model
    version = f"v{model.version} " if model.version is not None else ""
    drops = Counter({cause: count for cause, count in last.counters.items() if count and not cause.startswith(FORMED)})
    parts = [
        f"{second.windows / passed_s:5.1f} fps",
        f"latency p50 {p50:.1f} p99 {p99:.1f} ms",
        f"{objects:.1f} objects: {names}",
        f"model {version}{model.adapter[:12]}@{model.bundle[:12]} {model.engine}",
        "drops " + (", ".join(f"{cause} {count}" for cause, count in drops.most_common(CAUSES_SHOWN)) or "none"),
        f"missed {missed}",
    ]
    return " | ".join(parts + sorted(second.flags))
