"""A live microphone: every block it gives, numbered on its own line, with the best time that can be had."""

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.errors import MicrophoneLost
from cavs.stream.counters import Counters
from cavs.stream.inbox import Item
from cavs.stream.items import StampGrade
from cavs.stream.microphone_device import Callback, OpenMicrophone, open_microphone, start_portaudio
from cavs.stream.pacing import SenderLine
from cavs.stream.resample import SoundConverter

SLOTS = 128
"""Blocks between the callback and the reader: 2.5 s."""
NAP_NS = 5 * NS_PER_MS
"""Sleep when nothing has come; a quarter of a block."""
SANE_AGE_NS = 5 * NS_PER_S
"""A stamp further from the clock than this is of another clock."""
SANE_FUTURE_NS = 20 * NS_PER_MS
BASELINE_BLOCKS = 51
"""The usual distance of stamps and samples is the median over a second."""
WARM_UP_BLOCKS = 100
"""For so long after the start no stamp is believed: PulseAudio first guesses its delay and corrects itself by 200 ms."""
PA_INPUT_OVERFLOW = 2
PA_CONTINUE = 0

OVERFLOWS, GAPS = "sound_overflows", "sound_gaps_microphone"


class BlockRing:
    """Blocks on their way from PortAudio's thread to ours. One writer, one reader, no lock.

    The callback copies and notes two times, nothing else: while it runs, the sound card's buffer fills up.
    """

    def __init__(self, clock: Clock, channels: int, block_frames: int) -> None:
        self._clock = clock
        self._samples = np.zeros((SLOTS, block_frames * channels), np.int16)
        self._channels = channels
        self._notes: list[tuple[int, int, float, float, int, int]] = [(0, 0, 0.0, 0.0, 0, 0)] * SLOTS
        self._written = 0
        self._read = 0
        self._dropped_frames = 0

    def callback(self, data: bytes | None, frames: int, times: dict[str, float], status: int) -> tuple[None, int]:
        """What PortAudio calls."""
        if data is None:
            return None, PA_CONTINUE
        if self._written - self._read >= SLOTS:
            self._dropped_frames += frames
            return None, PA_CONTINUE
        slot = self._written % SLOTS
        samples = np.frombuffer(data, np.int16)
        self._samples[slot, : len(samples)] = samples
        adc_s, current_s = times["input_buffer_adc_time"], times["current_time"]
        self._notes[slot] = (len(samples), self._clock.now_ns(), adc_s, current_s, status, self._dropped_frames)
        self._written += 1  # last: from here on the reader may have it
        return None, PA_CONTINUE

    def drain(self) -> "list[RawBlock]":
        """Copies of what has come since the last call, oldest first."""
        blocks = []
        while self._read < self._written:
            slot = self._read % SLOTS
            count, heard_ns, adc_s, current_s, status, dropped_frames = self._notes[slot]
            samples = self._samples[slot, :count].reshape(-1, self._channels).copy()
            self._read += 1
            blocks.append(
                RawBlock(samples, heard_ns, round(adc_s * NS_PER_S), round(current_s * NS_PER_S), status, dropped_frames)
            )
        return blocks


class RawBlock(NamedTuple):
    """A block as PortAudio gave it.

    samples:        (n, channels).
    heard_ns:       when the callback was called.
    adc_ns:         PortAudio's time of the first sample, on a clock that may be any; 0 if it has none.
    current_ns:     PortAudio's time of the call, on the same clock.
    dropped_frames: samples per channel lost between callback and reader, since the start.
    """

    samples: npt.NDArray[np.int16]
    heard_ns: int
    adc_ns: int
    current_ns: int
    status: int
    dropped_frames: int


