"""Picture and sound of a file or a network stream, on one clock."""

from collections.abc import Sequence
from typing import Literal

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.errors import MediaLost
from cavs.stream.counters import Counters
from cavs.stream.inbox import Item
from cavs.stream.items import SourceEvent, StampGrade, VideoFrame
from cavs.stream.media_open import TIMEOUT_S, Opened, Place, open_media, place_of
from cavs.stream.media_pass import FRAMES_CORRUPT, FRAMES_SKIPPED, SOUND_CORRUPT, UNREADABLE, MediaPass
from cavs.stream.pacing import MediaLine, SenderLine, Straightener
from cavs.stream.packets import LEAD_NS, PacketOrder
from cavs.stream.playout import Playout
from cavs.stream.resample import SoundConverter
from cavs.stream.source import EndOfSource

Rate = Literal["realtime", "fast"]

NAP_NS = 20 * NS_PER_MS
"""Longest sleep of one step."""
EARLY_END_NS = NS_PER_S
"""A file that ends so much before its stated length was cut off."""
SEAM_NS = 50 * NS_PER_MS
"""A clip in a loop whose sound is shorter than its picture by less is cut there: no hole in the sound at each round."""


class MediaSource:
    """A file or URL. Sound and picture come from its container's clock.

    rate `realtime`: released at its time, as if live; t_ns is the time of opening plus the container's time. A decoder that
    cannot keep up leaves pictures out, counted and missing in the index.
    rate `fast`: as fast as it is read, every frame; t_ns is the container's time from 0, a virtual line.
    timeout_s: how long a network source may be silent.
    loops: how often it is played, None for ever; the time goes on from round to round.

    What a reader may rely on: t_ns of frames grows; sound is numbered on the container's clock, so a track that starts late
    begins with a number above 0. Packets that cannot be decoded are skipped and counted, their frames missing in the index.
    """

    def __init__(
        self,
        url: str,
        *,
        rate_hz: int,
        clock: Clock,
        rate: Rate | None = None,
        loops: int | None = 1,
        counters: Counters | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if loops is not None and loops < 1:
            raise ValueError(f"loops >= 1 expected, seen {loops}")
        self._place = place_of(url)
        self._clock = clock
        self._rate: Rate = rate or ("realtime" if self._place.network else "fast")
        self._rate_hz = rate_hz
        self._loops = self._rounds_left = loops
        self._timeout_s = timeout_s
        self.counters = counters if counters is not None else Counters()
        self.counters.declare(FRAMES_CORRUPT, FRAMES_SKIPPED, SOUND_CORRUPT, UNREADABLE)
        self.name = f"{'network' if self._place.network else 'file'}:{self._place.label}"
        self._paced = self.live and not self._place.pushed
        self._opened: Opened | None = None
        self._pass: MediaPass | None = None
        self._converter: SoundConverter | None = None
        self._next_index = 0
        self._last_t_ns: int | None = None
        self._position_ns: int | None = None  # container time of the newest frame, to go on there after a loss
        self._waiting = Playout()
        self._at_end = False

    @property
    def live(self) -> bool:
        """Played at its own pace; it does not wait for its reader."""
        return self._rate == "realtime"

    def open(self) -> None:
        """Opens it; again after a loss: a file on a server goes on where it broke off."""
        self.close()
        if self._at_end:
            self._position_ns, self._rounds_left = None, self._loops
        opened = open_media(self._place, self._timeout_s)
        opened.video.thread_type = "AUTO" if self._rate == "fast" else "SLICE"  # threads by frame hold frames back
        self._opened = opened
        self._start_ns = (opened.container.start_time or 0) * 1000
        base_ns = self._start_ns
        if self._position_ns is not None and opened.duration_ns is not None:
            opened.container.seek(self._position_ns // 1000)
            base_ns = self._position_ns
        origin_ns = self._clock.now_ns() if self._rate == "realtime" else base_ns - self._start_ns
        self._line: MediaLine | SenderLine = SenderLine() if self._place.pushed else MediaLine(origin_ns, base_ns)
        self._straightener = Straightener() if opened.clock_jumps or self._place.pushed else None
        if self._converter is None:
            grade, zero_ns = (StampGrade.B, None) if self._place.pushed else (StampGrade.A, origin_ns)
            self._converter = SoundConverter(self._rate_hz, grade, zero_ns)
        self._at_end = False
        media_pass = self._begin_pass(opened, self._converter, base_ns if base_ns > self._start_ns else None)
        if self._place.pushed:
            media_pass.read_backlog()
        if opened.sound is None:
            self._warn("no sound track; windows are flagged audio_missing", kind="no_sound")

    def step(self) -> Sequence[Item]:
        """Reads until a frame is there, then gives what is due; sleeps a little if nothing is."""
        if self._pass is None:
            raise ValueError(f"{self.name}: step() before open()")
        self._read_ahead(self._pass)
        if not self._waiting and self._at_end:
            raise EndOfSource
        if not self._paced:
            return self._waiting.take(None)
        wait_ns = self._waiting.wait_ns(self._clock.now_ns())
        if wait_ns > 0:
            self._clock.sleep_ns(min(wait_ns, NAP_NS))
        return self._waiting.take(self._clock.now_ns())

    def close(self) -> None:
        """Closes the container; what was read and not given is forgotten."""
        if self._opened is not None:
            self._opened.container.close()
        self._opened = self._pass = None
        self._waiting.clear()

    def _begin_pass(self, opened: Opened, converter: SoundConverter, seen_until_ns: int | None = None) -> MediaPass:
        self._pass = MediaPass(
            opened,
            place=self._place,
            clock=self._clock,
            line=self._line,
            order=PacketOrder(opened.sound is not None, lead_ns(self._place, opened.duration_ns)),
            converter=converter,
            counters=self.counters,
            start_ns=self._start_ns,
            first_index=self._next_index,
            seen_until_ns=seen_until_ns,
            straightener=self._straightener,
            arrival_stamps=opened.untimed and self._place.network,
        )
        return self._pass

    def _read_ahead(self, media_pass: MediaPass) -> None:
        """Decodes until the next frame is there: with it, its sound. What is live is read packet by packet."""
        while self._waiting.frames == 0 and not self._at_end:
            try:
                items = media_pass.step()
            except EndOfSource:
                self._on_end(media_pass)
                return
            for item in items:
                self._push(item)
            self._next_index = media_pass.index + 1
            self._position_ns = media_pass.picture_ns
            if self._place.network:
                return

    def _push(self, item: Item) -> None:
        if isinstance(item, VideoFrame):
            item = self._in_order(item)
            if self.live and self._pass is not None:
                self._pass.keep_up(self._clock.now_ns() - item.t_ns)
        self._waiting.add(item)

    def _in_order(self, frame: VideoFrame) -> VideoFrame:
        """Two frames of one time, or one that goes back, would break the order that the rest relies on."""
        if self._last_t_ns is not None and frame.t_ns <= self._last_t_ns:
            frame = VideoFrame(frame.pixels, self._last_t_ns + 1, frame.index, frame.grade)
        self._last_t_ns = frame.t_ns
        return frame

    def _on_end(self, media_pass: MediaPass) -> None:
        opened = self._opened
        if opened is None or self._converter is None:
            raise ValueError(f"{self.name}: the end of a source that is not open")
        played_ns = max(media_pass.picture_end_ns, media_pass.sound_end_ns or 0) - self._start_ns
        self._check_end(opened, played_ns)
        if self._rounds_left is not None:
            self._rounds_left -= 1
        if self._rounds_left == 0:
            self._at_end = True
            return
        self._rewind(opened, self._converter, media_pass)

    def _check_end(self, opened: Opened, played_ns: int) -> None:
        """Raises MediaLost if this is no end but a break; warns if a file is shorter than it says."""
        label = self._place.label
        if self._last_t_ns is None:
            raise MediaLost(f"{label}: no frame of it can be decoded; is it torn or encrypted?")
        if opened.duration_ns is None:
            if self._place.network:
                raise MediaLost(f"{label}: the sender closed the stream")
            return
        if played_ns < opened.duration_ns * 0.98 - EARLY_END_NS:
            text = f"ends after {played_ns / NS_PER_S:.1f} s of {opened.duration_ns / NS_PER_S:.1f} s"
            if self._place.network:
                raise MediaLost(f"{label}: {text}; the connection broke off")
            self._warn(f"{text}; the file is cut off")

    def _rewind(self, opened: Opened, converter: SoundConverter, media_pass: MediaPass) -> None:
        end_ns = media_pass.picture_end_ns
        if media_pass.sound_end_ns is not None and 0 < end_ns - media_pass.sound_end_ns < SEAM_NS:
            end_ns = media_pass.sound_end_ns
        if isinstance(self._line, SenderLine):
            raise MediaLost(f"{self._place.label}: a live stream cannot be played in a loop")
        self._line.origin_ns += end_ns - self._start_ns
        self._line.base_ns = self._start_ns
        opened.container.seek(self._start_ns // 1000)
        for stream in (opened.video, opened.sound):
            if stream is not None:
                stream.codec_context.flush_buffers()
        self._begin_pass(opened, converter)

    def _warn(self, text: str, kind: str = "warning") -> None:
        self._push(SourceEvent(kind, self.name, f"{self._place.label}: {text}", self._clock.now_ns()))


def lead_ns(place: Place, duration_ns: int | None) -> int:
    """How far sound is read ahead of its picture. Pictures of a live sender would wait for it, also if it plays a recording."""
    return 0 if place.pushed or (place.network and duration_ns is None) else LEAD_NS
