"""From the time in a container to the time on our clock."""

from cavs.runtime.clock import NS_PER_S

DISCONTINUITY_NS = 10 * NS_PER_S
"""A larger step of the time stamps is a sender that started anew; a smaller one may be a pause."""
SAME_JUMP_NS = NS_PER_S
"""Steps of picture and sound that differ by less are one and the same."""


class Straightener:
    """Takes the jumps out of a container's time stamps (MPEG-TS is cut and joined freely, its counter wraps after 26 hours).

    Picture and sound jump one after the other; both get the same shift, so that what was synchronous stays so.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._shift_ns = {True: 0, False: 0}  # of the picture, of the sound
        self._last_ns: dict[bool, int] = {}

    def shift_ns(self, media_ns: int, picture: bool) -> int:
        """What to add to the stamps of the packet that carries this decoding time."""
        last_ns = self._last_ns.get(picture, media_ns)
        if abs(media_ns + self._shift_ns[picture] - last_ns) > DISCONTINUITY_NS:
            other_ns = self._shift_ns[not picture]
            if abs(media_ns + other_ns - last_ns) < SAME_JUMP_NS:  # the other stream has made this jump already
                self._shift_ns[picture] = other_ns
            else:
                self._shift_ns[picture] = last_ns - media_ns
                self.jumps += 1
        self._last_ns[picture] = media_ns + self._shift_ns[picture]
        return self._shift_ns[picture]


class MediaLine:
    """Time of a container that is played: at a constant distance from our clock."""

    def __init__(self, origin_ns: int, base_ns: int) -> None:
        """base_ns: the container's time that falls on origin_ns of our clock."""
        self.origin_ns = origin_ns
        self.base_ns = base_ns

    def observe(self, media_ns: int, now_ns: int) -> None:
        """When it arrived says nothing: a file is there before its time."""

    def t_ns(self, media_ns: int) -> int:
        """The time on our clock."""
        return self.origin_ns + media_ns - self.base_ns


class SenderLine:
    """Time of a live sender: its clock runs by itself, and each item arrives late by an unknown, changing delay.

    The distance of the two clocks is taken from the items that were late the least during the last half minute; so jitter and
    bursts do not move the line, and a sender whose clock runs fast or slow is followed.
    """

    WINDOW_NS = 30 * NS_PER_S
    SLEW = 1000
    """The line gives way to a slower sender by one part in this many: more than any quartz, less than any ear."""

    def __init__(self, reanchor_ns: int | None = None) -> None:
        """reanchor_ns: an item later than this is no late item, the sender's clock was set back; None: it never is."""
        self._reanchor_ns = reanchor_ns
        self._offset_ns: int | None = None
        self._floor_ns = 0
        self._floor_before_ns = 0
        self._window_start_ns = 0
        self._seen_ns = 0

    def observe(self, media_ns: int, now_ns: int) -> None:
        """An item with this time has just arrived."""
        late_ns = now_ns - media_ns
        set_back = self._reanchor_ns is not None and late_ns - (self._offset_ns or 0) > self._reanchor_ns
        if self._offset_ns is None or set_back:
            self._offset_ns = self._floor_ns = self._floor_before_ns = late_ns
            self._window_start_ns = self._seen_ns = now_ns
            return
        if now_ns - self._window_start_ns > self.WINDOW_NS:
            self._floor_before_ns, self._floor_ns = self._floor_ns, late_ns
            self._window_start_ns = now_ns
        self._floor_ns = min(self._floor_ns, late_ns)
        target_ns = min(self._floor_ns, self._floor_before_ns)
        slowest_ns = self._offset_ns + (now_ns - self._seen_ns) // self.SLEW
        self._offset_ns = min(target_ns, slowest_ns)
        self._seen_ns = now_ns

    def t_ns(self, media_ns: int) -> int:
        """The time on our clock at which the sender sent this."""
        if self._offset_ns is None:
            raise ValueError("t_ns before the first observe")
        return media_ns + self._offset_ns
