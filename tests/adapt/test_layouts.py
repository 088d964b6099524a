"""The papers' layouts: what is written is read back equal, what is missing is counted and named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cavs.adapt.data.avss import read_avss
from cavs.adapt.data.clip_set import Layout
from cavs.adapt.data.layouts import read_clips, recognise
from cavs.adapt.data.mask_files import write_sound
from cavs.adapt.data.palette import AVSS_CLASSES
from tests.clip_layouts import LAYOUT, make_clip, write


@LAYOUT
def test_what_is_written_is_read_back_equal(layout: Layout, tmp_path: Path) -> None:
    written = [make_clip("one", "train"), make_clip("another", "test")]
    write(layout, tmp_path, *written)
    clips = read_clips(tmp_path)
    assert (clips.layout, len(clips), clips.missing) == (layout, 2, ())
    for index, before in enumerate(written):
        after = clips.clip(index)
        assert (after.id, after.split, after.notes) == (before.id, before.split, ())
        assert after.sounding == (() if layout == "ms3" else before.sounding)
        assert np.allclose(after.samples, before.samples, rtol=0, atol=1 / 32_000)
        expected = before.masks if layout == "avss" else (before.masks > 0)
        assert np.array_equal(after.masks[after.annotated], expected[after.annotated])
        if layout == "avss":  # JPEG
            assert np.abs(after.frames.astype(int) - before.frames).mean() < 3
        else:
            assert np.array_equal(after.frames, before.frames)


@pytest.mark.parametrize(("layout", "split", "annotated"), [("s4", "train", 1), ("s4", "val", 5), ("ms3", "train", 5),
                                                            ("avss", "train", 1), ("avss", "test", 5)])  # fmt: skip
def test_the_annotated_frames_are_those_of_the_layout(layout: Layout, split: str, annotated: int, tmp_path: Path) -> None:
    write(layout, tmp_path, make_clip("one", split))
    clip = read_clips(tmp_path).clip(0)
    assert clip.annotated.tolist() == [True] * annotated + [False] * (5 - annotated)
    assert not clip.masks[~clip.annotated].any()
    masks = [file for file in tmp_path.rglob("*.png") if "gt_masks" in file.parts or "labels_rgb" in file.parts]
    assert len(masks) == annotated


def test_the_files_of_s4_lie_where_its_loaders_look(tmp_path: Path) -> None:
    write("s4", tmp_path, make_clip("abc_1", "val"))
    data = tmp_path / "s4_data"
    assert (data / "visual_frames/val/drone/abc_1/abc_1_5.png").is_file()
    assert (data / "gt_masks/val/drone/abc_1/abc_1_1.png").is_file()
    assert (data / "audio_wav/val/drone/abc_1.wav").is_file()
    assert (tmp_path / "s4_meta_data.csv").read_text() == "name,start_time,category,split\nabc_1,0,drone,val\n"
    with Image.open(data / "gt_masks/val/drone/abc_1/abc_1_1.png") as mask:
        assert set(np.unique(np.asarray(mask.convert("1")))) == {False, True}


def test_the_files_of_ms3_lie_where_its_loaders_look(tmp_path: Path) -> None:
    write("ms3", tmp_path, make_clip("abc", "train"))
    data = tmp_path / "ms3_data"
    assert (data / "visual_frames/abc/abc.mp4_1.png").is_file()
    assert (data / "audio_wav/train/abc.wav").is_file()
    with Image.open(data / "gt_masks/train/abc/abc_5.png") as mask:
        assert mask.mode == "P"


def test_the_files_of_avss_lie_where_its_loaders_look(tmp_path: Path) -> None:
    one, two, ten = make_clip("a", "val"), make_clip("b", "val", 5, ("drone", "kettle")), make_clip("c", "train", 10)
    write("avss", tmp_path, one, two, ten)
    assert (tmp_path / "metadata.csv").read_text().splitlines() == [
        "vid,uid,s_min,s_sec,a_obj,split,label",
        "a,a,0,0,drone,val,v1s",
        "b,b,0,0,drone_kettle,val,v1m",
        "c,c,0,0,drone,train,v2",
    ]
    assert (tmp_path / "v2/c/frames/9.jpg").is_file()
    with Image.open(tmp_path / "v1s/a/labels_rgb/0.png") as colours:
        assert set(map(tuple, np.unique(np.asarray(colours.convert("RGB")).reshape(-1, 3), axis=0))) == {
            (0, 0, 0),
            (128, 128, 0),
        }
    with Image.open(tmp_path / "v1s/a/labels_semantic/0.png") as indices:
        assert set(np.unique(np.asarray(indices))) == {0, 3}


def test_an_underscore_in_a_class_name_is_written_as_a_hyphen(tmp_path: Path) -> None:
    clip = replace(make_clip("a", "val"), sounding=("toy_robot",))
    write("avss", tmp_path, clip, classes=("background", "a", "b", "toy_robot"))
    clips = read_clips(tmp_path)
    assert clips.clip(0).sounding == ("toy-robot",)
    assert clips.classes[3] == "toy-robot"


def test_avss_reads_indices_where_there_are_no_colours(tmp_path: Path) -> None:
    clip = make_clip("a", "val")
    write("avss", tmp_path, clip)
    for file in (tmp_path / "v1s/a/labels_rgb").iterdir():
        file.unlink()
    (tmp_path / "v1s/a/labels_rgb").rmdir()
    assert np.array_equal(read_clips(tmp_path).clip(0).masks, clip.masks)


def test_avss_without_class_numbers_has_the_71_classes(tmp_path: Path) -> None:
    write("avss", tmp_path, make_clip("a", "val"))
    (tmp_path / "label2idx.json").unlink()
    assert read_clips(tmp_path).classes == AVSS_CLASSES


def test_avss_can_follow_the_loaders_that_count_one_frame_of_v1s(tmp_path: Path) -> None:
    write("avss", tmp_path, make_clip("a", "val"), make_clip("c", "val", 10))
    clips = read_avss(tmp_path, first_of_v1s_only=True)
    assert [int(clips.clip(i).annotated.sum()) for i in range(2)] == [1, 10]
    assert [files.id for files in read_avss(tmp_path, labels=("v2",)).files] == ["c"]


@LAYOUT
def test_missing_clips_are_left_out_counted_and_named(layout: Layout, tmp_path: Path) -> None:
    write(layout, tmp_path, make_clip("gone", "val"), make_clip("here", "val"))
    sound = next(file for file in tmp_path.rglob("*.wav") if "gone" in str(file.relative_to(tmp_path)))
    sound.unlink()
    clips = read_clips(tmp_path)
    assert [files.id for files in clips.files] == ["here"]
    assert [(files.id, path) for files, path in clips.missing] == [("gone", sound)]
    assert clips.clip(0).id == "here"


@LAYOUT
def test_one_split_can_be_read_alone(layout: Layout, tmp_path: Path) -> None:
    write(layout, tmp_path, make_clip("a", "train"), make_clip("b", "val"), make_clip("c", "test"))
    assert [files.id for files in read_clips(tmp_path, split="val").files] == ["b"]


@LAYOUT
def test_frames_and_masks_can_be_made_square(layout: Layout, tmp_path: Path) -> None:
    write(layout, tmp_path, make_clip("a", "val"))
    clip = read_clips(tmp_path, size_px=16).clip(0)
    assert clip.frames.shape == (5, 16, 16, 3)
    assert clip.masks.shape == (5, 16, 16)
    assert set(np.unique(clip.masks)) == {0, 3 if layout == "avss" else 1}


def test_sound_of_any_rate_and_channel_count_becomes_16_khz_mono(tmp_path: Path) -> None:
    import soundfile

    write("ms3", tmp_path, make_clip("a", "val"))
    tone = 0.5 * np.sin(np.arange(44_100 * 5) * 2 * np.pi * 440 / 44_100)
    soundfile.write(tmp_path / "ms3_data/audio_wav/val/a.wav", np.stack([tone, tone], axis=1), 44_100)
    clip = read_clips(tmp_path).clip(0)
    assert clip.samples.shape == (80_000,)
    assert np.argmax(np.abs(np.fft.rfft(clip.samples[:16_000]))) == 440


def test_sound_that_ends_early_repeats_its_last_whole_second(tmp_path: Path) -> None:
    write("ms3", tmp_path, make_clip("a", "val"))
    ramp = np.linspace(0, 1, 40_000, dtype=np.float32)
    write_sound(tmp_path / "ms3_data/audio_wav/val/a.wav", ramp, 16_000)
    clip = read_clips(tmp_path).clip(0)
    assert np.array_equal(clip.second(0), clip.samples[:16_000])
    assert np.array_equal(clip.second(4), clip.samples[16_000:32_000])
    with pytest.raises(ValueError, match="second 5 of a clip of 5 frames"):
        clip.second(5)


def test_padding_adds_black_unannotated_silent_seconds() -> None:
    clip = make_clip("a", "val").padded(10)
    assert clip.frames.shape == (10, 32, 32, 3)
    assert not clip.frames[5:].any()
    assert not clip.masks[5:].any()
    assert clip.annotated.tolist() == [True] * 5 + [False] * 5
    assert clip.present is not None
    assert clip.present.tolist() == [True] * 5 + [False] * 5
    assert not clip.second(7).any()
    assert clip.padded(10) is clip


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    write("avss", tmp_path, make_clip("a", "val"))
    (tmp_path / "metadata.csv").write_text("split,label,uid,vid,a_obj,s_min,s_sec\nval,v1s,a,a,drone,0,0\n")
    assert read_clips(tmp_path).clip(0).sounding == ("drone",)


def test_the_special_names_of_a_obj_are_no_classes(tmp_path: Path) -> None:
    write("avss", tmp_path, make_clip("a", "val"), replace(make_clip("b", "val"), sounding=()))
    text = (tmp_path / "metadata.csv").read_text().replace("drone", "off-the-screen")
    (tmp_path / "metadata.csv").write_text(text)
    assert "background" in text
    assert [files.sounding for files in read_clips(tmp_path).files] == [(), ()]


@LAYOUT
def test_a_folder_is_recognised_alone_and_inside_the_archive(layout: Layout, tmp_path: Path) -> None:
    inside = {"s4": "Single-source", "ms3": "Multi-sources", "avss": "AVSBench_semantic"}[layout]
    write(layout, tmp_path / inside, make_clip("a", "val"))
    for path in (tmp_path, tmp_path / inside):
        found = recognise(path)
        assert (found.layout, found.root) == (layout, tmp_path / inside)
