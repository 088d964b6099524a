"""cavs-stream watch: when it ends, what it writes, and how it fails."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.runtime.errors import WireError
from cavs.stream.film import FilmError
from cavs.stream.viewer import Viewer, WatchError
from cavs.stream.watch import SILENT_END_NS, Limit, main, parser, save_picture
from tests.stream.test_viewer import ended, masks, preview


def limit(clock: ManualClock, *flags: str) -> Limit:
    return Limit(parser().parse_args(["ipc:///tmp/x", *flags]), clock)


def test_without_flags_it_goes_on_for_ever() -> None:
    clock = ManualClock()
    viewer, forever = Viewer(clock), limit(clock)
    viewer.step(masks(0))
    viewer.step(ended())
    clock.advance_ns(1000 * NS_PER_S)
    assert not forever.reached(viewer)


def test_it_ends_after_the_seconds_asked_for() -> None:
    clock = ManualClock()
    viewer, two = Viewer(clock), limit(clock, "--seconds", "2")
    clock.advance_ns(2 * NS_PER_S - 1)
    assert not two.reached(viewer)
    clock.advance_ns(1)
    assert two.reached(viewer)


def test_a_count_is_of_windows_or_where_pictures_are_wanted_of_pictures() -> None:
    clock = ManualClock()
    viewer, watcher = Viewer(clock), Viewer(clock, keep=True)
    two = limit(clock, "--count", "2")
    for seq in range(2):
        assert not two.reached(viewer)
        viewer.step(masks(seq))
        watcher.step(masks(seq))
        assert not two.reached(watcher)
        watcher.step(preview(seq))
    assert two.reached(viewer)
    assert two.reached(watcher)


def test_a_snapshot_alone_ends_with_the_first_picture_and_beside_others_does_not() -> None:
    clock = ManualClock()
    viewer = Viewer(clock, keep=True)
    alone, beside = limit(clock, "--snapshot", "o.png"), limit(clock, "--snapshot", "o.png", "--save", "o.mp4")
    viewer.step(masks(0))
    assert not alone.reached(viewer)
    viewer.step(preview(0))
    assert alone.reached(viewer)
    assert not beside.reached(viewer)


def test_until_end_ends_with_the_stream_also_with_one_that_fell_silent() -> None:
    clock = ManualClock()
    viewer, until = Viewer(clock), limit(clock, "--until-end")
    clock.advance_ns(2 * SILENT_END_NS)
    assert not until.reached(viewer)  # it has not begun
    viewer.step(masks(0))
    until.heard()
    assert not until.reached(viewer)
    clock.advance_ns(SILENT_END_NS + 1)
    assert until.reached(viewer)
    until.heard()
    viewer.step(ended())
    assert not until.reached(viewer)
    clock.advance_ns(NS_PER_S)
    assert until.reached(viewer)


def test_a_snapshot_is_written_in_the_right_colours(tmp_path: Path) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    save_picture(tmp_path / "o.png", red)
    read = cv2.imread(str(tmp_path / "o.png"))
    assert read is not None
    assert read[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("name", "says"), [("o.txt", "use .png"), ("o", "use .png"), ("nowhere/o.png", "cannot be written")])
def test_a_snapshot_that_cannot_be_written_is_one_line(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(WatchError, match=says):
        save_picture(tmp_path / name, np.zeros((2, 2, 3), np.uint8))


def test_a_film_that_cannot_be_written_is_said_before_waiting_for_the_stream(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="cannot be written"):
        main([f"ipc://{tmp_path}/nobody", "--save", str(tmp_path / "nowhere" / "o.mp4")])


def test_a_stream_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WireError, match=r"no window came; is cavs-stream running"):
        main([f"ipc://{tmp_path}/nobody", "--seconds", "0.05"])


@pytest.mark.parametrize("flags", [["--seconds", "0"], ["--count", "-1"], ["--colour"]])
def test_wrong_use_is_exit_code_2(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ipc:///tmp/x", *flags])
    assert stopped.value.code == 2
