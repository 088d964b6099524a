"""Sound of any rate, format and number of channels -> mono float32 blocks at one rate, numbered on one line."""

from collections import deque

import numpy as np
import numpy.typing as npt
import soxr

from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.items import AudioBlock, StampGrade

GAP_NS = 40 * NS_PER_MS
"""A step between two blocks beyond this is lost or repeated sound; below it is jitter of the stamps (Matroska rounds to
1 ms, an RTP clock wanders by a few)."""


def mono(samples: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Samples (N, C) of any sample type -> float32 (N,), the mean of the channels, full scale 1. Not-a-numbers become 0."""
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        scaled = samples.astype(np.float32) / 2.0 ** (8 * samples.dtype.itemsize - 1)
    else:
        scaled = samples.astype(np.float32)
    one: npt.NDArray[np.float32] = scaled[:, 0] if scaled.shape[1] == 1 else scaled.mean(axis=1, dtype=np.float32)
    if not np.isfinite(one).all():  # one of them would stay in the resampler's filter and in the engine
        one = np.nan_to_num(one, nan=0.0, posinf=0.0, neginf=0.0)
    return one


class SoundConverter:
    """Converts a stream block by block; what comes out equals the conversion of the whole at once.

    The line is continuous: blocks follow each other without a jump as long as their stamps do. A step of the stamps beyond
    `gap_ns` is lost sound (the numbers jump forward) or repeated sound (it is dropped). With gap_ns None the stamps are too
    unsteady to tell (a live microphone), and only `skip` and `flush` break the line. Not thread-safe.
    """

    def __init__(
        self, rate_hz: int, grade: StampGrade = StampGrade.A, zero_ns: int | None = None, gap_ns: int | None = GAP_NS
    ) -> None:
        """zero_ns: the time of sample number 0; None: the time of the first sample that is pushed."""
        if rate_hz <= 0:
            raise ValueError(f"rate_hz > 0 expected, seen {rate_hz}")
        self.rate_hz = rate_hz
        self.grade = grade
        self.samples_lost = 0
        """Samples jumped over so far, at the outgoing rate."""
        self._zero_ns = zero_ns
        self._gap_ns = gap_ns
        self._next = 0  # number of the next outgoing sample
        self._covered = 0  # numbers below this were given out
        self._rate_in_hz = 0
        self._resampler: soxr.ResampleStream | None = None
        self._anchors: deque[tuple[int, int]] = deque()  # (incoming samples since the restart, their time)
        self._end_ns = 0  # time of the end of the sound before the restart
        self._jump_ns: int | None = None  # how much is missing after it; None: its end and the next time tell
        self._pushed = 0  # incoming samples since the restart
        self._given = 0  # outgoing samples since the restart

    def push(self, samples: npt.NDArray[np.generic], rate_hz: int, t_ns: int) -> list[AudioBlock]:
        """Takes samples (N, C) whose first one was heard at t_ns; gives the blocks that are ready."""
        blocks: list[AudioBlock] = []
        if not self._anchors or rate_hz != self._rate_in_hz or self._steps(t_ns):
            blocks += self.flush()
            self._restart(rate_hz, t_ns)
        self._anchors.append((self._pushed, t_ns))
        self._pushed += len(samples)
        out = mono(samples)
        if self._resampler is not None:
            out = self._resampler.resample_chunk(np.ascontiguousarray(out))
        return blocks + self._block(out)

    def flush(self) -> list[AudioBlock]:
        """The rest that the filter still holds. The next block starts anew, at the place that its time gives it."""
        if not self._anchors:
            return []
        rest = np.zeros(0, np.float32)
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(rest, last=True)
        blocks = self._block(rest)
        self._end_ns = self._expected_ns()
        self._jump_ns = None
        self._anchors.clear()
        return blocks

    def skip(self, lost_ns: int) -> list[AudioBlock]:
        """Sound of this length was lost before the next block. Gives the rest that the filter still holds."""
        blocks = self.flush()
        self._jump_ns = lost_ns
        return blocks

    def _steps(self, t_ns: int) -> bool:
        return self._gap_ns is not None and abs(t_ns - self._expected_ns()) > self._gap_ns

    def _expected_ns(self) -> int:
        pushed, t_ns = self._anchors[-1]
        return t_ns + (self._pushed - pushed) * NS_PER_S // self._rate_in_hz

    def _restart(self, rate_in_hz: int, t_ns: int) -> None:
        if self._rate_in_hz == 0:  # the first block of all
            jump = 0 if self._zero_ns is None else round((t_ns - self._zero_ns) * self.rate_hz / NS_PER_S)
        else:
            jump_ns = t_ns - self._end_ns if self._jump_ns is None else self._jump_ns
            jump = round(jump_ns * self.rate_hz / NS_PER_S)
            self.samples_lost += max(jump, 0)
        self._next += jump
        self._rate_in_hz = rate_in_hz
        self._resampler = None if rate_in_hz == self.rate_hz else soxr.ResampleStream(rate_in_hz, self.rate_hz, 1, quality="HQ")
        self._pushed = self._given = 0

    def _block(self, out: npt.NDArray[np.float32]) -> list[AudioBlock]:
        first, position = self._next, self._given * self._rate_in_hz // self.rate_hz
        self._next += len(out)
        self._given += len(out)
        while len(self._anchors) > 1 and self._anchors[1][0] <= position:
            self._anchors.popleft()
        pushed, anchor_ns = self._anchors[0]
        t_ns = anchor_ns + (position - pushed) * NS_PER_S // self._rate_in_hz
        repeated = max(self._covered - first, 0)
        if repeated:
            out, first, t_ns = out[repeated:], first + repeated, t_ns + repeated * NS_PER_S // self.rate_hz
        if len(out) == 0:
            return []
        self._covered = self._next
        samples = np.clip(out, -1.0, 1.0)
        samples.flags.writeable = False
        return [AudioBlock(samples, first, t_ns, self.rate_hz, self.grade)]
