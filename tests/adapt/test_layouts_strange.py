"""Folders in the papers' layouts in which something is strange: it is said, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cavs.adapt.data.clip_set import Layout
from cavs.adapt.data.layouts import METADATA, read_clips, recognise
from cavs.adapt.data.mask_files import write_sound
from cavs.runtime.errors import DataRejected
from tests.clip_layouts import make_clip, write


def test_unknown_colours_are_background_and_said(tmp_path: Path) -> None:
    clip = make_clip("a", "val")
    write("avss", tmp_path, clip)
    file = tmp_path / "v1s/a/labels_rgb/2.png"
    with Image.open(file) as picture:
        colours = np.asarray(picture.convert("RGB")).copy()
    colours[-1, :7] = (1, 2, 3)
    Image.fromarray(colours).save(file)
    after = read_clips(tmp_path).clip(0)
    assert np.array_equal(after.masks, clip.masks)
    assert after.notes == (f"{file}: 7 pixels of colour (1, 2, 3), which is no class taken as background",)


def test_unknown_indices_are_background_and_said(tmp_path: Path) -> None:
    clip = make_clip("a", "val")
    write("avss", tmp_path, clip)
    for file in (tmp_path / "v1s/a/labels_rgb").iterdir():
        file.unlink()
    (tmp_path / "v1s/a/labels_rgb").rmdir()
    file = tmp_path / "v1s/a/labels_semantic/4.png"
    mask = clip.masks[4].copy()
    mask[-1, :5] = 90
    Image.fromarray(mask).save(file)
    after = read_clips(tmp_path).clip(0)
    assert np.array_equal(after.masks, clip.masks)
    assert after.notes == (f"{file}: 5 pixels of index 90, expected below 4, taken as background",)


def test_a_mask_of_another_size_is_fitted_to_its_frame_and_said(tmp_path: Path) -> None:
    write("s4", tmp_path, make_clip("a", "val"))
    file = tmp_path / "s4_data/gt_masks/val/drone/a/a_3.png"
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(file)
    clip = read_clips(tmp_path).clip(0)
    assert clip.masks[2].all()
    assert clip.notes == (f"{file}: 16x16, resized to its frame's 32x32",)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_binary_mask_is_read_from_any_kind_of_picture(mode: str, tmp_path: Path) -> None:
    clip = make_clip("a", "val")
    write("ms3", tmp_path, clip)
    file = tmp_path / "ms3_data/gt_masks/val/a/a_1.png"
    white = Image.fromarray((clip.masks[0] > 0).astype(np.uint8) * 255)
    (white if mode == "L" else white.convert(mode)).save(file)
    assert np.array_equal(read_clips(tmp_path).clip(0).masks[0] > 0, clip.masks[0] > 0)


@pytest.mark.parametrize(
    ("layout", "kind", "content", "says"),
    [
        ("s4", "wav", b"", "no sound can be read from it"),
        ("ms3", "wav", b"RIFF no more", "no sound can be read from it"),
        ("s4", "frame", b"", "0 bytes that are no picture"),
        ("avss", "frame", b"text", "4 bytes that are no picture"),
        ("ms3", "mask", b"text", "no mask can be read from it"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(layout: Layout, kind: str, content: bytes, says: str, tmp_path: Path) -> None:
    write(layout, tmp_path, make_clip("a", "val"))
    files = read_clips(tmp_path).files[0]
    broken = {"wav": files.sound, "frame": files.frames[2], "mask": files.masks[0][1]}[kind]
    broken.write_bytes(content)
    with pytest.raises(DataRejected) as rejected:
        read_clips(tmp_path).clip(0)
    assert str(rejected.value).startswith(f"{broken}: {says}")
    assert "\n" not in str(rejected.value)


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    write("s4", tmp_path, make_clip("a", "val"))
    file = read_clips(tmp_path).files[0].sound
    write_sound(file, np.zeros(0, np.float32), 16_000)
    with pytest.raises(DataRejected, match="0 samples, expected sound"):
        read_clips(tmp_path).clip(0)


@pytest.mark.parametrize(
    ("layout", "text", "says"),
    [
        ("s4", "", "empty, expected a header"),
        ("s4", "name,category\na,b\n", "2 columns, expected name,start_time,category,split"),
        ("s4", "name,start_time,category,split\na,0,b,dev\n", "line 2: split 'dev', expected train, val, test"),
        ("ms3", "video_id,split\na,train,1\n", "line 2: 3 cells, expected 2"),
        ("avss", "vid,uid,split\n", "no column s_min, s_sec, a_obj, label"),
        ("avss", "vid,uid,s_min,s_sec,a_obj,split,label\na,a,0,0,dog,train,v3\n", "line 2: label 'v3', expected v1s, v1m, v2"),
    ],
)
def test_a_wrong_list_of_clips_is_refused_with_its_line(layout: Layout, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / METADATA[layout]).write_text(text)
    with pytest.raises(DataRejected) as rejected:
        read_clips(tmp_path)
    assert says in str(rejected.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not readable as JSON"),
        ('{"background": 1, "dog": 3}', "1 to the number of classes"),
        ('{"dog": 1, "background": 2}', "number 1 is 'dog', expected 'background'"),
    ],
)
def test_wrong_class_numbers_are_refused(text: str, says: str, tmp_path: Path) -> None:
    write("avss", tmp_path, make_clip("a", "val"))
    (tmp_path / "label2idx.json").write_text(text)
    with pytest.raises(DataRejected, match=says):
        read_clips(tmp_path)


def test_a_folder_that_is_none_or_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match="not there, expected a folder"):
        recognise(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataRejected, match="ingredients, expected labelled clips"):
        recognise(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DataRejected, match=r"none of s4_meta_data.csv, ms3_meta_data.csv, metadata.csv in it"):
        recognise(tmp_path)
    write("s4", tmp_path / "Single-source", make_clip("a", "val"))
    write("ms3", tmp_path / "Multi-sources", make_clip("a", "val"))
    with pytest.raises(DataRejected, match="name one"):
        recognise(tmp_path)


def test_a_clip_that_does_not_fit_the_layout_is_a_mistake(tmp_path: Path) -> None:
    two = make_clip("a", "val", 5, ("drone", "kettle"))
    with pytest.raises(ValueError, match="one sounding class"):
        write("s4", tmp_path, two)
    with pytest.raises(ValueError, match="MS3 holds 5, all annotated"):
        write("ms3", tmp_path, make_clip("a", "val", 4))
    with pytest.raises(ValueError, match="clips of 5 or 10"):
        write("avss", tmp_path, make_clip("a", "val", 7))
