"""The choice of an engine says what it chose and why."""

import ctypes

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.choose import CUDA_DRIVER, WISHES, engine_reports, open_engine
from cavs.runtime.errors import EngineError

try:
    ctypes.CDLL(CUDA_DRIVER)
    DRIVER = True
except OSError:
    DRIVER = False
without_driver = pytest.mark.skipif(DRIVER, reason="a CUDA driver is here")


@without_driver
def test_auto_takes_onnx_and_says_why(tiny_bundle: Bundle) -> None:
    engine, reason = open_engine(tiny_bundle, "auto", threads=1)
    assert engine.name == "onnx"
    assert reason == "onnx: ONNX Runtime on the CPU, 1 thread (auto: no CUDA driver here (libcuda.so.1))"


def test_onnx_on_request(tiny_bundle: Bundle) -> None:
    engine, reason = open_engine(tiny_bundle, "onnx", threads=2)
    assert engine.bundle is tiny_bundle
    assert engine.reserve is None
    assert reason == "onnx: ONNX Runtime on the CPU, 2 threads (asked for)"


@without_driver
@pytest.mark.parametrize("wish", ["tensorrt", "rtx", "rtx-ort"])
def test_an_engine_that_is_not_there_is_never_replaced_silently(tiny_bundle: Bundle, wish: str) -> None:
    with pytest.raises(EngineError, match=r"no CUDA driver here|engine rtx-ort: "):
        open_engine(tiny_bundle, wish)


def test_an_unknown_engine_is_misuse(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="must be one of auto, onnx"):
        open_engine(tiny_bundle, "cuda")


def test_the_report_has_a_line_for_each_engine() -> None:
    reports = {report.name: report for report in engine_reports()}
    assert reports.keys() == set(WISHES) - {"auto"}
    assert reports["onnx"].usable
    if not DRIVER:
        assert [report.name for report in reports.values() if report.usable] == ["onnx"]
        assert "no CUDA driver here" in reports["rtx"].text
