"""A camera gives every frame once, with a time that can be believed, and says clearly when it stops."""

import subprocess
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.errors import CameraLost
from cavs.stream.camera import CameraSource, FrameTimes
from cavs.stream.camera_device import (
    CameraMode,
    can_capture,
    descriptor_of,
    device_path,
    fourcc_text,
    holders_of,
    is_pipeline,
    open_camera,
)
from cavs.stream.items import SourceEvent, StampGrade, VideoFrame

START_NS = 1000 * NS_PER_S
PERIOD_NS = 40 * NS_PER_MS


class ScriptedCamera:
    """Delivers the frames of a script: (time at which it can be grabbed, the driver's stamp), on a manual clock."""

    def __init__(self, clock: ManualClock, frames: Iterable[tuple[int, int]], mode: CameraMode | None = None) -> None:
        self._clock = clock
        self._frames = list(frames)
        self._stamp_ns = 0
        self.mode = mode or CameraMode(4, 2, 25.0, "MJPG")
        self.damaged: set[int] = set()
        self.unplugged = False
        self.closed = False

    def ready(self, timeout_ms: int) -> bool:
        end_ns = self._clock.now_ns() + timeout_ms * NS_PER_MS
        at_ns = self._frames[0][0] if self._frames else end_ns + 1
        self._clock.advance_ns(max(min(at_ns, end_ns) - self._clock.now_ns(), 0))
        return at_ns <= end_ns

    def more_waiting(self) -> bool:
        return bool(self._frames) and self._frames[0][0] <= self._clock.now_ns()

    def grab(self) -> bool:
        if not self.more_waiting():
            return False
        self._stamp_ns = self._frames.pop(0)[1]
        return True

    def stamp_ns(self) -> int:
        return self._stamp_ns

    def rgb(self) -> npt.NDArray[np.uint8] | None:
        return None if self._stamp_ns in self.damaged else np.full((2, 4, 3), 9, np.uint8)

    def gone(self) -> bool:
        return self.unplugged

    def close(self) -> None:
        self.closed = True


def steady(count: int, first: int = 0, delay_ns: int = 5 * NS_PER_MS) -> list[tuple[int, int]]:
    """Frames every 40 ms, to be had 5 ms after their stamp."""
    return [(START_NS + k * PERIOD_NS + delay_ns, START_NS + k * PERIOD_NS) for k in range(first, first + count)]


def source_of(clock: ManualClock, camera: ScriptedCamera, **asked: int) -> CameraSource:
    source = CameraSource("0", clock=clock, open_device=lambda name, mode: camera, **asked)  # type: ignore[arg-type]
    source.open()
    return source


def frames_of(source: CameraSource, steps: int) -> list[VideoFrame]:
    return [item for _ in range(steps) for item in source.step() if isinstance(item, VideoFrame)]


def test_frames_carry_the_drivers_time() -> None:
    clock = ManualClock(START_NS)
    frames = frames_of(source_of(clock, ScriptedCamera(clock, steady(10))), 10)
    assert [frame.t_ns for frame in frames] == [START_NS + k * PERIOD_NS for k in range(10)]
    assert {frame.grade for frame in frames} == {StampGrade.A}
    assert [frame.index for frame in frames] == list(range(10))
    assert not frames[0].pixels.flags.writeable


@pytest.mark.parametrize("stamp_ns", [0, 1, 1_790_000_000 * NS_PER_S, START_NS - 6 * NS_PER_S])
def test_stamps_of_no_or_another_clock_are_replaced_by_the_time_of_the_grab(stamp_ns: int) -> None:
    clock = ManualClock(START_NS)
    script = [(at_ns, stamp_ns and stamp_ns + k) for k, (at_ns, _) in enumerate(steady(5))]
    frames = frames_of(source_of(clock, ScriptedCamera(clock, script)), 5)
    assert [frame.t_ns for frame in frames] == [at_ns for at_ns, _ in script]
    assert {frame.grade for frame in frames} == {StampGrade.C}


