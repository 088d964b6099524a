"""Pictures and sound for those who watch. Compressed on a thread of its own, so that watching never delays the masks."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_S
from cavs.stream.items import Window
from cavs.stream.wire import Preview

JPEG_QUALITY = 85
MAX_SIDE_PX = 1280
"""Larger pictures are shrunk to this side: a preview is for looking at."""
QUEUE_WINDOWS = 2
CLOSE_POLL_S = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A picture to compress with the sound that goes with it."""

    seq: int
    t_ns: int
    pixels: npt.NDArray[np.uint8]
    samples: npt.NDArray[np.float32]
    rate_hz: int
    first: int


class PreviewEncoder:
    """Takes windows in, gives previews out, a little later. `offer` and `done` belong to the publisher's thread.

    The thread starts with the first window offered, so a stream that nobody watches has none.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_WINDOWS)
        self._done: queue.SimpleQueue[Preview] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._heard_to: int | None = None
        self.dropped = 0

    def offer(self, window: Window, rate_hz: int) -> None:
        """Asks for the preview of a window; dropped and counted if two are still waiting. Its sound goes with the next.

        rate_hz: of the window's sound.
        """
        if self._jobs.full():
            self.dropped += 1
            return
        job = self._job(window, rate_hz)
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="preview", daemon=True)
            self._thread.start()
        self._jobs.put_nowait(job)

    def done(self) -> Iterator[Preview]:
        """The previews that are ready. Raises what the thread died of."""
        if self._error is not None:
            raise self._error
        while True:
            try:
                yield self._done.get_nowait()
            except queue.Empty:
                return

    def close(self) -> None:
        """Ends the thread after what it has to do, two pictures at most; idempotent."""
        if self._thread is None:
            return
        while self._thread.is_alive():  # it may die of an error with a full queue
            with contextlib.suppress(queue.Full):
                self._jobs.put(None, timeout=CLOSE_POLL_S)
                break
        self._thread.join()
        self._thread = None

    def step(self) -> bool:
        """Compresses one picture. False when there is nothing more to come."""
        job = self._jobs.get()
        if job is None:
            return False
        self._done.put(_compressed(self._stream, job))
        return True

    def _loop(self) -> None:
        try:
            while self.step():
                pass
        except BaseException as error:  # noqa: BLE001  raised again in the publisher's thread, by `done`
            self._error = error

    def _job(self, window: Window, rate_hz: int) -> _Job:
        """Copies the samples since the window before: numbered by time, so that none is missing and none comes twice."""
        stop = round(window.sound_end_ns * rate_hz / NS_PER_S)
        start = stop - len(window.sound)
        end = stop - _not_yet_there(window)
        first = start if self._heard_to is None else min(max(self._heard_to, start), end)
        self._heard_to = end if self._heard_to is None else max(self._heard_to, end)
        samples = window.sound[max(first - start, 0) : end - start].copy()
        return _Job(window.seq, window.frame.t_ns, window.frame.pixels, samples, rate_hz, first)


def _not_yet_there(window: Window) -> int:
    """Samples at the end of a window that was cut before its sound came; the next window may bring them."""
    if window.missing == 0:
        return 0
    sounding = np.flatnonzero(window.sound)
    silent = len(window.sound) - (int(sounding[-1]) + 1 if len(sounding) else 0)
    return min(silent, window.missing)


def _compressed(stream: str, job: _Job) -> Preview:
    pixels = job.pixels
    shrink = MAX_SIDE_PX / max(pixels.shape[:2])
    if shrink < 1:
        size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    samples = np.clip(np.round(job.samples * 32767), -32768, 32767).astype(np.int16)
    return Preview(stream, job.seq, job.t_ns, pixels.shape[0], pixels.shape[1], jpeg.tobytes(), samples, job.rate_hz, job.first)
