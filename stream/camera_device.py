"""A camera through OpenCV: opened with the right back end, and asked in a way that does not block for ever."""

import fcntl
import os
import select
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.errors import CameraLost

NS_PER_DRIVER_MS = 1_000_000
FOURCC_BYTES = 4

# From linux/videodev2.h: the question, the size of its answer, and where in it the node's own abilities are.
VIDIOC_QUERYCAP = 0x80685600
V4L2_CAPABILITY_BYTES = 104
V4L2_DEVICE_CAPS = 88
V4L2_CAP_CAPTURE = 0x00001001
"""V4L2_CAP_VIDEO_CAPTURE, of one or of several planes."""


@dataclass(frozen=True, slots=True)
class CameraMode:
    """Size, rate and pixel format; None: whatever the camera likes."""

    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    fourcc: str | None = None

    def __str__(self) -> str:
        size = f"{self.width_px or '?'}x{self.height_px or '?'}"
        return f"{size} at {f'{self.fps:g}' if self.fps else '?'} fps, {self.fourcc or 'any format'}"

    def differs_from(self, got: "CameraMode") -> bool:
        """True if something was asked for that was not given."""
        if self.fps is not None and got.fps is not None and abs(self.fps - got.fps) > 0.01 * self.fps:
            return True
        pairs = ((self.width_px, got.width_px), (self.height_px, got.height_px), (self.fourcc, got.fourcc))
        return any(asked is not None and asked != given for asked, given in pairs)


class CameraDevice(Protocol):
    """What a source needs of a camera that is open."""

    mode: CameraMode
    """What it really delivers."""

    def ready(self, timeout_ms: int) -> bool:
        """Waits until a frame can be grabbed at once; False if none came. True at once if the camera cannot be asked."""

    def more_waiting(self) -> bool:
        """True if another frame is already there, so that the one just grabbed is stale."""

    def grab(self) -> bool:
        """Takes the next frame off the driver's queue; False if there is none."""

    def stamp_ns(self) -> int:
        """The driver's stamp of the frame just grabbed, 0 if it has none."""

    def rgb(self) -> npt.NDArray[np.uint8] | None:
        """Decodes the frame just grabbed: a new (H, W, 3) array, RGB. None if it is damaged."""

    def gone(self) -> bool:
        """True if the device has been unplugged, as far as that can be seen."""

    def close(self) -> None:
        """Frees the device."""


def device_path(camera: str) -> str:
    """`0` -> `/dev/video0`; a link below /dev/v4l stays as it is, so that it is looked up anew at each opening."""
    return f"/dev/video{int(camera)}" if camera.isdecimal() else camera


def is_pipeline(camera: str) -> bool:
    """A GStreamer pipeline rather than a device."""
    return "!" in camera


def open_camera(camera: str, asked: CameraMode) -> "OpenCvCamera":
    """Opens a camera. Raises CameraLost with one line that says why it cannot."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # OpenCV's warnings say nothing that our errors do not
    if is_pipeline(camera):
        return _open_pipeline(camera)
    if sys.platform != "linux":
        return _open_index(camera, asked)
    path = device_path(camera)
    _check_device(path)
    capture = cv2.VideoCapture(os.path.realpath(path), cv2.CAP_V4L2, _parameters(asked))
    if not capture.isOpened():
        raise CameraLost(f"camera {path}: cannot be opened as a V4L2 camera{holder_text(path)}")
    return OpenCvCamera(capture, path)


class OpenCvCamera:
    """cv2.VideoCapture with time-outs."""

    def __init__(self, capture: cv2.VideoCapture, path: str | None) -> None:
        """path: the device node if there is one; a frame is waited for on its file descriptor."""
        self._capture = capture
        self._path = path
        self._number = 0 if path is None else os.stat(path).st_rdev
        self._descriptor = None if path is None else descriptor_of(path)
        self._streaming = False
        self._bgr: npt.NDArray[np.uint8] | None = None
        self.stamps_are_the_drivers = capture.getBackendName() == "V4L2"
        self.mode = CameraMode(
            round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) or None,
            round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) or None,
            capture.get(cv2.CAP_PROP_FPS) or None,
            fourcc_text(round(capture.get(cv2.CAP_PROP_FOURCC))),
        )

    def ready(self, timeout_ms: int) -> bool:
        if self._descriptor is None or not self._streaming:  # OpenCV starts the stream with the first grab
            return True
        return bool(_polled(self._descriptor, timeout_ms))

    def more_waiting(self) -> bool:
        if self._descriptor is None or not self._streaming:
            return False
        return _polled(self._descriptor, 0) & (select.POLLIN | select.POLLERR | select.POLLHUP) == select.POLLIN

    def grab(self) -> bool:
        self._streaming = True
        return bool(self._capture.grab())

    def stamp_ns(self) -> int:
        if not self.stamps_are_the_drivers:  # elsewhere the same property is a position in the stream
            return 0
        return round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * NS_PER_DRIVER_MS)

    def rgb(self) -> npt.NDArray[np.uint8] | None:
        decoded, bgr = self._capture.retrieve(self._bgr)
        if not decoded or bgr is None or bgr.ndim != 3:
            return None
        self._bgr = np.asarray(bgr, np.uint8)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def gone(self) -> bool:
        if self._path is None:
            return False
        try:
            return os.stat(self._path).st_rdev != self._number
        except OSError:
            return True

    def close(self) -> None:
        self._descriptor = None
        self._capture.release()


def _polled(descriptor: int, timeout_ms: int) -> int:
    """The poll events of the device; an error is an event too: then a grab fails at once instead of hanging."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    events = poll.poll(timeout_ms)
    return events[0][1] if events else 0


