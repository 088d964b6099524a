"""The command: one line when it is done, one line when the world is wrong."""

from pathlib import Path

import pytest

from cavs.adapt.cli import main


def command(folder: Path, out: Path, *options: str) -> list[str]:
    most = ["data", "compose", "--ingredients", str(folder), "--out", str(out), "--clips", "2", "--workers", "1"]
    return [*most, "--size", "48", *options]


def test_a_data_set_is_composed(ingredient_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(ingredient_folder, tmp_path / "set", "--layout", "ms3", "--split", "val", "--mp4")) == 0
    assert (tmp_path / "set" / "ms3_meta_data.csv").exists()
    assert len(list((tmp_path / "set" / "ms3_data" / "raw_videos").glob("*.mp4"))) == 2
    assert "2 clips, ms3, val" in capsys.readouterr().out


def test_a_wrong_class_is_one_line_and_exit_code_1(
    ingredient_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(ingredient_folder, tmp_path / "set", "--classes", "unicorn")) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("cavs-adapt: unicorn: no pictures and sounds")
    assert "\n" not in said


def test_excluded_files_and_a_matrix_reach_the_composer(
    ingredient_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs.json"
    pairs.write_text('{"unicorn": {}}')
    assert main(command(ingredient_folder, tmp_path / "a", "--cooccurrence", str(pairs))) == 1
    assert main(command(ingredient_folder, tmp_path / "b", "--exclude", "images/*")) == 1
    said = capsys.readouterr().err.splitlines()
    assert "co-occurrence of unicorn" in said[0]
    assert "any class: no pictures and sounds" in said[1]


def test_a_wrong_option_is_a_usage_error(ingredient_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command(ingredient_folder, tmp_path / "set", "--layout", "coco"))
    assert caught.value.code == 2