class BlockTimes:
    """When the first sample of a block was recorded, and how many were lost before it.

    PortAudio's time of the analogue-digital converter is on CLOCK_MONOTONIC (ALSA), on the wall clock (the PulseAudio
    plugin), or missing; that differs by device and version, so it is judged block by block: on our clock it is taken as it
    is (A), on another one it is brought over by the shortest delay seen between that clock and the callback (B), and
    without it the callback's own time less the block's length must do (C).
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._other_clock = SenderLine(reanchor_ns=NS_PER_S)
        self._last_adc_ns = 0
        self._blocks = 0
        self._frames = 0  # received or known to be lost
        self._grade = StampGrade.C
        self._beside_ns: deque[int] = deque(maxlen=BASELINE_BLOCKS)
        self._dropped_frames = 0

    def judge(self, block: RawBlock) -> tuple[int, StampGrade]:
        """Time of the block's first sample and what it is worth."""
        t_ns, grade = self._judge(block)
        if grade is not self._grade:  # another clock, another usual distance
            self._beside_ns.clear()
        self._grade = grade
        return t_ns, grade

    def _judge(self, block: RawBlock) -> tuple[int, StampGrade]:
        frames = len(block.samples)
        believed = block.adc_ns > self._last_adc_ns and self._blocks >= WARM_UP_BLOCKS
        self._last_adc_ns = block.adc_ns
        self._blocks += 1
        if believed and -SANE_FUTURE_NS < block.heard_ns - block.adc_ns < SANE_AGE_NS:
            return block.adc_ns, StampGrade.A
        if believed and -SANE_FUTURE_NS < block.current_ns - block.adc_ns < SANE_AGE_NS:
            self._other_clock.observe(block.current_ns, block.heard_ns)
            return self._other_clock.t_ns(block.adc_ns), StampGrade.B
        return block.heard_ns - frames * NS_PER_S // self._rate_hz, StampGrade.C

    def lost_before(self, block: RawBlock, t_ns: int) -> int:
        """Samples lost right before this block: known where we dropped them, estimated where the sound card did."""
        lost = block.dropped_frames - self._dropped_frames
        self._dropped_frames = block.dropped_frames
        beside_ns = t_ns - (self._frames + lost) * NS_PER_S // self._rate_hz
        if block.status & PA_INPUT_OVERFLOW and self._beside_ns:
            late_ns = beside_ns - round(statistics.median(self._beside_ns))
            late = late_ns * self._rate_hz // NS_PER_S
            if late > len(block.samples) // 2:  # less is jitter of the stamp
                lost += late
                beside_ns -= late_ns
        self._beside_ns.append(beside_ns)
        self._frames += lost + len(block.samples)
        return lost


class MicrophoneSource:
    """A microphone by number, name, part of its name, or the system's default (None).

    silent_ms: a microphone that gives no block for so long is lost; the first block may take `first_ms` (the PulseAudio
    plugin needs 1.6 s to start).
    start: what starts PortAudio; another PyAudio may be given.
    """

    live = True

    def __init__(
        self,
        wanted: str | None,
        *,
        rate_hz: int,
        clock: Clock,
        counters: Counters | None = None,
        silent_ms: int = 1500,
        first_ms: int = 8000,
        start: Callable[[], Any] = start_portaudio,
    ) -> None:
        self._wanted = wanted
        self._clock = clock
        self._silent_ms = silent_ms
        self._first_ms = first_ms
        self._start = start
        self._converter = SoundConverter(rate_hz, gap_ns=None)
        self._device: OpenMicrophone | None = None
        self.name = f"microphone:{'default' if wanted is None else wanted}"
        self.counters = counters if counters is not None else Counters()
        self.counters.declare(OVERFLOWS, GAPS)

    @property
    def device(self) -> OpenMicrophone | None:
        """The open device, with the rate and the channels that it really has."""
        return self._device

    def open(self) -> None:
        """Finds the microphone anew, opens and starts it."""
        self.close()

        def callback_for(channels: int, block_frames: int) -> Callback:
            self._ring = BlockRing(self._clock, channels, block_frames)
            return self._ring.callback

        self._device = open_microphone(self._wanted, self._converter.rate_hz, callback_for, self._start)
        self._times = BlockTimes(self._device.rate_hz)
        self._heard_ns = self._clock.now_ns()  # PortAudio may have taken seconds to look at all devices
        self._deadline_ms = self._first_ms
        self.name = f"microphone:{self._device.microphone.name}"

    def step(self) -> Sequence[Item]:
        """The blocks that have come; sleeps for a quarter of a block if there are none."""
        if self._device is None:
            raise ValueError(f"{self.name}: step() before open()")
        raw_blocks = self._ring.drain()
        if not raw_blocks:
            self._check_silence(self._device)
            self._clock.sleep_ns(NAP_NS)
            return []
        self._heard_ns = raw_blocks[-1].heard_ns
        self._deadline_ms = self._silent_ms
        items: list[Item] = []
        for block in raw_blocks:
            items += self._converted(block, self._device.rate_hz)
        return items

    def close(self) -> None:
        """Stops and frees the microphone."""
        if self._device is not None:
            self._device.close()
            self._converter.flush()  # what comes after the pause is numbered by its time
        self._device = None

    def _converted(self, block: RawBlock, rate_hz: int) -> Sequence[Item]:
        t_ns, self._converter.grade = self._times.judge(block)
        overflowed = bool(block.status & PA_INPUT_OVERFLOW)
        self.counters.count(OVERFLOWS, overflowed)
        lost = self._times.lost_before(block, t_ns)
        items: list[Item] = []
        if lost > 0:
            self.counters.count(GAPS)
            items += self._converter.skip(lost * NS_PER_S // rate_hz)
        return [*items, *self._converter.push(block.samples, rate_hz, t_ns)]

    def _check_silence(self, device: OpenMicrophone) -> None:
        silent_ms = (self._clock.now_ns() - self._heard_ns) // NS_PER_MS
        if not device.running:
            raise MicrophoneLost(f"{self.name}: the sound system stopped it; was it unplugged?")
        if silent_ms > self._deadline_ms:
            raise MicrophoneLost(
                f"{self.name}: no sound for {silent_ms} ms, deadline {self._deadline_ms} ms; was it unplugged?"
            )
