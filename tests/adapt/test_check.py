"""`cavs-adapt data check`: every fault of a folder is found and named in one line, and the exit code says if it can be used."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cavs.adapt.cli import main
from cavs.adapt.data.avss import write_avss_clip, write_avss_index
from cavs.adapt.data.check import Report, check_clips
from cavs.adapt.data.clip_set import LabelledClip
from cavs.adapt.data.mask_files import write_sound
from cavs.adapt.data.ms3 import write_ms3_clip, write_ms3_index
from cavs.runtime.errors import DataRejected

CLASSES = ("background", "kettle", "drone")


def make_clip(name: str, split: str = "val", side: int = 224) -> LabelledClip:
    frames = np.full((5, side, side, 3), 90, np.uint8)
    masks = np.zeros((5, side, side), np.uint8)
    masks[:, :30, :30] = 2
    samples = (0.2 * np.sin(np.arange(80_000) * 0.05)).astype(np.float32)
    return LabelledClip(name, split, ("drone",), frames, masks, np.ones(5, bool), samples)


@pytest.fixture
def ms3(tmp_path: Path) -> Path:
    write_ms3_index(tmp_path, [write_ms3_clip(tmp_path, make_clip(name)) for name in ("a", "b")])
    return tmp_path


@pytest.fixture
def avss(tmp_path: Path) -> Path:
    rows = [write_avss_clip(tmp_path, make_clip(name), CLASSES) for name in ("a", "b")]
    write_avss_index(tmp_path, rows, CLASSES)
    return tmp_path


def only(report: Report) -> tuple[str, str, str]:
    assert len(report.findings) == 1, report.findings
    found = report.findings[0]
    assert "\n" not in found.text
    return found.level, found.kind, found.text


def test_a_folder_as_it_should_be_gives_no_finding(ms3: Path) -> None:
    report = check_clips(ms3)
    assert report.findings == ()
    assert report.usable
    assert (report.layout, report.splits["val"].listed, report.splits["val"].readable) == ("ms3", 2, 2)


def test_a_missing_file_is_named_and_tolerated(ms3: Path) -> None:
    file = ms3 / "ms3_data/gt_masks/val/a/a_3.png"
    file.unlink()
    report = check_clips(ms3)
    text = f"{file}: not there; restore it, otherwise clip a is left out"
    assert only(report) == ("noted", "missing file", text)
    assert report.usable
    assert (report.splits["val"].whole, report.splits["val"].readable) == (1, 1)


def test_a_missing_clip_is_one_finding(ms3: Path) -> None:
    for file in [file for file in ms3.rglob("*") if file.is_file() and file.name.startswith("a")]:
        file.unlink()
    level, kind, text = only(check_clips(ms3))
    assert (level, kind) == ("noted", "missing clip")
    assert "none of the 11 files of clip a" in text


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("ms3_data/visual_frames/a/a.mp4_2.png", "unreadable frame"),
        ("ms3_data/gt_masks/val/a/a_2.png", "unreadable mask"),
        ("ms3_data/audio_wav/val/a.wav", "unreadable sound"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"not what it should be"])
def test_a_file_that_cannot_be_read_makes_the_folder_unusable(file: str, kind: str, content: bytes, ms3: Path) -> None:
    (ms3 / file).write_bytes(content)
    report = check_clips(ms3)
    assert only(report)[:2] == ("broken", kind)
    assert str(ms3 / file) in report.findings[0].text
    assert not report.usable
    assert report.splits["val"].readable == 1


def test_a_torn_picture_is_found(ms3: Path) -> None:
    file = ms3 / "ms3_data/gt_masks/val/b/b_1.png"
    file.write_bytes(file.read_bytes()[:-40])
    assert only(check_clips(ms3))[:2] == ("broken", "unreadable mask")


def test_a_wav_without_samples_is_broken_and_a_silent_or_short_one_noted(ms3: Path) -> None:
    file = ms3 / "ms3_data/audio_wav/val/a.wav"
    write_sound(file, np.zeros(0, np.float32), 16_000)
    assert only(check_clips(ms3))[:2] == ("broken", "unreadable sound")
    write_sound(file, np.zeros(80_000, np.float32), 16_000)
    assert only(check_clips(ms3))[:2] == ("noted", "digital silence")
    write_sound(file, np.full(48_000, 0.1, np.float32), 16_000)
    level, kind, text = only(check_clips(ms3))
    assert (level, kind) == ("noted", "short sound")
    assert "3.0 s, expected 5 s" in text


def test_unknown_colours_and_indices_are_counted(avss: Path) -> None:
    file = avss / "v1s/a/labels_rgb/1.png"
    with Image.open(file) as picture:
        colours = np.asarray(picture.convert("RGB")).copy()
    colours[0, :5] = (9, 9, 9)
    Image.fromarray(colours).save(file)
    level, kind, text = only(check_clips(avss))
    assert (level, kind) == ("noted", "unknown label")
    assert text.startswith(f"{file}: 5 pixels of colour (9, 9, 9)")


def test_sizes_that_differ_are_said(ms3: Path) -> None:
    mask, frame = ms3 / "ms3_data/gt_masks/val/a/a_1.png", ms3 / "ms3_data/visual_frames/b/b.mp4_4.png"
    Image.fromarray(np.zeros((100, 120), np.uint8)).save(mask)
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(frame)
    findings = {(found.kind, found.text.split(";")[0].split(": ", 1)[1]) for found in check_clips(ms3).findings}
    assert findings == {
        ("mask size", "120x100, expected 224x224 as its frame"),
        ("mask size", "224x224, expected 60x50 as its frame"),
        ("sizes differ", "frames of 60x50, 224x224 in one clip, expected one size"),
    }


def test_a_binary_mask_with_many_values_is_said(ms3: Path) -> None:
    file = ms3 / "ms3_data/gt_masks/val/a/a_1.png"
    Image.fromarray(np.tile(np.arange(224, dtype=np.uint8), (224, 1))).save(file)
    level, kind, text = only(check_clips(ms3))
    assert (level, kind) == ("noted", "not binary")
    assert "224 values (0, 1, 2, 3 ...), expected 2" in text


def test_frames_of_an_unusual_size_are_said(tmp_path: Path) -> None:
    write_ms3_index(tmp_path, [write_ms3_clip(tmp_path, make_clip("a", side=64))])
    level, kind, text = only(check_clips(tmp_path))
    assert (level, kind) == ("noted", "unusual size")
    assert "64x64, expected 224x224" in text


def test_a_clip_in_two_splits_is_broken(ms3: Path) -> None:
    with (ms3 / "ms3_meta_data.csv").open("a") as index:
        index.write("a,test\n")
    report = check_clips(ms3)
    assert [found.kind for found in report.findings if found.level == "broken"] == ["listed twice"]
    assert "a is listed 2 times, in val and test" in report.findings[0].text
    assert not report.usable


def test_an_empty_list_is_not_usable(ms3: Path) -> None:
    (ms3 / "ms3_meta_data.csv").write_text("video_id,split\n")
    assert only(check_clips(ms3))[:2] == ("broken", "empty list")


def test_class_names_without_a_number_are_said(avss: Path) -> None:
    text = (avss / "metadata.csv").read_text().replace("drone", "zebra")
    (avss / "metadata.csv").write_text(text)
    level, kind, found = only(check_clips(avss))
    assert (level, kind) == ("noted", "unknown class name")
    assert "'zebra' 2 times" in found


def test_the_command_prints_a_table_writes_json_and_exits_0_when_usable(
    ms3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ms3 / "ms3_data/audio_wav/val/a.wav").unlink()
    report = tmp_path / "report.json"
    assert main(["data", "check", str(ms3), "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "noted: missing file, 1" in printed
    assert printed.rstrip().endswith("usable")
    content = json.loads(report.read_text())
    assert content["usable"] is True
    assert content["splits"]["val"] == {"listed": 2, "whole": 1, "readable": 1}
    assert [found["kind"] for found in content["findings"]] == ["missing file"]


def test_the_command_exits_1_when_unusable_and_shortens_long_lists(ms3: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 6):
        (ms3 / f"ms3_data/gt_masks/val/a/a_{number}.png").write_bytes(b"")
    assert main(["data", "check", str(ms3)]) == 1
    short = capsys.readouterr().out
    assert "broken: unreadable mask, 5" in short
    assert "and 2 more; --all prints them" in short
    assert main(["data", "check", str(ms3), "--all"]) == 1
    assert "a_5.png" in capsys.readouterr().out


def test_a_folder_of_no_layout_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataRejected):
        check_clips(tmp_path)
    assert main(["data", "check", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"cavs-adapt: {tmp_path}: none of s4_meta_data.csv")
