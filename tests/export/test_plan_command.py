"""cavs-export tensorrt as a user meets it: a bundle with a plan, or one line that says what to do."""

import importlib.util
from pathlib import Path

import pytest

from cavs.export.cli import main
from cavs.export.plan_command import progress_text
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.onnx_engine import OnnxEngine
from tests.runtime.test_tensorrt_versions import RTX_HERE

needs_builder = pytest.mark.skipif(not RTX_HERE, reason="needs TensorRT for RTX: pip install 'cavs-stream[rtx]'")
no_gpu = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="a GPU is here")


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@needs_builder
def test_a_copy_of_a_bundle_gets_a_plan_and_the_bundle_stays_as_it_was(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "planned"
    assert main(["tensorrt", str(tiny_bundle.root), "--target", "rtx", "--sm", "86,89", "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "MiB, fp32, SM 86, 89, rtx 1.7" in said[0]
    assert said[1].endswith(f"run it: cavs-stream --bundle {out} --engine rtx")
    bundle = read_bundle(out)
    assert bundle.id == tiny_bundle.id
    assert [plan.sm for plan in bundle.manifest.plans] == [("86", "89")]
    assert not read_bundle(tiny_bundle.root).manifest.plans
    OnnxEngine(bundle, threads=1).close()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--target", "native", "--sm", "86"], "--sm goes with --target rtx; a native plan is for the GPU that it is built on"),
        pytest.param(["--target", "rtx"], "no GPU here to build for (", marks=no_gpu),
        pytest.param(
            ["--target", "native"],
            "engine tensorrt: No module named 'tensorrt'; pip install 'cavs-stream[tensorrt]'",
            marks=pytest.mark.skipif(bool(importlib.util.find_spec("tensorrt")), reason="TensorRT is installed"),
        ),
        pytest.param(
            ["--target", "rtx", "--sm", "86", "--out", "."], ". exists; a bundle is never overwritten", marks=needs_builder
        ),
    ],
    ids=["sm of native", "no gpu", "not installed", "out exists"],
)
def test_what_is_wrong_is_one_line(
    tiny_bundle: Bundle, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tensorrt", str(tiny_bundle.root), *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("cavs-export: ")
    assert line in said
    assert said.count("\n") == 1


def test_progress_is_said_in_the_builders_words() -> None:
    assert progress_text({"phase": "Building engine", "steps": 2}) == "Building engine"
    assert progress_text({"phase": "Timing", "step": 3, "steps": 57}) == "Timing 3/57"
    assert progress_text({"done": {}}) == "checking what was built"
