"""The last seconds of sound by absolute sample number, and which sample was recorded when."""

from collections import deque
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.counters import Counters
from cavs.stream.drift import FittedTimes, StampedTimes, TimeMap
from cavs.stream.items import AudioBlock, SourceEvent, StampGrade

PPM_SUSPECT = 500.0
"""Quartz stays within 100 ppm, bad quartz within 500; beyond that the nominal rate is wrong (44.1 for 48 kHz: -81250)."""
JUMP_NS = NS_PER_S
"""A block this far from the line was not delayed: the device stopped and came back, or its clock was set."""
JUMP_RENUMBERED_NS = 50 * NS_PER_MS
"""The same for a source that counts from the start again, and for files, whose stamps do not jitter this much."""
JOIN_NS = 50 * NS_PER_MS
"""Sound that comes back within this time of where it stopped is taken as unbroken: the difference is jitter."""
REPLAY_S = 1
"""Time that goes back further than this is another recording, not an overlap of two pieces of one."""
EVENTS = 64
CAUSES = ("sound_gaps", "samples_lost", "samples_refilled", "blocks_late", "sound_relocks")


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What is known of the sound's clock.

    ppm:          how much faster than nominal the sound card runs.
    residual_ns:  standard deviation of the stamps around the line: their jitter.
    error_ns:     standard error of the line itself: how far a cut may be off.
    locked:       enough stamps agree for the error to mean something.
    rate_suspect: |ppm| is beyond any sound card; the nominal rate is wrong.
    """

    ppm: float
    residual_ns: int
    error_ns: int
    locked: bool
    rate_suspect: bool
    grade: StampGrade
    sound_gaps: int
    samples_lost: int
    relocks: int

    def to_dict(self) -> dict[str, float | int | bool | str]:
        """Plain values, for a report or a header."""
        return {**asdict(self), "grade": self.grade.value}


class SoundLine:
    """A ring of sound indexed by sample number, with the map between sample numbers and monotonic time.

    Samples are numbered once for the life of the line, whatever the source does with its own numbers: a source that
    starts again at 0, or comes back after a minute, is joined on at the place where its time says it belongs, and what
    lies between is zeros, counted. One thread.

    exact: the stamps are the truth (files); otherwise a line is fitted through them (live devices).
    """

    def __init__(self, rate_hz: int, seconds: float, *, exact: bool = False, counters: Counters | None = None) -> None:
        if rate_hz <= 0 or seconds <= 0:
            raise ValueError(f"rate_hz={rate_hz}, seconds={seconds}: both must be positive")
        self.rate_hz = rate_hz
        self.capacity = max(int(rate_hz * seconds), 1)
        self.grade = StampGrade.C
        self.end = 0
        """Number of the sample after the newest one."""
        self.started = False
        self.counters = counters if counters is not None else Counters()
        self.counters.declare(*CAUSES)
        self._sound = np.zeros(self.capacity, np.float32)
        self._received = np.zeros(self.capacity, np.bool_)
        self._exact = exact
        self._times: TimeMap = StampedTimes(rate_hz) if exact else FittedTimes(rate_hz)
        self._shift = 0  # our number minus the source's
        self._rate_suspect = False
        self._events: deque[SourceEvent] = deque(maxlen=EVENTS)

    def push(self, block: AudioBlock) -> None:
        """Takes a block in: writes its samples, zero-fills what is missing before it, learns from its stamp."""
        if block.rate_hz != self.rate_hz:
            raise ValueError(f"block at {block.rate_hz} Hz on a line of {self.rate_hz} Hz; resample it first")
        if not len(block.samples):
            return
        self.grade = block.grade
        if not self.started:
            self._shift = 0
            self.end = block.first
            self.started = True
            self._times.restart(block.first, block.t_ns)
        first = self._place(block)
        if first >= self.end:
            self._note_step(self._times.observe(first, block.t_ns, block.grade), block.t_ns)
        else:
            self.counters.count("blocks_late")
        self._write(first, block.samples)
        self._note_rate(block.t_ns)

    def sample_at(self, t_ns: int) -> int:
        """Number of the first sample recorded at this time or later: the end of a cut that ends at `t_ns`."""
        return self._times.sample_at(t_ns)

    def time_of(self, sample: int) -> int:
        """When this sample was recorded, in monotonic ns."""
        return self._times.time_of(sample)

    def cut(self, end: int, out: npt.NDArray[np.float32]) -> int:
        """Copies the samples before `end` to `out` (N,), zeros where there are none. Returns how many are missing."""
        first = end - len(out)
        known_first = max(first, self.end - self.capacity)
        known_end = min(end, self.end)
        if known_first >= known_end:
            out.fill(0.0)
            return len(out)
        out[: known_first - first] = 0.0
        out[known_end - first :] = 0.0
        received = 0
        for start, stop, at in self._pieces(known_first, known_end):
            out[known_first - first + at : known_first - first + at + stop - start] = self._sound[start:stop]
            received += int(np.count_nonzero(self._received[start:stop]))
        return len(out) - received

    def report(self) -> DriftReport:
        """The state of the fit and the counts so far."""
        return DriftReport(
            ppm=self._times.ppm,
            residual_ns=round(self._times.residual_ns()),
            error_ns=self.error_ns,
            locked=self.started and self._times.locked,
            rate_suspect=self._rate_suspect,
            grade=self.grade,
            sound_gaps=self.counters["sound_gaps"],
            samples_lost=self.counters["samples_lost"] - self.counters["samples_refilled"],
            relocks=self.counters["sound_relocks"],
        )

    @property
    def error_ns(self) -> int:
        """How far a cut may be from the truth: one standard error of the line."""
        return round(self._times.error_ns())

    def drain_events(self) -> list[SourceEvent]:
        """What happened since the last call that a subscriber should hear of."""
        events = list(self._events)
        self._events.clear()
        return events

    def _place(self, block: AudioBlock) -> int:
        """The block's place on our line. A block whose time contradicts its number is believed by its time."""
        first = block.first + self._shift
        beside_ns = block.t_ns - self._times.time_of(first)
        touchy = self._exact or first < self.end
        if abs(beside_ns) <= (JUMP_RENUMBERED_NS if touchy else JUMP_NS):
            return first
        expected = self._times.sample_at(block.t_ns)
        join = JOIN_NS * self.rate_hz // NS_PER_S
        went_back = expected < self.end - self.rate_hz * REPLAY_S
        if went_back:  # nothing of the old sound may touch the new
            self._sound.fill(0.0)
            self._received.fill(False)
        first = self.end if expected < self.end + join else expected
        self._shift = first - block.first
        if went_back or not self._exact:
            self._times.restart(first, block.t_ns)
        self._note_step(beside_ns, block.t_ns)
        return first

    def _write(self, first: int, samples: npt.NDArray[np.float32]) -> None:
        if first > self.end:
            self._skip_to(first)
        if len(samples) > self.capacity:
            first += len(samples) - self.capacity
            samples = samples[-self.capacity :]
        oldest = max(self.end, first + len(samples)) - self.capacity
        if first < oldest:
            samples = samples[oldest - first :]
            first = oldest
        for start, stop, at in self._pieces(first, first + len(samples)):
            if first + at < self.end:  # a late block fills a hole that was counted as lost
                self.counters.count("samples_refilled", self._holes(start, min(stop, start + self.end - first - at)))
            self._sound[start:stop] = samples[at : at + stop - start]
            self._received[start:stop] = True
        self.end = max(self.end, first + len(samples))

    def _holes(self, start: int, stop: int) -> int:
        return stop - start - int(np.count_nonzero(self._received[start:stop]))

    def _skip_to(self, first: int) -> None:
        self.counters.count("sound_gaps")
        self.counters.count("samples_lost", first - self.end)
        for start, stop, _ in self._pieces(max(self.end, first - self.capacity), first):
            self._sound[start:stop] = 0.0
            self._received[start:stop] = False
        self.end = first

    def _pieces(self, first: int, end: int) -> list[tuple[int, int, int]]:
        """The one or two pieces of the ring that hold these samples: (start, stop, offset from `first`)."""
        length = end - first
        if length <= 0:
            return []
        start = first % self.capacity
        stop = min(start + length, self.capacity)
        pieces = [(start, stop, 0)]
        if stop - start < length:
            pieces.append((0, length - (stop - start), stop - start))
        return pieces

    def _note_step(self, step_ns: int, t_ns: int) -> None:
        if not step_ns:
            return
        self.counters.count("sound_relocks")
        text = f"the clock of the sound moved by {step_ns / NS_PER_MS:+.1f} ms; locking on again"
        self._events.append(SourceEvent("warning", "sound", text, t_ns))

    def _note_rate(self, t_ns: int) -> None:
        suspect = self._times.locked and abs(self._times.ppm) > PPM_SUSPECT
        if suspect and not self._rate_suspect:
            real_hz = self.rate_hz * (1 + self._times.ppm / 1e6)
            text = (
                f"sound runs at {real_hz:.0f} Hz, {self.rate_hz} Hz nominal ({self._times.ppm:+.0f} ppm, "
                f"{PPM_SUSPECT:.0f} allowed); is its sample rate set right?"
            )
            self._events.append(SourceEvent("warning", "sound", text, t_ns))
        self._rate_suspect = suspect