def test_the_same_frame_is_never_given_twice() -> None:
    clock = ManualClock(START_NS)
    script = [pair for pair in steady(4) for _ in range(2)]
    source = source_of(clock, ScriptedCamera(clock, [(at + k % 2 * NS_PER_MS, t) for k, (at, t) in enumerate(script)]))
    frames = frames_of(source, 8)
    assert [frame.t_ns for frame in frames] == [START_NS + k * PERIOD_NS for k in range(4)]
    assert source.counters["frames_duplicate"] == 4


def test_after_a_pause_of_the_reader_only_the_newest_frame_is_given() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, steady(10)))
    frames_of(source, 1)
    clock.advance_ns(4 * PERIOD_NS)
    frames = frames_of(source, 1)
    assert [(frame.t_ns, frame.index) for frame in frames] == [(START_NS + 4 * PERIOD_NS, 4)]
    assert source.counters["frames_stale_camera"] == 3
    assert source.counters["frames_lost_camera"] == 0


def test_lost_frames_are_missing_in_the_index_and_counted() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, steady(30) + steady(10, first=33)))
    frames = frames_of(source, 45)
    assert [frame.index for frame in frames] == [*range(30), *range(33, 43)]
    assert source.counters["frames_lost_camera"] == 3


def test_a_camera_that_slows_down_in_the_dark_does_not_lose_frames_for_ever() -> None:
    clock = ManualClock(START_NS)
    slow = [(START_NS + (30 + 2 * k) * PERIOD_NS, START_NS + (30 + 2 * k) * PERIOD_NS) for k in range(60)]
    source = source_of(clock, ScriptedCamera(clock, steady(30) + slow))
    frames_of(source, 90)
    lost = source.counters["frames_lost_camera"]
    assert 0 < lost < 20


def test_time_never_goes_back_when_the_stamps_stop_being_sane() -> None:
    clock = ManualClock(START_NS)
    script = [*steady(3), *((at, 0) for at, _ in steady(3, first=3)), *steady(3, first=6, delay_ns=60 * NS_PER_MS)]
    times = np.array([frame.t_ns for frame in frames_of(source_of(clock, ScriptedCamera(clock, script)), 12)])
    assert np.diff(times).min() > 0


def test_a_silent_camera_is_lost_with_its_name_the_silence_and_a_question() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, steady(3)))
    with pytest.raises(CameraLost, match=r"camera:/dev/video0: no frame for 1\d\d\d ms, deadline 1000 ms; is another process"):
        frames_of(source, 100)


def test_an_unplugged_camera_is_lost_at_once() -> None:
    clock = ManualClock(START_NS)
    camera = ScriptedCamera(clock, steady(3))
    source = source_of(clock, camera)
    frames_of(source, 3)
    camera.unplugged = True
    with pytest.raises(CameraLost, match="was it unplugged"):
        source.step()


def test_the_first_frame_may_take_longer() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, [(START_NS + 4 * NS_PER_S, START_NS + 4 * NS_PER_S)]))
    assert len(frames_of(source, 45)) == 1


def test_a_step_never_waits_longer_than_a_tenth_of_a_second() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, [(START_NS + NS_PER_S, START_NS)]))
    for _ in range(8):
        before_ns = clock.now_ns()
        source.step()
        assert clock.now_ns() - before_ns <= 100 * NS_PER_MS


def test_a_damaged_frame_is_skipped_and_counted_and_very_many_are_a_loss() -> None:
    clock = ManualClock(START_NS)
    camera = ScriptedCamera(clock, steady(200))
    camera.damaged = {START_NS + 2 * PERIOD_NS}
    source = source_of(clock, camera)
    assert [frame.index for frame in frames_of(source, 4)] == [0, 1, 3]
    assert source.counters["frames_corrupt"] == 1
    camera.damaged = {START_NS + k * PERIOD_NS for k in range(200)}
    with pytest.raises(CameraLost, match="cannot be decoded"):
        frames_of(source, 150)


