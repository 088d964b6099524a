"""The demonstration clip: what it promises to show, its truth, and that the shipped file is it."""

import argparse
import json
from pathlib import Path

import av
import numpy as np
import pytest

from cavs.adapt.data.demo_clip import FPS, HEIGHT_PX, OFFSCREEN, SECONDS, SIREN, TAKES, WIDTH_PX, DemoClip
from cavs.adapt.data.demo_command import describe, run
from cavs.adapt.data.procedural import CLASSES
from cavs.runtime.errors import DataRejected
from cavs.stream.demo import demo_clip


@pytest.fixture(scope="module")
def clip() -> DemoClip:
    return DemoClip()


def test_every_class_sounds_and_every_take_has_one_that_never_does(clip: DemoClip) -> None:
    intervals = clip.intervals()
    assert all(intervals[cls] for cls in CLASSES)
    for take in TAKES:
        silent = [thing.cls for thing in take.things if not thing.sounds]
        assert len(silent) == 1
        assert not any(take.start_s < end and start < take.end_s for start, end in intervals[silent[0]])


def test_a_mask_shows_just_what_sounds(clip: DemoClip) -> None:
    for time_s, cls in ((2.0, "kettle"), (6.0, "hand_bell"), (10.0, "toy_robot"), (13.5, "toy_frog"), (18.0, "drone")):
        mask = clip.mask_at(time_s)
        assert set(np.unique(mask)) == {0, 1 + CLASSES.index(cls)}
        rows, columns = np.nonzero(mask)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (cls, box, True) in clip.boxes_at(time_s)
        assert sum(sounding for _, _, sounding in clip.boxes_at(time_s)) == 1


def test_nothing_is_marked_in_silence_nor_while_only_the_unseen_siren_sounds(clip: DemoClip) -> None:
    for time_s in (0.5, 8.5, 12.4, 16.5, 20.4, sum(SIREN) / 2, 23.9):
        assert not clip.mask_at(time_s).any()
        assert clip.boxes_at(time_s)
    assert clip.intervals()[OFFSCREEN][0][0] == pytest.approx(SIREN[0], abs=0.2)


def test_things_sound_when_they_are_played_and_until_0_6_s_later(clip: DemoClip) -> None:
    for take in TAKES:
        for thing in take.things:
            for start_s, end_s in thing.sounds:
                begins = [a for a, _ in clip.intervals()[thing.cls]]
                ends = [b for _, b in clip.intervals()[thing.cls]]
                assert min(begins) == pytest.approx(start_s, abs=0.3)
                assert end_s - 0.3 <= max(ends) <= end_s + 0.62


def test_the_sound_is_neither_clipped_nor_empty_where_nothing_sounds(clip: DemoClip) -> None:
    assert np.abs(clip.sound).max() < 0.9
    quiet = clip.sound[: 48_000 // 2]
    assert 1e-5 < float(np.sqrt(np.square(quiet).mean())) < 3e-3


def test_a_frame_and_its_mask_agree_and_nothing_leaves_the_picture(clip: DemoClip) -> None:
    for time_s in np.arange(0.25, SECONDS, 1.5):
        frame, mask = clip.at(float(time_s))
        assert frame.shape == (HEIGHT_PX, WIDTH_PX, 3)
        assert np.array_equal(mask, clip.mask_at(float(time_s)))
        for _, (left, top, right, bottom), _ in clip.boxes_at(float(time_s)):
            assert left > 0
            assert top > 0
            assert right < WIDTH_PX
            assert bottom < HEIGHT_PX


def test_a_time_outside_the_clip_is_a_mistake(clip: DemoClip) -> None:
    with pytest.raises(ValueError, match="lasts from 0 to 24"):
        clip.at(24.0)


def test_the_shipped_file_is_this_clip(clip: DemoClip) -> None:
    path = demo_clip()
    assert path.stat().st_size < 2 * 2**20
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert [video.width, video.height, video.average_rate, video.frames] == [WIDTH_PX, HEIGHT_PX, FPS, SECONDS * FPS]
        assert audio.rate == 48_000
        for index, frame in enumerate(container.decode(video)):
            if index in (60, 300):
                expected = clip.at(index / FPS)[0]
                assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - expected).mean() < 6
            if index == 300:
                break


def test_the_shipped_truth_is_that_of_this_clip(clip: DemoClip) -> None:
    shipped = json.loads(demo_clip().with_suffix(".json").read_text())
    assert shipped == json.loads(json.dumps(describe(clip, "demo.mp4")))
    assert len(shipped["moments"]) == SECONDS
    assert {one["class"] for one in shipped["objects"] if one["sounding"]} == set(CLASSES)


def test_a_name_that_is_no_mp4_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match=r"expected a name that ends in \.mp4"):
        run(argparse.Namespace(out=tmp_path / "demo.avi", masks=None))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataRejected, match="no video could be written"):
        run(argparse.Namespace(out=tmp_path / "file" / "demo.mp4", masks=None))
