"""cavs-export compare: what was measured is in the table, what was not is a dash."""

from pathlib import Path

import pytest

from cavs.export.cli import main
from cavs.export.compare import Row, table
from cavs.runtime.bundle import Bundle, read_bundle
from tests.export.test_plan_command import needs_builder, no_gpu


def test_what_was_not_measured_is_a_dash() -> None:
    text = table([Row("rtx, inputs", 9.127, 13.95), Row("onnx CPU, folded", None, 12.6, 14.0, 75.0, 1.0)], "about")
    assert text.splitlines() == [
        "about",
        "",
        "| way | build_s | size_mib | step_ms | exchange_ms | labels_equal |",
        "| --- | --- | --- | --- | --- | --- |",
        "| rtx, inputs | 9.127 | 13.95 | - | - | - |",
        "| onnx CPU, folded | - | 12.6 | 14 | 75 | 1 |",
    ]


@pytest.mark.slow
@no_gpu
@needs_builder
def test_the_ways_are_built_and_measured_as_far_as_the_machine_allows(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    out = tmp_path / "table.md"
    assert main(["compare", str(small_bundle.root), "--target", "rtx", "--sm", "86", "--count", "4", "--out", str(out)]) == 0
    rows = [line.split(" | ") for line in out.read_text().splitlines()[4:]]
    assert [row[0].strip("| ") for row in rows] == [
        "onnx CPU, inputs",
        "onnx CPU, folded",
        "rtx, inputs",
        "rtx, refit",
        "rtx, folded",
    ]
    assert float(rows[1][5].strip("| ")) > 0.999, "folded labels as inputs do"
    said = " ".join(capsys.readouterr().err.split())
    assert "rtx, inputs: not measured: no CUDA driver here" in said
    assert "rtx, refit: not built: rtx: a plan for refit is built on a GPU" in said
    assert not read_bundle(small_bundle.root).manifest.plans
