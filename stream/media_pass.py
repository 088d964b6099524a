"""One pass through an open container: packets in, frames and blocks of sound out, until it ends or breaks off."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Literal, Protocol

import av
import av.error
import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.errors import MediaLost
from cavs.stream.counters import Counters
from cavs.stream.inbox import Item
from cavs.stream.items import StampGrade, VideoFrame
from cavs.stream.media_open import Opened, Place
from cavs.stream.pacing import Straightener
from cavs.stream.packets import PacketOrder, Waiting
from cavs.stream.picture import upright_rgb
from cavs.stream.resample import SoundConverter
from cavs.stream.source import EndOfSource

ERRORS_IN_A_ROW = 200
"""So many packets in a row that cannot be decoded are not a scratch, they are the wrong data."""
FALLBACK_FPS = 25
"""For raw streams that know neither the time of a frame nor their rate; FFmpeg assumes the same."""
BACKLOG_PACKETS = 1000
WAITED_NS = 3 * NS_PER_MS
"""A read that took longer has waited for the network: the backlog is read."""

Skip = Literal["DEFAULT", "NONREF", "NONKEY"]
SKIP_NONREF_NS = 200 * NS_PER_MS
SKIP_NONKEY_NS = 1000 * NS_PER_MS
"""A live picture that is so late makes the decoder leave out pictures that no other needs, then all but key frames."""

FRAMES_SKIPPED = "frames_skipped_late"
FRAMES_CORRUPT, SOUND_CORRUPT, UNREADABLE = "frames_corrupt", "sound_packets_corrupt", "packets_unreadable"


class Line(Protocol):
    """From the container's time to the time on our clock."""

    def observe(self, media_ns: int, now_ns: int) -> None:
        """A packet of that time has arrived."""

    def t_ns(self, media_ns: int) -> int:
        """The time on our clock."""


