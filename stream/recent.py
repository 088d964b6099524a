"""The last windows of the stream, in memory, for teaching: bounded in seconds and in bytes, written to no disk by itself."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import ConfigError
from cavs.runtime.lesson_windows import Windows
from cavs.stream.header import SoundFormat
from cavs.stream.items import Window
from cavs.stream.masks import Box, SoundingObject

MIB = 1 << 20
FRAMES_PER_S_MAX = 60
"""More are not kept, however much memory there is."""
FRAMES_LEAST = 8
EMPTY_NS = -(1 << 62)
"""Time of a place that holds nothing, or is being written."""
READ_TRIES = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What the ring holds: how much of the past, in how many frames, of how large pictures (height, width)."""

    seconds: float
    frames: int
    source: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object as it was published: its id on the wire, its class, its box on the grid of the masks."""

    id: int
    cls: str
    box: Box


class Recent:
    """A ring of frames at the network's size and one of sound.

    The live loop calls `append`, which waits for nobody and allocates nothing big. Any one other thread reads; a
    place that is written while it is read is left out. If there is no room for every frame of `seconds`, they are thinned
    evenly.

    seconds, mib: the bounds; the memory is taken at once. sound: what the model listens to. size: (height, width) of its frame.
    Raises ConfigError if mib has no room for a few frames.
    """

    def __init__(self, size: tuple[int, int], sound: SoundFormat, *, seconds: float, mib: float) -> None:
        self.seconds = seconds
        self._size = size
        self._format = sound
        self._sound = np.zeros(math.ceil((seconds + 1) * sound.rate_hz) + 2 * sound.samples, np.float32)
        frame_bytes = size[0] * size[1] * 3
        room = int(mib * MIB - self._sound.nbytes) // frame_bytes
        if room < FRAMES_LEAST:
            least = math.ceil((self._sound.nbytes + FRAMES_LEAST * frame_bytes) / MIB)
            raise ConfigError(
                f"--recent-mib {mib:g}: no room for {seconds:g} s; give {least} or more, or fewer --recent-seconds"
            )
        count = min(room, math.ceil(seconds * FRAMES_PER_S_MAX))
        self._apart_ns = round(seconds * NS_PER_S / count)
        self._frames = np.empty((count, *size, 3), np.uint8)
        for array in (self._frames, self._sound):
            array.fill(0)  # the pages are there before the live loop writes to them
        self._t_ns = [EMPTY_NS] * count
        self._seen: list[tuple[SeenObject, ...]] = [()] * count
        self._written = 0
        self._due_ns = self._newest_ns = EMPTY_NS
        self._sound_first = 0
        self._sound_stop: int | None = None
        """Numbers of the first sample there is and of the one after the last, counted from time 0 of the clock."""
        self._began = 0
        """How often the time line began again; a reader that sees it change reads again."""
        self._source: tuple[int, int] | None = None

    @property
    def mib(self) -> float:
        """Memory taken."""
        return (self._frames.nbytes + self._sound.nbytes) / MIB

    def append(self, window: Window, frame: npt.NDArray[np.uint8], objects: Sequence[SoundingObject]) -> None:
        """Keeps a window that was published. frame: uint8 (H, W, 3), as the network saw it; copied."""
        t_ns = window.frame.t_ns
        if t_ns == self._newest_ns:
            return
        if t_ns < self._newest_ns:  # the source began again
            self._begin_again()
        self._newest_ns = t_ns
        self._source = (window.frame.pixels.shape[0], window.frame.pixels.shape[1])
        self._append_sound(window)
        if t_ns < self._due_ns:
            return
        self._due_ns = max(self._due_ns + self._apart_ns, t_ns)
        place = self._written % len(self._t_ns)
        self._t_ns[place] = EMPTY_NS
        np.copyto(self._frames[place], frame)
        self._seen[place] = tuple(SeenObject(thing.id, thing.cls, thing.box) for thing in objects)
        self._t_ns[place] = t_ns
        self._written += 1

    def held(self, now_ns: int | None) -> Held:
        """now_ns: the clock, where it is the stream's time line; None for a file read fast."""
        times = [t_ns for _, t_ns in self._places(self.seconds, now_ns)]
        return Held((times[-1] - times[0]) / NS_PER_S if times else 0.0, len(times), self._source)

    def objects(self, now_ns: int | None) -> tuple[SeenObject, ...]:
        """What sounded in the newest window in which anything did; nothing if there was none in the time kept."""
        for place, _ in reversed(self._places(self.seconds, now_ns)):
            if seen := self._seen[place]:
                return seen
        return ()

    def windows(self, seconds: float, now_ns: int | None, *, most: int | None = None) -> Windows | None:
        """A copy of the last seconds, thinned evenly to `most` frames; None if no window was formed in that time."""
        return self._copied(lambda: _thinned(self._places(seconds, now_ns), most))

    def windows_of(self, thing: int, seconds: float, now_ns: int | None) -> Windows | None:
        """The windows in which an object was marked, of the last seconds in which it was; None if it was in none."""

        def marked() -> list[tuple[int, int]]:
            places = [at for at in self._places(self.seconds, now_ns) if self._box_of(thing, at[0]) is not None]
            return [at for at in places if at[1] > places[-1][1] - seconds * NS_PER_S]

        return self._copied(marked, thing)

    def _begin_again(self) -> None:
        self._began += 1
        self._t_ns = [EMPTY_NS] * len(self._t_ns)
        self._due_ns = EMPTY_NS
        self._sound_stop = None

    def _append_sound(self, window: Window) -> None:
        """Writes the whole sound of the window at its place in time: what came late for the window before is there now."""
        stop = round(window.sound_end_ns * self._format.rate_hz / NS_PER_S)
        start = stop - len(window.sound)
        if self._sound_stop is None:
            self._sound_first = self._sound_stop = start
        elif start > self._sound_stop:  # no window for longer than one hears: nothing was heard there
            hole = min(start - self._sound_stop, len(self._sound) - len(window.sound))
            self._put_sound(start - hole, np.zeros(hole, np.float32))
        self._put_sound(start, window.sound)
        self._sound_stop = max(stop, self._sound_stop)

    def _put_sound(self, start: int, samples: npt.NDArray[np.float32]) -> None:
        capacity = len(self._sound)
        at = start % capacity
        first = min(len(samples), capacity - at)
        self._sound[at : at + first] = samples[:first]
        self._sound[: len(samples) - first] = samples[first:]

    def _places(self, seconds: float, now_ns: int | None) -> list[tuple[int, int]]:
        """(place, t_ns) of the frames not older than this, oldest first. They may be overwritten while they are read."""
        times, written = self._t_ns, self._written
        ring = ((number % len(times)) for number in range(max(0, written - len(times)), written))
        all_places = [(place, times[place]) for place in ring]
        since_ns = (self._newest_ns if now_ns is None else now_ns) - round(min(seconds, self.seconds) * NS_PER_S)
        return [(place, t_ns) for place, t_ns in all_places if t_ns != EMPTY_NS and t_ns > since_ns]

    def _copied(self, choose: Callable[[], list[tuple[int, int]]], thing: int | None = None) -> Windows | None:
        """A copy of the places chosen. A place that the live loop has taken meanwhile is left out."""
        for _ in range(READ_TRIES):
            began, places, stop = self._began, choose(), self._sound_stop
            if not places or stop is None:
                return None
            frames = np.empty((len(places), *self._size, 3), np.uint8)
            times: list[int] = []
            boxes: list[tuple[float, ...]] = []
            for place, t_ns in places:
                np.copyto(frames[len(times)], self._frames[place])
                box = None if thing is None else self._box_of(thing, place)
                if self._t_ns[place] == t_ns:
                    times.append(t_ns)
                    boxes.append(box or (0.0, 0.0, 0.0, 0.0))
            sound, start = self._sound_between(times[0], times[-1]) if times else (np.zeros(0, np.float32), 0)
            if times and began == self._began:
                return Windows(
                    frames=frames[: len(times)],
                    t_ns=np.array(times, np.int64),
                    sound=sound,
                    sound_start_ns=round(start * NS_PER_S / self._format.rate_hz),
                    rate_hz=self._format.rate_hz,
                    boxes=None if thing is None else np.array(boxes, np.float32),
                )
        return None

    def _sound_between(self, first_ns: int, last_ns: int) -> tuple[npt.NDArray[np.float32], int]:
        """What was heard with the frames of these times, and the number of its first sample."""
        rate_hz, length, capacity = self._format.rate_hz, self._format.samples, len(self._sound)
        ahead = self._format.lookahead_samples
        start = round(first_ns * rate_hz / NS_PER_S) + ahead - length
        stop = min(round(last_ns * rate_hz / NS_PER_S) + ahead, self._sound_stop or 0)
        start = min(max(start, self._sound_first, stop - capacity), stop)
        sound = self._sound[np.arange(start, stop) % capacity]
        overwritten = max(0, (self._sound_stop or 0) + length - capacity - start)  # one window may be under way
        return np.nan_to_num(sound[overwritten:]), start + overwritten

    def _box_of(self, thing: int, place: int) -> tuple[float, ...] | None:
        """Fractions of the picture; None if the object was not marked there."""
        for seen in self._seen[place]:
            if seen.id == thing:
                height, width = self._size
                x, y, w, h = seen.box
                return x / width, y / height, w / width, h / height
        return None


def _thinned(places: list[tuple[int, int]], most: int | None) -> list[tuple[int, int]]:
    """At most so many, evenly, with the newest."""
    if most is None or len(places) <= most:
        return places
    return [places[len(places) - 1 - k * len(places) // most] for k in reversed(range(most))]
