"""Labelled clips of a folder as exemplars: a published layout, videos with masks, and what is wrong with a folder."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cavs.adapt.data.avss import write_avss_clip, write_avss_index
from cavs.adapt.data.clip_set import LabelledClip
from cavs.adapt.serve.folders import FolderReader
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import DataRejected
from tests.adapt.serve.conftest import Room
from tests.clips import write_clip

YELLOW = (230, 230, 20)
CLASSES = ("background", "yellow")


@pytest.fixture
def reader(tiny_bundle: Bundle) -> FolderReader:
    return FolderReader(tiny_bundle, "lesson", 1)


def videos(root: Path, frames: tuple[int, ...] = (6, 9, 12, 15, 18, 21)) -> Path:
    """A video of two seconds whose square sounds from 0.5 s on, with masks of some frames."""
    (root / "yellow" / "clip").mkdir(parents=True)
    write_clip(root / "yellow" / "clip.mp4", seconds=2.0, fps=15, colour=YELLOW, sounding_s=(0.2, 2.0))
    mask = np.zeros((120, 160), np.uint8)
    mask[30:90, 40:120] = 255
    for frame in frames:
        cv2.imwrite(str(root / "yellow" / "clip" / f"{frame:06d}.png"), mask)
    return root


def clips(root: Path) -> Path:
    """Two clips in the AVSS layout, one to train on and one to validate on."""
    rows = []
    for split, sounding in (("train", 5), ("val", 3)):
        frames = np.zeros((5, 48, 48, 3), np.uint8)
        frames[:, 12:36, 12:36] = YELLOW
        masks = np.zeros((5, 48, 48), np.uint8)
        masks[:sounding, 12:36, 12:36] = 1
        time_s = np.arange(5 * 16_000) / 16_000
        samples = (0.5 * np.sin(2 * np.pi * 440 * time_s) * (time_s < sounding)).astype(np.float32)
        clip = LabelledClip(f"{split}_clip", split, ("yellow",), frames, masks, np.ones(5, bool), samples)
        rows.append(write_avss_clip(root, clip, CLASSES))
    write_avss_index(root, rows, CLASSES)
    return root


def test_a_published_layout_gives_a_window_for_each_annotated_frame(reader: FolderReader, tmp_path: Path) -> None:
    windows = list(reader.read(clips(tmp_path)))
    assert [window.held for window in windows] == [False] * 1 + [False] * (len(windows) - 6) + [True] * 5
    silent = [window.exemplar for window in windows if not window.exemplar.marks]
    assert len(silent) == 2
    for window in windows:
        one = window.exemplar
        assert (one.frame.shape, one.sound.shape, one.source) == ((64, 64, 3), (1600,), "lesson")
        assert bool(np.abs(one.sound).max() > 0.1) == bool(one.marks)


def test_videos_with_masks_give_a_window_for_each_mask(reader: FolderReader, tmp_path: Path) -> None:
    windows = [window.exemplar for window in reader.read(videos(tmp_path))]
    assert len(windows) == 6
    for one in windows:
        ((name, mark),) = one.marks
        assert name == "yellow"
        assert abs(mark.mean() - 0.25) < 0.02
        assert one.frame[mark].mean(axis=0)[2] < 60 < one.frame[mark].mean(axis=0)[0]
        assert np.abs(one.sound).max() > 0.3  # the sound of that moment


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda root: (root / "yellow" / "clip" / "000400.png").write_bytes((root / "yellow/clip/000006.png").read_bytes()),
            "number masks from 0",
        ),
        (lambda root: (root / "yellow" / "clip" / "000006.png").write_bytes(b"x"), "000006.png"),
        (lambda root: (root / "yellow" / "clip.mp4").write_bytes(b"no video"), "clip.mp4"),
        (lambda root: (root / "yellow").rename(root / " odd"), "with spaces around it"),
        (lambda root: cv2.imwrite(str(root / "yellow/clip/000006.png"), np.zeros((5, 5), np.uint8)), "the sizes must be equal"),
        (lambda root: [mask.unlink() for mask in (root / "yellow" / "clip").iterdir()], "no masks in"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(spoil: object, words: str, reader: FolderReader, tmp_path: Path) -> None:
    root = videos(tmp_path)
    spoil(root)  # type: ignore[operator]
    with pytest.raises(DataRejected, match=words) as caught:
        list(reader.read(root))
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_folder_is_one_line(reader: FolderReader, tmp_path: Path) -> None:
    for path, words in ((tmp_path, "no labelled frame"), (tmp_path / "nowhere", "not there")):
        with pytest.raises(DataRejected, match=words):
            list(reader.read(path))


def test_a_folder_is_a_lesson_like_any_other(room: Room, tmp_path: Path) -> None:
    from cavs.runtime.lesson import LessonRequest, new_lesson_id, wall_now_ns

    now_ns = wall_now_ns()
    path = str(videos(tmp_path / "clips"))
    request = LessonRequest(id=new_lesson_id(now_ns), kind="learn", name=None, path=path, yes=True, asked_wall_ns=now_ns)
    room.lessons.write(request)
    assert room.learn(request.id) == "live: "
    assert "yellow" in room.classes()
