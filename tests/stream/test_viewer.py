"""The viewer: seconds summed up in a line, pictures joined with their masks, and when it is over."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.stream.film import Film
from cavs.stream.masks import Masks
from cavs.stream.overlay import Picture, colour_of
from cavs.stream.viewer import MASKS_KEPT, PICTURE_PATIENCE_WINDOWS, Second, Viewer, WatchError, status_line
from cavs.stream.wire import Event, Preview
from tests.one_window import sample_event, sample_hello, sample_masks

GREY = 128


def masks(seq: int, **changes: object) -> Masks:
    return dataclasses.replace(sample_masks(), seq=seq, **changes)  # type: ignore[arg-type]


def preview(seq: int, t_ns: int = 0) -> Preview:
    jpeg = cv2.imencode(".jpg", np.full((120, 216, 3), GREY, np.uint8))[1].tobytes()
    return Preview("kitchen-1", seq, t_ns, 120, 216, jpeg, np.zeros(640, np.int16), 16_000, seq * 640)


def ended() -> Event:
    return Event(stream="kitchen-1", t_ns=0, kind="ended", subject="kitchen-1", text="end of file")


def test_a_second_is_one_line_with_rate_latency_objects_model_and_losses() -> None:
    clock = ManualClock()
    viewer = Viewer(clock)
    for seq in range(30):
        viewer.step(masks(seq, latency_ms={"end_to_end": float(seq)}))
        assert viewer.line(missed=0) is None
    clock.advance_ns(NS_PER_S)
    line = viewer.line(missed=4)
    assert line is not None
    for part in ("30.0 fps", "p50 14.5", "p99 28.7 ms", "2.0 objects: dog, unknown", "v3 kitchen@5f3a5f3a5f3a onnx"):
        assert part in line
    assert "drops frames_stale 2 |" in line
    assert "missed 4" in line
    assert "audio_partial" in line
    assert "\n" not in line


def test_a_silent_second_says_so_and_before_the_first_window_there_is_no_line() -> None:
    clock = ManualClock()
    viewer = Viewer(clock)
    clock.advance_ns(NS_PER_S)
    assert viewer.line(missed=0) is None
    viewer.step(masks(0))
    assert viewer.line(missed=0) is not None
    clock.advance_ns(NS_PER_S)
    line = viewer.line(missed=0)
    assert line is not None
    assert line.startswith("  0.0 fps")


def test_the_line_of_a_second_that_is_not_over_comes_when_closing() -> None:
    clock = ManualClock()
    viewer = Viewer(clock)
    viewer.step(masks(0))
    clock.advance_ns(NS_PER_S // 2)
    assert viewer.line(missed=0) is None
    line = viewer.line(missed=0, closing=True)
    assert line is not None
    assert "2.0 fps" in line
    assert viewer.line(missed=0, closing=True) is None


def test_without_a_latency_in_the_message_it_is_that_from_frame_to_sending() -> None:
    second = Second()
    second.add(masks(0, latency_ms={}))
    assert second.latencies_ms == [23.0]
    assert "latency p50 23.0" in status_line(second, 1.0, masks(0), 0)


def test_a_picture_is_joined_with_the_masks_of_its_own_window() -> None:
    shown: list[Picture] = []
    viewer = Viewer(ManualClock(), show=shown.append)
    viewer.step(masks(1, objects=()))
    viewer.step(masks(2))
    viewer.step(preview(1))
    viewer.step(preview(2))
    viewer.step(preview(3))
    assert viewer.pictures == viewer.taken == len(shown) == 2
    spot = (36, 60)  # inside the dog, on the left of the picture
    assert shown[0][spot] == pytest.approx((GREY, GREY, GREY), abs=3)
    tint = shown[1][spot].astype(int) - GREY
    assert [np.sign(part) for part in tint] == [np.sign(part - GREY) for part in colour_of("dog")]


def test_the_picture_that_is_kept_is_the_newest_in_which_something_sounds() -> None:
    viewer = Viewer(ManualClock(), keep=True)
    kept = []
    for seq, objects in enumerate([(), sample_masks().objects, ()]):
        viewer.step(masks(seq, objects=objects))
        viewer.step(preview(seq))
        kept.append(viewer.picture)
    assert kept[0] is not None
    assert kept[0] is not kept[1]
    assert kept[1] is kept[2]


def test_the_picture_of_an_event_is_named_and_stays_in_the_corner_for_a_while() -> None:
    clock = ManualClock()
    shown: list[Picture] = []
    viewer = Viewer(clock, show=shown.append)
    thumb = cv2.imencode(".jpg", np.full((20, 30, 3), 255, np.uint8))[1].tobytes()
    line = viewer.step(Event("kitchen-1", 0, "unknown", "object 3", "what is this?", thumb))
    assert line == f"event: unknown object 3: what is this? [a picture of {len(thumb)} bytes]"
    for seq, wait_ns in ((1, 0), (2, 6 * NS_PER_S)):
        clock.advance_ns(wait_ns)
        viewer.step(masks(seq, objects=()))
        viewer.step(preview(seq))
    assert shown[0][:20, -30:].min() > 240
    assert shown[1][:20, -30:].max() < 240


def test_an_event_with_a_picture_that_is_none_is_still_told() -> None:
    viewer = Viewer(ManualClock(), keep=True)
    line = viewer.step(Event("kitchen-1", 0, "unknown", "object 3", "what is this?", b"\xff\xd8nonsense"))
    assert line is not None
    assert "what is this?" in line
    viewer.step(masks(1))
    viewer.step(preview(1))
    assert viewer.pictures == 1


def test_a_damaged_picture_is_counted_and_watching_goes_on() -> None:
    viewer = Viewer(ManualClock(), keep=True)
    viewer.step(masks(1))
    viewer.step(dataclasses.replace(preview(1), jpeg=b"no jpeg"))
    viewer.step(masks(2))
    viewer.step(preview(2))
    assert (viewer.pictures, viewer.pictures_damaged) == (1, 1)


def test_masks_whose_picture_never_comes_are_given_up() -> None:
    viewer = Viewer(ManualClock(), keep=True)
    viewer.step(masks(0))
    viewer.step(preview(0))
    for seq in range(1, MASKS_KEPT + 2):
        viewer.step(masks(seq))
    viewer.step(preview(1))
    assert viewer.pictures == 1
    viewer.step(preview(2))
    assert viewer.pictures == 2


def test_a_film_gets_each_joined_picture_with_its_sound(tmp_path: Path) -> None:
    film = Film(tmp_path / "o.mp4")
    viewer = Viewer(ManualClock(), film=film)
    for seq in range(10):
        viewer.step(masks(seq))
        if seq != 4:
            viewer.step(preview(seq, t_ns=seq * 40_000_000))
    film.close()
    assert film.pictures == 9


def test_a_stream_without_pictures_is_one_line_when_pictures_are_wanted() -> None:
    blind = sample_hello().model_copy(update={"preview": False})
    assert Viewer(ManualClock()).step(blind) is None
    with pytest.raises(WatchError, match="--no-preview"):
        Viewer(ManualClock(), keep=True).step(blind)
    viewer = Viewer(ManualClock(), keep=True)
    for seq in range(PICTURE_PATIENCE_WINDOWS):
        viewer.step(masks(seq))
    with pytest.raises(WatchError, match="without a picture"):
        viewer.step(masks(PICTURE_PATIENCE_WINDOWS))


def test_events_are_lines() -> None:
    assert Viewer(ManualClock()).step(sample_event()) == "event: lost camera 0: no frame for 1000 ms"


def test_it_is_over_when_the_stream_has_said_so_and_late_pictures_have_had_their_time() -> None:
    clock = ManualClock()
    viewer = Viewer(clock)
    viewer.step(masks(0))
    viewer.step(ended())
    assert not viewer.ended
    clock.advance_ns(NS_PER_S)
    assert viewer.ended
    viewer.step(masks(0))  # it began again
    clock.advance_ns(NS_PER_S)
    assert not viewer.ended
