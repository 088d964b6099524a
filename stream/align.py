"""Windows out of frames and sound: the newest frame, and the sound that ends at its time plus the look-ahead."""

from collections import deque
from collections.abc import Callable

import numpy as np

from cavs.runtime.clock import NS_PER_S
from cavs.stream.counters import Counters
from cavs.stream.drift import samples_to_ns
from cavs.stream.inbox import Item
from cavs.stream.items import AudioBlock, SourceEvent, StampGrade, VideoFrame, Window
from cavs.stream.sound_line import DriftReport, SoundLine

LIVE_HISTORY_S = 5.0
"""Sound kept beyond the window when live: more than any frame may be late."""
FILE_HISTORY_S = 60.0
"""The same for files, whose sound may lie far ahead of their pictures: 4 MB at 16 kHz."""
LIVE_PENDING_FRAMES = 16
"""Half a second at 30 fps waits for its sound; who waits longer is superseded."""
FILE_PENDING_BYTES = 96 << 20
"""Pictures of a file that wait for sound stored far behind them; beyond this the oldest goes without. 3 s of 640x480."""
FUTURE_NS = NS_PER_S
"""A frame stamped this far ahead is on another clock."""
SOUND_STALL_NS = NS_PER_S
"""Without any sound for this long, frames no longer wait for it: the microphone is gone."""
SOUND_BUFFERS = 4

WHOLE: frozenset[str] = frozenset()
AUDIO_PARTIAL = frozenset({"audio_partial"})
AUDIO_MISSING = frozenset({"audio_missing"})

CAUSES = (
    "windows_formed",
    "windows_partial",
    "frames_superseded",
    "frames_stale",
    "frames_without_sound",
    "frames_repeated",
    "frames_from_future",
    "frame_gaps",
    "video_restarts",
)


