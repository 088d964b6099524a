"""From settings to a checkpoint to its scores, by the commands a user gives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cavs.adapt.cli import main
from cavs.adapt.model.checkpoint import load_checkpoint
from cavs.adapt.train_config import TrainConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def settings(folder: Path, small_config: Callable[..., TrainConfig]) -> Path:
    file = folder / "settings.json"
    file.write_text(small_config(steps=2, score_every=2).model_dump_json())
    return file


def test_train_then_evaluate_gives_scores_by_name(folder: Path, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, scores = folder / "out", folder / "scores.json"
    assert main(["train", "--config", str(settings), "--out", str(out)]) == 0
    checkpoint = load_checkpoint(out / "network.safetensors")
    assert checkpoint.network.class_names[0] == "kettle"
    assert checkpoint.notes["best_step"] == 2
    log = (out / "log.csv").read_text()
    assert "loss/sounding" in log
    assert "val/alone/binary_iou" in log
    assert main([
        "evaluate", str(out / "network.safetensors"), "--ingredients", "procedural:2", "--frames", "5", "--streams", "1",
        "--calibrate", "--out", str(scores),
    ]) == 0  # fmt: skip
    report = json.loads(scores.read_text())
    assert report["split"] == "test"
    assert report["scenarios"]["one_silent"]["frames"] == 5
    assert 0 <= report["scenarios"]["one_silent"]["binary_iou"] <= 1
    assert set(report["scenarios"]["silence"]) == {"frames", "mask_mass", "frames_above_1_percent", "worst"}
    worst = [one["mask_mass"] for one in report["scenarios"]["off_only"]["worst"]]
    assert worst == sorted(worst, reverse=True)
    assert len(worst) <= 5
    assert report["onset"]["streams"] == 1
    assert all("/test/" in source for source in report["ingredients"])
    assert report["calibration"]["split"] == "val"
    assert load_checkpoint(out / "network.safetensors").network.thresholds.tolist() == report["thresholds"]


def test_classes_that_the_ingredients_lack_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([
        "evaluate", str(folder / "out" / "network.safetensors"), "--ingredients", "procedural:1", "--classes", "walrus",
        "--out", str(folder / "never.json"),
    ])  # fmt: skip
    assert code == 1
    assert "walrus; expected at least four classes that the checkpoint knows (kettle" in capsys.readouterr().err
    assert not (folder / "never.json").exists()


def test_more_sound_than_its_window_is_refused_before_thresholds_are_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = folder / "out" / "network.safetensors"
    before = checkpoint.read_bytes()
    code = main([
        "evaluate", str(checkpoint), "--ingredients", "procedural:2", "--calibrate", "--heard-seconds", "5",
        "--out", str(folder / "never.json"),
    ])  # fmt: skip
    assert code == 1
    assert "--heard-seconds 5: more than 0 and at most 1 expected" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before


def test_settings_given_one_by_one_win_over_the_file(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--set", "optimiser.head_rate=0.5", "precision=bfloat16", "--steps", "9", "--print-config"]
    assert main(["train", "--config", str(settings), *given]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["optimiser"]["head_rate"], printed["precision"], printed["steps"]) == (0.5, "bfloat16", 9)


def test_a_wrong_form_of_the_network_is_said_in_one_line(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", str(settings), "--set", "network.width=3", "--out", str(tmp_path / "x")]) == 1
    assert "network.width: Extra inputs are not permitted; known: visual, audio" in capsys.readouterr().err


def test_training_without_a_place_for_the_result_is_refused(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", str(settings)]) == 1
    assert "nothing to train: --out is missing" in capsys.readouterr().err
