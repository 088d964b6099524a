"""A folder of ingredients: what is loaded, what is skipped, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cavs.adapt.data.ingredient_folder import load_ingredients
from cavs.adapt.data.ingredients import RATE_HZ, Ingredients
from cavs.runtime.errors import DataRejected


@pytest.fixture
def own_folder(ingredient_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ingredient_folder, tmp_path / "own"))


def groups(of: Ingredients) -> set[str]:
    cutouts = {one.group for some in of.cutouts.values() for one in some}
    return cutouts | {one.group for some in of.recordings.values() for one in some} | {b.group for b in of.backgrounds}


def test_only_the_split_that_was_asked_for_is_loaded(ingredient_folder: Path) -> None:
    train = load_ingredients(ingredient_folder, split="train")
    val = load_ingredients(ingredient_folder, split="val")
    assert {len(some) for some in train.cutouts.values()} == {3}
    assert {len(some) for some in val.cutouts.values()} == {1}
    assert not groups(train) & groups(val)


def test_a_set_read_from_files_is_the_set_that_was_written(ingredient_folder: Path, few: Ingredients) -> None:
    read = load_ingredients(ingredient_folder, split="train")
    assert read.classes_with_both() == few.classes_with_both()
    assert read.classes_only_heard() == few.classes_only_heard() == ("offscreen_misc",)
    cls = read.classes_with_both()[0]
    np.testing.assert_array_equal(read.cutouts[cls][0].rgba[..., 3], few.cutouts[cls][0].rgba[..., 3])
    np.testing.assert_allclose(read.recordings[cls][0].samples, few.recordings[cls][0].samples, atol=1 / 32767)
    ids = read.scenes[0].ids
    assert ids is not None
    np.testing.assert_array_equal(ids, few.scenes[0].ids)


def test_excluded_patterns_and_other_classes_are_left_out(ingredient_folder: Path) -> None:
    cls = load_ingredients(ingredient_folder, split="train").classes_with_both()[0]
    unheard = load_ingredients(ingredient_folder, split="train", exclude=[f"audio/{cls}/*"])
    assert cls in unheard.classes_only_seen()
    alone = load_ingredients(ingredient_folder, split="train", classes=[cls])
    assert set(alone.cutouts) == set(alone.recordings) == {cls}


def test_broken_files_are_skipped_counted_and_warned_about_once(own_folder: Path) -> None:
    images = sorted((own_folder / "images").glob("*/train*.png"))
    sounds = sorted((own_folder / "audio").glob("*/train*.flac"))
    images[0].write_bytes(b"not a picture")
    images[1].write_bytes(b"")
    images[4].unlink()
    soundfile.write(sounds[0], np.zeros(0, np.float32), RATE_HZ)
    soundfile.write(sounds[1], np.zeros(RATE_HZ, np.float32), RATE_HZ)
    sounds[4].write_bytes(b"RIFF")
    with pytest.warns(UserWarning, match="unusable and skipped: 6, such as") as caught:
        loaded = load_ingredients(own_folder, split="train")
    assert len(caught) == 1
    assert len(loaded.skipped) == 6
    assert sum(len(some) for some in loaded.cutouts.values()) == 5 * 3 - 3


def test_a_scene_whose_instances_are_of_another_size_is_skipped(own_folder: Path) -> None:
    scene, other = sorted((own_folder / "photos").glob("*scene*_inst.png"))[:2]
    shutil.copy(sorted((own_folder / "images").glob("*/*.png"))[0], scene)
    assert other.exists()
    with pytest.warns(UserWarning, match=r"unusable and skipped: 1, .*but its photo is"):
        load_ingredients(own_folder, split="train")


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (None, "expected a folder of ingredients with manifest.json"),
        ("{", "not JSON"),
        ("[]", "a list, expected lists under images"),
        (json.dumps({"images": [{"file": "a.png", "split": "train"}]}), "an entry of images lacks cls"),
        (json.dumps({"images": [], "audio": []}), "no cut-out and no recording in split train"),
    ],
)
def test_a_folder_that_holds_nothing_usable_is_refused(tmp_path: Path, manifest: str | None, says: str) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(DataRejected, match=says):
        load_ingredients(tmp_path, split="train")


def test_a_class_or_split_that_is_not_there_is_refused(ingredient_folder: Path) -> None:
    with pytest.raises(DataRejected, match="nothing usable for unicorn in split train"):
        load_ingredients(ingredient_folder, split="train", classes=["unicorn"])
    with pytest.raises(DataRejected, match="split 'dev'"):
        load_ingredients(ingredient_folder, split="dev")


def test_sound_of_another_rate_and_two_channels_becomes_mono_at_the_rate(own_folder: Path) -> None:
    path = sorted((own_folder / "audio").glob("*/train*.flac"))[0]
    time_s = np.arange(48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_s)
    soundfile.write(path, np.stack([tone, np.zeros_like(tone)], axis=1), 48_000)
    loaded = load_ingredients(own_folder, split="train").recordings[path.parent.name][0]
    assert len(loaded.samples) == RATE_HZ
    spectrum = np.abs(np.fft.rfft(loaded.samples))
    assert int(spectrum.argmax()) == 440
    assert np.abs(loaded.samples[4000:-4000]).max() == pytest.approx(0.25, abs=0.01)