class Aligner:
    """Forms windows. No thread and no clock of its own: `push` what arrives, then `pop` until it gives None.

    Live, the newest frame whose sound has arrived becomes the window and older frames are superseded; a frame whose
    sound does not arrive within `audio_wait_ns` of its time goes without, flagged. From a file, every frame becomes a
    window, in order, and waits for its sound until `flush`.

    offset_ns: added to the time of the sound before it is compared with a frame's: by how much later the picture of a
    clap is stamped than its sound. audio_expected: False when there is no microphone; no frame then waits. It may be
    changed on the way, when a source turns out to have no sound.

    The `sound` of a window is a view of one of four buffers in turn: copy it to keep it beyond the fourth next window.
    windows_held: so many more are kept, for a reader that has several windows under way.
    """

    def __init__(
        self,
        rate_hz: int,
        samples: int,
        lookahead_samples: int = 0,
        *,
        live: bool,
        staleness_ns: int,
        audio_wait_ns: int,
        audio_expected: bool = True,
        offset_ns: int = 0,
        counters: Counters | None = None,
        windows_held: int = 0,
    ) -> None:
        if rate_hz <= 0 or samples <= 0 or lookahead_samples < 0:
            raise ValueError(f"rate_hz={rate_hz}, samples={samples}, lookahead_samples={lookahead_samples}")
        lookahead_ns = samples_to_ns(lookahead_samples, rate_hz)
        if audio_wait_ns < 0 or (live and staleness_ns <= audio_wait_ns + lookahead_ns):
            raise ValueError(
                f"staleness_ns={staleness_ns} must exceed audio_wait_ns={audio_wait_ns} plus the look-ahead of "
                f"{lookahead_ns} ns, or a frame without sound is stale before it is used"
            )
        self._live = live
        self._staleness_ns = staleness_ns
        self._audio_wait_ns = audio_wait_ns
        self.audio_expected = audio_expected
        self._offset_ns = offset_ns
        self._lookahead_ns = lookahead_ns
        self.counters = counters if counters is not None else Counters()
        self.counters.declare(*CAUSES)
        history_s = LIVE_HISTORY_S if live else FILE_HISTORY_S
        self.line = SoundLine(rate_hz, samples / rate_hz + history_s, exact=not live, counters=self.counters)
        self._pending: deque[tuple[VideoFrame, int]] = deque()
        self._pending_bytes = 0
        self._buffers = [np.zeros(samples, np.float32) for _ in range(SOUND_BUFFERS + windows_held)]
        self._views = [buffer.view() for buffer in self._buffers]
        for view in self._views:
            view.flags.writeable = False
        self.received_ns = 0
        """When the frame of the last window reached the main loop."""
        self._seq = 0
        self._last_index: int | None = None
        self._last_frame_ns: int | None = None
        self._formed_ns: int | None = None
        self._sound_pushed = False
        self._sound_seen_ns: int | None = None
        self._flushed = False

    def push(self, item: Item, received_ns: int | None = None) -> None:
        """Takes in a frame or a block in the order in which its source gave it. Events pass by: nothing to align.

        received_ns: when it reached the main loop; `received_ns` gives it back with the frame's window.
        """
        if isinstance(item, VideoFrame):
            self._push_frame(item, item.t_ns if received_ns is None else received_ns)
        elif isinstance(item, AudioBlock):
            self._sound_pushed = True
            self.line.push(item)

    def pop(self, now_ns: int) -> Window | None:
        """The next window, or None until more has arrived or (live) a frame has waited long enough."""
        if not self._live:
            return self._pop_next()
        if self._sound_pushed or self._sound_seen_ns is None:
            self._sound_seen_ns = now_ns
            self._sound_pushed = False
        self._discard(now_ns)
        chosen = self._newest(self._sound_has_arrived)
        if chosen is None:
            chosen = self._newest(lambda frame: self._has_waited(frame, now_ns))
        if chosen is None:
            return None
        for _ in range(chosen):
            self._take_oldest()
            self.counters.count("frames_superseded")
        return self._form(*self._take_oldest())

    def flush(self) -> None:
        """No more will come: the frames that wait get their windows, and sound past the end is missing."""
        self._flushed = True

    def drift(self) -> DriftReport:
        """What is known of the sound's clock."""
        return self.line.report()

    def drain_events(self) -> list[SourceEvent]:
        """What happened to the sound's clock since the last call."""
        return self.line.drain_events()

    def _push_frame(self, frame: VideoFrame, received_ns: int) -> None:
        if self._last_frame_ns is not None and frame.t_ns <= self._last_frame_ns:
            self.counters.count("frames_repeated")
            return
        if self._last_index is not None:
            # Places, not frames: each lost frame has been counted by cause where it was lost, the inbox included.
            self.counters.count("frame_gaps", int(frame.index > self._last_index + 1))
            self.counters.count("video_restarts", int(frame.index <= self._last_index))
        self._last_index = frame.index
        self._last_frame_ns = frame.t_ns
        if self._live and len(self._pending) >= LIVE_PENDING_FRAMES:
            self._take_oldest()
            self.counters.count("frames_superseded")
        self._pending.append((frame, received_ns))
        self._pending_bytes += frame.pixels.nbytes

    def _pop_next(self) -> Window | None:
        if not self._pending:
            return None
        overfull = self._pending_bytes > FILE_PENDING_BYTES
        if overfull or self._flushed or self._sound_has_arrived(self._pending[0][0]):
            return self._form(*self._take_oldest())
        return None

    def _discard(self, now_ns: int) -> None:
        """Drops frames that are too old to act on, and frames that are not on our clock at all."""
        while self._pending and now_ns - self._pending[0][0].t_ns > self._staleness_ns:
            self._take_oldest()
            self.counters.count("frames_stale")
        while self._pending and self._pending[-1][0].t_ns - now_ns > FUTURE_NS:
            self._pending_bytes -= self._pending.pop()[0].pixels.nbytes
            self._last_frame_ns = self._pending[-1][0].t_ns if self._pending else self._formed_ns
            self.counters.count("frames_from_future")

    def _newest(self, holds: Callable[[VideoFrame], bool]) -> int | None:
        """Place of the newest pending frame for which this holds."""
        for place in range(len(self._pending) - 1, -1, -1):
            if holds(self._pending[place][0]):
                return place
        return None

    def _sound_has_arrived(self, frame: VideoFrame) -> bool:
        if not self.audio_expected:
            return True
        return self.line.started and self.line.sample_at(self._sound_end_ns(frame)) <= self.line.end

    def _has_waited(self, frame: VideoFrame, now_ns: int) -> bool:
        if self._flushed:
            return True
        stalled = self._sound_seen_ns is not None and now_ns - self._sound_seen_ns > SOUND_STALL_NS
        return stalled or now_ns - frame.t_ns - self._lookahead_ns >= self._audio_wait_ns

    def _sound_end_ns(self, frame: VideoFrame) -> int:
        """When the frame's sound ends, on the sound's own time line."""
        return frame.t_ns + self._lookahead_ns - self._offset_ns

    def _take_oldest(self) -> tuple[VideoFrame, int]:
        frame, received_ns = self._pending.popleft()
        self._pending_bytes -= frame.pixels.nbytes
        return frame, received_ns

    def _form(self, frame: VideoFrame, received_ns: int) -> Window:
        turn = self._seq % len(self._buffers)
        samples = len(self._buffers[turn])
        if self.line.started:
            end = self.line.sample_at(self._sound_end_ns(frame))
            missing = self.line.cut(end, self._buffers[turn])
            start_ns = self.line.time_of(end - samples) + self._offset_ns
            end_ns = self.line.time_of(end) + self._offset_ns
        else:
            self._buffers[turn].fill(0.0)
            missing = samples
            end_ns = frame.t_ns + self._lookahead_ns
            start_ns = end_ns - samples_to_ns(samples, self.line.rate_hz)
        window = Window(
            frame=frame,
            sound=self._views[turn],
            seq=self._seq,
            sound_start_ns=start_ns,
            sound_end_ns=end_ns,
            missing=missing,
            skew_ns=self.line.error_ns if missing < samples else 0,
            sound_grade=self.line.grade if self.line.started else StampGrade.C,
            flags=self._flags(missing, samples),
        )
        self._seq += 1
        self._formed_ns = frame.t_ns
        self.received_ns = received_ns
        return window

    def _flags(self, missing: int, samples: int) -> frozenset[str]:
        self.counters.count("windows_formed")
        if missing == samples:
            self.counters.count("frames_without_sound")
            return AUDIO_MISSING
        if missing:
            self.counters.count("windows_partial")
            return AUDIO_PARTIAL
        return WHOLE
