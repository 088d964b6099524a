"""The choice of an engine says what it chose and why."""

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.choose import WISHES, engine_reports, open_engine
from cavs.runtime.errors import EngineError


def test_auto_takes_onnx_and_says_why(tiny_bundle: Bundle) -> None:
    engine, reason = open_engine(tiny_bundle, "auto", threads=1)
    assert engine.name == "onnx"
    assert reason == "onnx: ONNX Runtime on the CPU, 1 thread (the only engine in this version)"


def test_onnx_on_request(tiny_bundle: Bundle) -> None:
    engine, reason = open_engine(tiny_bundle, "onnx", threads=2)
    assert engine.bundle is tiny_bundle
    assert reason == "onnx: ONNX Runtime on the CPU, 2 threads (asked for)"


@pytest.mark.parametrize("wish", ["tensorrt", "rtx"])
def test_an_engine_that_is_not_there_is_never_replaced_silently(tiny_bundle: Bundle, wish: str) -> None:
    with pytest.raises(EngineError, match=f"engine {wish} is not in this version.*--engine onnx"):
        open_engine(tiny_bundle, wish)


def test_an_unknown_engine_is_misuse(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="must be one of auto, onnx"):
        open_engine(tiny_bundle, "cuda")


def test_the_report_has_a_line_for_each_engine() -> None:
    assert {report.name for report in engine_reports()} == set(WISHES) - {"auto"}
    assert [report.name for report in engine_reports() if report.usable] == ["onnx"]
