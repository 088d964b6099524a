"""TensorRT for RTX inside ONNX Runtime: what is missing is said; with `gpu`, it answers as the CPU does."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import EngineError
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.rtx_ort_engine import PLUGIN, RtxOrtEngine
from tests.tiny_bundle import red_green_swapped, square_frame, tone

PLUGIN_HERE = importlib.util.find_spec(PLUGIN)


@pytest.mark.skipif(PLUGIN_HERE is None or Path("/dev/nvidiactl").exists(), reason="needs the plugin, and no GPU")
def test_without_a_driver_the_plugin_does_not_load_and_that_is_one_line(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"engine rtx-ort: .*libcuda.*it needs the driver of an NVIDIA GPU") as caught:
        RtxOrtEngine(tiny_bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(PLUGIN_HERE is not None, reason="the plugin is installed")
def test_a_plugin_that_is_not_installed_is_named_with_its_command(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"engine rtx-ort: No module named .*; pip install 'cavs-stream\[rtx\]'"):
        RtxOrtEngine(tiny_bundle)


@pytest.mark.gpu
def test_it_answers_as_the_cpu_does(tiny_bundle: Bundle) -> None:
    engine, other = RtxOrtEngine(tiny_bundle), OnnxEngine(tiny_bundle, threads=1)
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    for adapter in (default_adapter(tiny_bundle), red_green_swapped(tiny_bundle)):
        expected = other.run(frame, sound, other.prepare(adapter))
        np.testing.assert_array_equal(engine.run(frame, sound, engine.prepare(adapter)).labels, expected.labels)
