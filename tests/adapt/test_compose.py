"""Composed data sets: the same whatever the number of processes and interruptions, and readable as what they are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.data.compose import DATASET, LOG, Composer, compose_data_set
from cavs.adapt.data.compose_plan import ComposePlan, make_plan
from cavs.adapt.data.layouts import read_clips
from cavs.adapt.data.palette import AVSS_CLASSES
from cavs.runtime.errors import DataRejected


def plan_for(folder: Path, **options: object) -> ComposePlan:
    return make_plan(**{"ingredients": (str(folder),), "clips": 4, "seed": 7, "size_px": 48, **options})


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


class Stopped(Exception):
    """What an impatient person does."""


def stop_after(clips: int) -> Callable[[int], None]:
    def done(count: int) -> None:
        if count >= clips:
            raise Stopped

    return done


def test_two_processes_write_what_one_writes(ingredient_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(ingredient_folder)
    compose_data_set(plan, tmp_path / "one", workers=1)
    compose_data_set(plan, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_gives_other_clips(ingredient_folder: Path, tmp_path: Path) -> None:
    one = Composer(plan_for(ingredient_folder), tmp_path).clip(0)
    other = Composer(plan_for(ingredient_folder, seed=8), tmp_path).clip(0)
    assert one.name != other.name
    assert (one.frames != other.frames).any()


def test_a_stopped_run_goes_on_where_it_was(ingredient_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(ingredient_folder)
    compose_data_set(plan, tmp_path / "whole", workers=1)
    with pytest.raises(Stopped):
        compose_data_set(plan, tmp_path / "halves", workers=1, done=stop_after(2))
    assert not (tmp_path / "halves").exists()
    counts: list[int] = []
    compose_data_set(plan, tmp_path / "halves", workers=1, done=counts.append)
    assert counts == [2, 3, 4]
    assert contents(tmp_path / "halves") == contents(tmp_path / "whole")
    assert not (tmp_path / "halves.partial").exists()


def test_a_line_torn_by_a_kill_is_composed_again(ingredient_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(ingredient_folder, clips=2)
    with pytest.raises(Stopped):
        compose_data_set(plan, tmp_path / "set", workers=1, done=stop_after(1))
    log = tmp_path / "set.partial" / LOG
    log.write_bytes(log.read_bytes() + b'{"number": 1, "na')
    lines = compose_data_set(plan, tmp_path / "set", workers=1)
    assert [line["number"] for line in lines] == [0, 1]


def test_a_run_with_other_options_does_not_go_on(ingredient_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        compose_data_set(plan_for(ingredient_folder), tmp_path / "set", workers=1, done=stop_after(1))
    before = contents(tmp_path)
    with pytest.raises(DataRejected, match="left by a run with other options"):
        compose_data_set(plan_for(ingredient_folder, seed=8), tmp_path / "set", workers=1)
    assert contents(tmp_path) == before


def test_a_folder_that_holds_something_is_left_alone(ingredient_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(DataRejected, match="not empty"):
        compose_data_set(plan_for(ingredient_folder), tmp_path, workers=1)
    assert contents(tmp_path) == {"note": b"mine"}


def test_a_place_that_cannot_be_written_is_said_in_one_line(ingredient_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(DataRejected, match=r"set\.partial: Not a directory; the same command goes on"):
        compose_data_set(plan_for(ingredient_folder), tmp_path / "note" / "set", workers=1)


def test_an_empty_folder_is_filled(ingredient_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    compose_data_set(plan_for(ingredient_folder, clips=1), tmp_path / "set", workers=1)
    assert (tmp_path / "set" / DATASET).exists()


def test_unknown_classes_stop_it_before_anything_is_written(ingredient_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match="unicorn: no pictures and sounds in split train; known: "):
        compose_data_set(plan_for(ingredient_folder, classes=("unicorn",)), tmp_path / "set", workers=1)
    with pytest.raises(DataRejected, match="co-occurrence of unicorn: no pictures in split train; known: "):
        compose_data_set(plan_for(ingredient_folder, cooccurrence={"unicorn": {}}), tmp_path / "set", workers=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", ["s4", "ms3", "avss"])
def test_what_was_written_is_read_back(ingredient_folder: Path, tmp_path: Path, layout: str) -> None:
    plan = plan_for(ingredient_folder, layout=layout, split="val", clips=3)
    lines = compose_data_set(plan, tmp_path / "set", workers=1)
    clips = read_clips(tmp_path / "set", split="val")
    assert len(clips) == 3
    assert not clips.missing
    composer = Composer(plan, tmp_path)
    for number, line in enumerate(lines):
        read, made = clips.clip(number), composer.clip(number)
        assert read.id == line["name"] == made.name
        assert read.notes == ()
        expected = made.masks if layout == "avss" else made.masks > 0
        for t in np.flatnonzero(read.annotated):
            np.testing.assert_array_equal(read.masks[t], expected[t])
        np.testing.assert_allclose(read.samples, made.sound, atol=2 / 32767)
        if layout != "avss":  # JPEG there
            np.testing.assert_array_equal(read.frames, made.frames)


def test_videos_do_not_change_what_is_annotated(ingredient_folder: Path, tmp_path: Path) -> None:
    compose_data_set(plan_for(ingredient_folder, clips=2), tmp_path / "frames", workers=1)
    compose_data_set(plan_for(ingredient_folder, clips=2, mp4=True), tmp_path / "films", workers=1)
    frames, films = contents(tmp_path / "frames"), contents(tmp_path / "films")
    same = [name for name in frames if name != DATASET]
    assert {name: films[name] for name in same} == {name: frames[name] for name in same}
    assert {Path(name).name for name in films.keys() - frames.keys()} == {"video.mp4", "video.truth.npz"}


def test_an_s4_clip_has_one_sounding_class_and_a_marked_first_frame(ingredient_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(ingredient_folder, layout="s4", clips=5)
    composer = Composer(plan, tmp_path)
    for number in range(5):
        clip = composer.clip(number)
        assert len(clip.classes) == 1
        assert clip.offscreen == ()
        assert clip.masks[0].any()


def test_the_data_set_says_what_it_was_made_from(ingredient_folder: Path, tmp_path: Path) -> None:
    first, second, *_ = Composer(plan_for(ingredient_folder), tmp_path).classes[1:]
    plan = plan_for(ingredient_folder, classes=(first, second), cooccurrence={first: {second: 1.0}, second: {first: 1.0}})
    compose_data_set(plan, tmp_path / "set", workers=1)
    told = json.loads((tmp_path / "set" / DATASET).read_text())
    assert ComposePlan.model_validate(told["plan"]) == plan
    assert told["classes"] == ["background", first, second]
    files = {str(path.relative_to(ingredient_folder)) for path in ingredient_folder.rglob("*")}
    for clip in told["clips"]:
        assert set(clip["sources"]) - {"painted"} <= files
        shown = {one["cls"] for frame in clip["visible"] for one in frame}
        assert {first, second} <= shown
        assert set(clip["classes"]) <= {first, second}


def test_classes_of_the_papers_keep_the_papers_numbers(ingredient_folder: Path, tmp_path: Path) -> None:
    drawn = Composer(plan_for(ingredient_folder), tmp_path).classes
    assert drawn[0] == "background"
    assert len(drawn) == 6  # the drawn things are not among the papers' 71
    renamed = Path(shutil.copytree(ingredient_folder, tmp_path / "renamed"))
    text = (renamed / "manifest.json").read_text()
    for name, papers_name in zip(drawn[1:], ("dog", "cat", "piano", "violin", "guitar"), strict=True):
        text = text.replace(f'"cls": "{name}"', f'"cls": "{papers_name}"')
    (renamed / "manifest.json").write_text(text)
    composer = Composer(plan_for(renamed), tmp_path)
    assert composer.classes == AVSS_CLASSES
    assert {AVSS_CLASSES[value] for value in np.unique(composer.clip(0).masks)} == {"background", *composer.clip(0).classes}