class MediaPass:
    """Decodes packet by packet. Times in the container are `media_ns`, times on our clock `t_ns`.

    seen_until_ns: frames up to this container time were given before the stream broke off; decoding began at a key frame.
    arrival_stamps: the container has no times; a frame is stamped when its packet arrives (grade C).
    """

    def __init__(
        self,
        opened: Opened,
        *,
        place: Place,
        clock: Clock,
        line: Line,
        order: PacketOrder,
        converter: SoundConverter,
        counters: Counters,
        start_ns: int,
        first_index: int,
        seen_until_ns: int | None = None,
        straightener: Straightener | None = None,
        arrival_stamps: bool = False,
    ) -> None:
        self._opened = opened
        self._place = place
        self._clock = clock
        self._line = line
        self._order = order
        self._converter = converter
        self._counters = counters
        self._straightener = straightener
        self._arrival_stamps = arrival_stamps
        self._seen_until_ns = seen_until_ns
        self._grade = StampGrade.C if arrival_stamps else StampGrade.B if place.pushed else StampGrade.A
        self._packets = self._demux()
        self._read_ns = {True: start_ns, False: start_ns}  # newest decoding time read, of picture and sound
        self._errors_in_a_row = 0
        self._behind = True  # the newest packet was there already when it was asked for
        self._skip: Skip = "DEFAULT"
        self._drained = False
        self.index = first_index - 1
        """Number of the newest frame."""
        self.picture_ns = start_ns
        """Container time of the newest frame."""
        self.picture_end_ns = start_ns
        """Container time at which the newest frame is to be replaced."""
        self.sound_end_ns: int | None = None
        """Container time up to which the sound has been decoded."""

    def step(self) -> list[Item]:
        """Decodes the next packet, or reads one more. Raises EndOfSource after the last, MediaLost if it broke off."""
        waiting = self._order.take(self.sound_end_ns)
        if waiting is not None:
            return self._decoded(waiting)
        if not self._order.at_end:
            self._read_one()
            return []
        if not self._drained:
            self._drained = True
            return self._rest()
        raise EndOfSource

    def read_backlog(self) -> None:
        """Reads what a live sender's packets have piled up while it was opened, so that the line knows the newest of them."""
        for _ in range(BACKLOG_PACKETS):
            self._read_one()
            if self._order.at_end or not self._behind:
                return

    def _demux(self) -> "Iterator[av.Packet[Any]]":
        streams = [stream for stream in (self._opened.video, self._opened.sound) if stream is not None]
        return iter(self._opened.container.demux(streams))

    def _read_one(self) -> None:
        begin_ns = self._clock.now_ns() if self._place.network else None
        try:
            packet = next(self._packets, None)
        except av.error.EOFError:
            packet = None
        except av.error.InvalidDataError:
            self._on_corrupt(UNREADABLE)
            self._packets = self._demux()
            return
        except (av.error.FFmpegError, OSError) as error:
            raise MediaLost(f"{self._place.label}: {self._why_lost(error)}") from None
        if packet is None or packet.size == 0:  # PyAV ends with an empty packet per stream
            self._order.at_end = True
            return
        now_ns = self._clock.now_ns()
        self._behind = begin_ns is None or now_ns - begin_ns <= WAITED_NS
        picture = packet.stream is self._opened.video
        media_ns = self._straight_ns(packet, picture)
        if not self._arrival_stamps:
            self._line.observe(media_ns, now_ns)
        self._order.add(Waiting(media_ns, packet, picture))

    def _straight_ns(self, packet: "av.Packet[Any]", picture: bool) -> int:
        """The packet's decoding time; a packet without one comes when the one before it did."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        media_ns = self._read_ns[picture] if stamp is None else _to_ns(stamp, packet.time_base)
        if self._straightener is not None and stamp is not None:
            shift_ns = self._straightener.shift_ns(media_ns, picture)
            if shift_ns:
                ticks = round(shift_ns / NS_PER_S / packet.time_base)
                packet.dts = None if packet.dts is None else packet.dts + ticks
                packet.pts = None if packet.pts is None else packet.pts + ticks
            media_ns += shift_ns
        self._read_ns[picture] = media_ns
        return media_ns

    def _why_lost(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | av.error.ExitError):
            return "nothing received any more; is the sender running?"
        return f"broke off ({getattr(error, 'strerror', None) or error})"

    def _decoded(self, waiting: Waiting) -> list[Item]:
        try:
            decoded = waiting.packet.decode()
        except av.error.FFmpegError:
            self._on_corrupt(FRAMES_CORRUPT if waiting.picture else SOUND_CORRUPT)
            self.index += waiting.picture  # a frame that is missing is seen in the index
            return []
        if waiting.picture and not decoded and self._skip != "DEFAULT":
            self.index += 1
            self._counters.count(FRAMES_SKIPPED)
        return self._items(decoded)

    def keep_up(self, late_ns: int) -> None:
        """Tells how late the newest picture was, so that a decoder that is too slow leaves some out.

        Not if the next packet had to be waited for: then it is the network that is late.
        """
        late_ns = late_ns if self._behind else 0
        wanted: Skip = "NONKEY" if late_ns >= SKIP_NONKEY_NS else "NONREF" if late_ns >= SKIP_NONREF_NS else "DEFAULT"
        if wanted != self._skip:
            self._skip = wanted
            self._opened.video.codec_context.skip_frame = wanted

    def _on_corrupt(self, cause: str) -> None:
        self._counters.count(cause)
        self._errors_in_a_row += 1
        if self._errors_in_a_row >= ERRORS_IN_A_ROW:
            raise MediaLost(f"{self._place.label}: {ERRORS_IN_A_ROW} packets in a row cannot be decoded; is it damaged?")

    def _rest(self) -> list[Item]:
        """What the decoders and the resampler still hold."""
        items: list[Item] = []
        for stream in (self._opened.sound, self._opened.video):
            if stream is None:
                continue
            try:
                decoded = stream.decode(None)
            except av.error.FFmpegError:
                self._counters.count(SOUND_CORRUPT if stream is self._opened.sound else FRAMES_CORRUPT)
                continue
            items += self._items(decoded)
        return [*self._converter.flush(), *items]

    def _items(self, decoded: Sequence[object]) -> list[Item]:
        items: list[Item] = []
        for frame in decoded:
            self._errors_in_a_row = 0
            if isinstance(frame, av.AudioFrame):
                items += self._blocks(frame)
            elif isinstance(frame, av.VideoFrame):
                items += self._frames(frame)
        return items

    def _frames(self, frame: av.VideoFrame) -> list[VideoFrame]:
        time_base = self._opened.video.time_base  # the frame's own is missing on what the decoder gives up last
        media_ns = self.picture_end_ns if frame.pts is None else _to_ns(frame.pts, time_base)
        length_ns = _to_ns(frame.duration, time_base) if frame.duration else self._frame_ns()
        self.picture_ns, self.picture_end_ns = media_ns, media_ns + length_ns
        if self._seen_until_ns is not None and media_ns <= self._seen_until_ns:
            return []
        self.index += 1
        if frame.is_corrupt:
            self._counters.count(FRAMES_CORRUPT)
            return []
        t_ns = self._clock.now_ns() if self._arrival_stamps else self._line.t_ns(media_ns)
        return [VideoFrame(upright_rgb(frame), t_ns, self.index, self._grade)]

    def _frame_ns(self) -> int:
        rate = self._opened.video.average_rate or self._opened.video.guessed_rate or Fraction(FALLBACK_FPS)
        return int(NS_PER_S / rate)

    def _blocks(self, frame: av.AudioFrame) -> list[Item]:
        media_ns = self._sound_start_ns(frame)
        self.sound_end_ns = media_ns + frame.samples * NS_PER_S // frame.sample_rate
        return [*self._converter.push(samples_of(frame), frame.sample_rate, self._line.t_ns(media_ns))]

    def _sound_start_ns(self, frame: av.AudioFrame) -> int:
        if frame.pts is not None and self._opened.sound is not None:
            return _to_ns(frame.pts, self._opened.sound.time_base)
        return self.sound_end_ns if self.sound_end_ns is not None else self._read_ns[False]


def samples_of(frame: av.AudioFrame) -> npt.NDArray[np.generic]:
    """The samples of a frame as (N, C) in the frame's own type."""
    samples: npt.NDArray[np.generic] = frame.to_ndarray()
    return samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)


def _to_ns(ticks: int, time_base: Fraction | None) -> int:
    if time_base is None:
        raise ValueError("a time stamp without a time base")
    return ticks * time_base.numerator * NS_PER_S // time_base.denominator
