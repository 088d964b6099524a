"""cavs-export: a checkpoint becomes a bundle that the engine runs; everything wrong is one line and leaves nothing."""

from pathlib import Path

import pytest

from cavs.adapt.model.checkpoint import save_checkpoint
from cavs.adapt.model.lora import detach_lora
from cavs.export.cli import main
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import read_bundle
from cavs.runtime.onnx_engine import OnnxEngine
from tests.small_network import pictures, small_network, sounds


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = small_network()
    detach_lora(network)  # as base training leaves it
    save_checkpoint(network, tmp_path / "net.safetensors", {"seed": 5})
    return tmp_path / "net.safetensors"


def test_a_checkpoint_becomes_a_bundle_that_the_engine_runs_and_the_same_again_next_time(
    checkpoint: Path, tmp_path: Path
) -> None:
    options = ["--classes", "drone,dog", "--capacity", "5", "--count", "2", "--name", "demo"]
    for out in ("bundle", "again"):
        assert main(["onnx", str(checkpoint), "--out", str(tmp_path / out), *options]) == 0
    bundle = read_bundle(tmp_path / "bundle")
    assert read_bundle(tmp_path / "again").id == bundle.id
    manifest = bundle.manifest
    assert manifest.name == "demo"
    assert [tuple(entry) for entry in manifest.classes] == [(0, "drone"), (1, "dog")]
    assert manifest.adapter.class_capacity == 5
    assert manifest.parity["windows"] == 2
    assert manifest.provenance["training"] == {"seed": 5}
    engine = OnnxEngine(bundle, threads=1)
    frame, sound = pictures(1)[0].permute(1, 2, 0).contiguous().numpy(), sounds(1)[0].numpy()
    prediction = engine.run(frame, sound, engine.prepare(default_adapter(bundle)))
    assert prediction.labels.shape == (64, 64)
    assert (prediction.presence[:2] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gone", "--out", "new"], "gone: no such file"),
        (["net.safetensors", "--out", "there"], "there exists; a bundle is never overwritten"),
        (["net.safetensors", "--out", "no/such/place"], "no/such is no directory; no bundle was written"),
        (["net.safetensors", "--out", "new", "--classes", "cat"], "class cat: the network does not know it"),
        (["net.safetensors", "--out", "new", "--windows", "there"], "there: no videos there"),
        (["text", "--out", "new"], "text: not a checkpoint, or torn"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_left_behind(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    Path("there").mkdir()
    Path("text").write_text("x")
    before = sorted(item.name for item in Path().iterdir())
    assert main(["onnx", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("cavs-export: ")
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(item.name for item in Path().iterdir()) == before


@pytest.mark.parametrize("wrong", [["--count", "0"], ["--capacity", "x"], ["--precision", "int4"]], ids=" ".join)
def test_usage_errors_exit_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["onnx", "net", "--out", "x", *wrong])
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err