def test_what_was_asked_and_not_got_is_told_once() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, steady(5)), width_px=640, height_px=480)
    events = [item for _ in range(5) for item in source.step() if isinstance(item, SourceEvent)]
    assert [event.kind for event in events] == ["warning"]
    assert "640x480" in events[0].text
    assert "4x2 at 25 fps, MJPG got" in events[0].text


def test_the_index_goes_on_after_it_was_opened_again() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, steady(10)))
    before = frames_of(source, 3)
    source.open()
    after = frames_of(source, 1)
    assert after[0].index == before[-1].index + 1


def test_closing_frees_the_device_once_and_is_idempotent() -> None:
    clock = ManualClock(START_NS)
    camera = ScriptedCamera(clock, steady(1))
    source = source_of(clock, camera)
    source.close()
    source.close()
    assert camera.closed
    with pytest.raises(ValueError, match="before open"):
        source.step()


def test_a_few_frames_do_not_yet_tell_the_usual_distance() -> None:
    times = FrameTimes(0)
    for stamp_ns in (1, 2, 5 * PERIOD_NS):
        times.accept(START_NS + stamp_ns, START_NS + stamp_ns)
    assert times.index == 2


def test_names_of_devices() -> None:
    assert device_path("2") == "/dev/video2"
    assert device_path("/dev/v4l/by-id/usb-cam") == "/dev/v4l/by-id/usb-cam"
    assert is_pipeline("nvarguscamerasrc ! appsink")
    assert not is_pipeline("/dev/video0")


def test_a_format_is_named_as_people_know_it() -> None:
    assert fourcc_text(0x47504A4D) == "MJPG"
    assert fourcc_text(0) is None


def test_a_mode_differs_only_in_what_was_asked() -> None:
    got = CameraMode(640, 480, 29.97, "YUYV")
    assert not CameraMode(640, 480, 30.0).differs_from(got)
    assert CameraMode(fps=25.0).differs_from(got)
    assert CameraMode(fourcc="MJPG").differs_from(got)
    assert not CameraMode().differs_from(got)


def test_a_camera_that_is_not_there_is_refused_with_what_is_there() -> None:
    with pytest.raises(CameraLost, match=r"camera /dev/video97: no such device; cameras here: "):
        open_camera("97", CameraMode())


def test_a_file_is_no_camera() -> None:
    with pytest.raises(CameraLost, match="not a camera; give a number"):
        open_camera(__file__, CameraMode())


def test_a_device_that_is_no_camera_is_refused() -> None:
    with pytest.raises(CameraLost, match="/dev/null: cannot be opened as a V4L2 camera"):
        open_camera("/dev/null", CameraMode())


def test_a_node_that_cannot_be_asked_may_be_a_camera_and_one_that_is_none_is_not() -> None:
    assert can_capture("/dev/video97") is None
    assert can_capture("/dev/null") is False


def test_a_pipeline_needs_an_opencv_with_gstreamer() -> None:
    if any("GStreamer" in line and "YES" in line for line in cv2.getBuildInformation().splitlines()):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(CameraLost, match="this OpenCV is built without GStreamer; on a Jetson"):
        open_camera("videotestsrc ! appsink", CameraMode())


def test_who_else_holds_a_device_is_found() -> None:
    with open("/dev/full", "rb") as device, subprocess.Popen(["sleep", "30"], stdin=device) as holder:
        try:
            assert holders_of("/dev/full") == [f"sleep (pid {holder.pid})"]
        finally:
            holder.kill()


def test_our_own_descriptor_of_a_device_is_found() -> None:
    with open("/dev/zero", "rb") as opened:
        assert descriptor_of("/dev/zero") == opened.fileno()
    assert descriptor_of("/dev/full") is None


def test_the_mode_that_a_camera_had_is_still_known_when_it_is_closed() -> None:
    clock = ManualClock(START_NS)
    source = source_of(clock, ScriptedCamera(clock, steady(1)))
    source.close()
    assert source.mode == CameraMode(4, 2, 25.0, "MJPG")
