"""A live camera: every frame once, with the driver's own time where that can be believed."""

import statistics
from collections import deque
from collections.abc import Callable, Sequence

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.errors import CameraLost
from cavs.stream.camera_device import CameraDevice, CameraMode, device_path, holder_text, is_pipeline, open_camera
from cavs.stream.counters import Counters
from cavs.stream.inbox import Item
from cavs.stream.items import SourceEvent, StampGrade, VideoFrame

WAIT_MS = 100
"""Longest wait of one step."""
SANE_AGE_NS = 5 * NS_PER_S
"""A stamp further from the clock than this is of another clock."""
SANE_FUTURE_NS = 100 * NS_PER_MS
"""Some drivers stamp the moment at which the frame is to be shown, up to a period ahead."""
INTERVALS = 31
"""The usual distance of frames is the median of so many; it follows a camera that slows down in the dark in half a second."""
DAMAGED_IN_A_ROW = 100
RETRY_NS = 20 * NS_PER_MS
BACKLOG_FRAMES = 16
"""Frames a driver can have queued at most; a camera that is ready more often than that in a row is broken."""

LOST, DUPLICATE, STALE, DAMAGED = "frames_lost_camera", "frames_duplicate", "frames_stale_camera", "frames_corrupt"


class FrameTimes:
    """Judges the driver's stamps, and numbers frames so that those that never came are missing in the count."""

    def __init__(self, first_index: int) -> None:
        self.grade = StampGrade.C
        self.index = first_index - 1
        self._last_ns: int | None = None
        self._intervals_ns: deque[int] = deque(maxlen=INTERVALS)

    def accept(self, stamp_ns: int, now_ns: int) -> int | None:
        """The time of a frame grabbed at now_ns; None if it is the one before once more. Counts it in `index`."""
        driver = stamp_ns > 0 and -SANE_FUTURE_NS < now_ns - stamp_ns < SANE_AGE_NS
        t_ns = stamp_ns if driver else now_ns
        if self._last_ns is not None and t_ns <= self._last_ns:
            if driver and self.grade is StampGrade.A:
                return None
            t_ns = self._last_ns + 1  # from here on stamps are believed, or not any more: time must not go back
        self.grade = StampGrade.A if driver else StampGrade.C
        step = 1
        if self._last_ns is not None:
            interval_ns = t_ns - self._last_ns
            if len(self._intervals_ns) >= INTERVALS // 2:
                step = max(round(interval_ns / statistics.median(self._intervals_ns)), 1) if driver else 1
            self._intervals_ns.append(interval_ns)
        self.index += step
        self._last_ns = t_ns
        return t_ns


class CameraSource:
    """A camera by number, device node, link below /dev/v4l, or GStreamer pipeline.

    silent_ms: a camera that gives no frame for so long is lost; the first frame may take `first_ms`.
    open_device: opens it; another one than OpenCV's may be given.
    """

    live = True

    def __init__(
        self,
        camera: str,
        *,
        clock: Clock,
        width_px: int | None = None,
        height_px: int | None = None,
        fps: float | None = None,
        fourcc: str | None = None,
        counters: Counters | None = None,
        silent_ms: int = 1000,
        first_ms: int = 5000,
        open_device: Callable[[str, CameraMode], CameraDevice] = open_camera,
    ) -> None:
        self._camera = camera
        self._clock = clock
        self._asked = CameraMode(width_px, height_px, fps, fourcc)
        self._silent_ms = silent_ms
        self._first_ms = first_ms
        self._open_device = open_device
        self._device: CameraDevice | None = None
        self._mode: CameraMode | None = None
        self._next_index = 0
        self._pipeline = is_pipeline(camera)
        self.name = "camera:pipeline" if self._pipeline else f"camera:{device_path(camera)}"
        self.counters = counters if counters is not None else Counters()
        self.counters.declare(LOST, DUPLICATE, STALE, DAMAGED)

    @property
    def mode(self) -> CameraMode | None:
        """What the camera really delivers, or did when it was open last; None before that."""
        return self._mode

    def open(self) -> None:
        """Opens it, by the same name as before: a camera that was unplugged is found again."""
        self.close()
        self._device = self._open_device(self._camera, self._asked)
        self._mode = self._device.mode
        self._times = FrameTimes(self._next_index)
        self._damaged = 0
        self._heard_ns = self._clock.now_ns()
        self._deadline_ms = self._first_ms
        self._to_tell = self._asked.differs_from(self._device.mode)

    def step(self) -> Sequence[Item]:
        """The newest frame; waits for it for at most a tenth of a second."""
        device = self._device
        if device is None:
            raise ValueError(f"{self.name}: step() before open()")
        if not device.ready(WAIT_MS):
            self._check_silence()
            return []
        t_ns = self._grabbed(device)
        for _ in range(BACKLOG_FRAMES):  # what has queued up while we were held up is stale
            if t_ns is None or not device.more_waiting():
                break
            self.counters.count(STALE)
            t_ns = self._grabbed(device)
        return [] if t_ns is None else [*self._told(device.mode), *self._frame(device, t_ns)]

    def close(self) -> None:
        """Frees the camera."""
        if self._device is not None:
            self._device.close()
            self._next_index = self._times.index + 1
        self._device = None

    def _grabbed(self, device: CameraDevice) -> int | None:
        """Takes the next frame off the driver and gives its time; None if there was none, or the same one again."""
        if not device.grab():
            self._check_silence()
            self._clock.sleep_ns(RETRY_NS)  # a camera that is gone answers at once: no busy loop
            return None
        now_ns = self._clock.now_ns()
        index = self._times.index
        t_ns = self._times.accept(device.stamp_ns(), now_ns)
        if t_ns is None:
            self.counters.count(DUPLICATE)
            self._check_silence()
            return None
        self._heard_ns = now_ns
        self._deadline_ms = self._silent_ms
        self.counters.count(LOST, self._times.index - index - 1)
        return t_ns

    def _frame(self, device: CameraDevice, t_ns: int) -> Sequence[Item]:
        pixels = device.rgb()
        if pixels is None:
            self.counters.count(DAMAGED)
            self._damaged += 1
            if self._damaged >= DAMAGED_IN_A_ROW:
                raise CameraLost(
                    f"{self.name}: {self._damaged} frames in a row cannot be decoded; try another --fourcc or cable"
                )
            return []
        self._damaged = 0
        pixels.flags.writeable = False
        return [VideoFrame(pixels, t_ns, self._times.index, self._times.grade)]

    def _check_silence(self) -> None:
        if self._device is not None and self._device.gone():  # at once: the next one to be plugged in may get its number
            raise CameraLost(f"{self.name}: it is gone; was it unplugged?")
        silent_ms = (self._clock.now_ns() - self._heard_ns) // NS_PER_MS
        if silent_ms > self._deadline_ms:
            holder = "" if self._pipeline else holder_text(device_path(self._camera))
            raise CameraLost(f"{self.name}: no frame for {silent_ms} ms, deadline {self._deadline_ms} ms{holder}")

    def _told(self, got: CameraMode) -> Sequence[Item]:
        """Once: that the camera does not give what was asked."""
        if not self._to_tell:
            return []
        self._to_tell = False
        text = f"{self.name}: {self._asked} asked, {got} got"
        return [SourceEvent("warning", self.name, text, self._clock.now_ns())]