def descriptor_of(path: str) -> int | None:
    """Our own open file descriptor of a device node; None if there is none or it cannot be seen."""
    try:
        wanted = os.stat(path).st_rdev
        for entry in os.listdir("/proc/self/fd"):
            try:
                found = os.fstat(int(entry))
            except OSError:
                continue
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == wanted:
                return int(entry)
    except OSError:
        pass
    return None


def holder_text(path: str) -> str:
    """Who else has the device open: `; held by cheese (pid 4711)`, or a question where that cannot be seen."""
    holders = holders_of(path)
    if holders:
        return "; held by " + ", ".join(holders)
    return "; is another process holding it?"


def holders_of(path: str) -> list[str]:
    """Processes other than ours that have the device open, as far as we may look."""
    real = os.path.realpath(path)
    holders = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            links = {os.readlink(link) for link in (process / "fd").iterdir()}
            if real in links:
                holders.append(f"{(process / 'comm').read_text().strip()} (pid {process.name})")
        except OSError:  # it ended meanwhile, or it is another user's
            continue
    return holders


def can_capture(path: str) -> bool | None:
    """Whether the node gives pictures, and not only metadata or an output; None if it may not be asked."""
    try:
        descriptor = os.open(os.path.realpath(path), os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        answer = bytearray(V4L2_CAPABILITY_BYTES)
        fcntl.ioctl(descriptor, VIDIOC_QUERYCAP, answer)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return bool(int.from_bytes(answer[V4L2_DEVICE_CAPS : V4L2_DEVICE_CAPS + 4], sys.byteorder) & V4L2_CAP_CAPTURE)


def fourcc_text(code: int) -> str | None:
    """0x47504a4d -> `MJPG`; None if it is not text."""
    text = bytes(code >> 8 * place & 0xFF for place in range(FOURCC_BYTES)) if code > 0 else b""
    return text.decode("ascii").rstrip() if text.isascii() and text.decode("ascii").isprintable() and text else None


def _parameters(asked: CameraMode) -> list[int]:
    """As OpenCV wants them at opening, the format first: it decides which sizes and rates there are."""
    parameters: list[int] = []
    if asked.fourcc is not None:
        parameters += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.fourcc)]
    if asked.width_px is not None:
        parameters += [cv2.CAP_PROP_FRAME_WIDTH, asked.width_px]
    if asked.height_px is not None:
        parameters += [cv2.CAP_PROP_FRAME_HEIGHT, asked.height_px]
    if asked.fps is not None:
        parameters += [cv2.CAP_PROP_FPS, round(asked.fps)]
    return parameters


def _check_device(path: str) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        here = sorted(str(node) for node in Path("/dev").glob("video[0-9]*"))
        raise CameraLost(f"camera {path}: no such device; cameras here: {', '.join(here) or 'none'}") from None
    except OSError as error:
        raise CameraLost(f"camera {path}: {error.strerror}") from None
    if not stat.S_ISCHR(found.st_mode):
        raise CameraLost(f"camera {path}: not a camera; give a number, /dev/videoN, or --source for a file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraLost(f"camera {path}: permission denied; add yourself to the group `video` (sudo usermod -aG video $USER)")


def _open_pipeline(pipeline: str) -> OpenCvCamera:
    lines = [line for line in cv2.getBuildInformation().splitlines() if "GStreamer" in line]
    if not any("YES" in line for line in lines):
        raise CameraLost(
            "camera pipeline: this OpenCV is built without GStreamer; on a Jetson use the system's python3-opencv, "
            "elsewhere give a device such as /dev/video0"
        )
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise CameraLost(
            f"camera pipeline: GStreamer cannot start {pipeline!r}; try it with gst-launch-1.0; it must end in appsink"
        )
    return OpenCvCamera(capture, None)


def _open_index(camera: str, asked: CameraMode) -> OpenCvCamera:
    if not camera.isdecimal():
        raise CameraLost(f"camera {camera}: a number expected on {sys.platform}")
    capture = cv2.VideoCapture(int(camera), cv2.CAP_ANY, _parameters(asked))
    if not capture.isOpened():
        raise CameraLost(f"camera {camera}: cannot be opened; is another program using it, is access allowed?")
    return OpenCvCamera(capture, None)
