"""TensorRT for RTX inside ONNX Runtime (`--engine rtx-ort`): one pip install, no plan to build, the graph is compiled at start.

The plugin compiles the graph when the engine is opened, which takes seconds, and copies the adapter to the device with every
window. Our own engine does neither; this one is for trying a GPU out.
"""

import importlib
import threading
from typing import Any

import onnxruntime

from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine
from cavs.runtime.errors import EngineError
from cavs.runtime.onnx_engine import ORT_ERRORS, OnnxEngine, one_line, session_options

PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
LIBRARY_NAME = "cavs-rtx"
"""Under which the plugin is registered in this process, once."""

_registering = threading.Lock()
_PLUGIN_ERRORS: tuple[type[Exception], ...] = (AttributeError, *ORT_ERRORS)
"""AttributeError: an ONNX Runtime that is older than plugins."""


class RtxOrtEngine(OnnxEngine):
    """ONNX Runtime with the TensorRT for RTX plugin. No node may fall back to the CPU quietly.

    reserve: the engine that goes on if this one fails.
    Raises EngineError if the plugin is not installed, finds no GPU or cannot take the whole graph.
    """

    name = "rtx-ort"

    def __init__(self, bundle: Bundle, *, reserve: Engine | None = None) -> None:
        self.reserve = reserve
        super().__init__(bundle, threads=1)  # of the host, which does next to nothing

    def _load(self) -> onnxruntime.InferenceSession:
        devices = rtx_devices()
        options = session_options(self.threads)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            options.add_provider_for_devices(devices[:1], {"enable_cuda_graph": "0"})
            return onnxruntime.InferenceSession(str(self.bundle.graph_path), options)
        except ORT_ERRORS as error:
            raise EngineError(f"{self.bundle.graph_path}: {self.name} cannot load it: {one_line(error)}") from error


def rtx_devices() -> list[Any]:
    """The GPUs that the plugin offers (OrtEpDevice). Raises EngineError with what is missing."""
    try:
        plugin = importlib.import_module(PLUGIN)
    except (ImportError, OSError) as error:
        raise EngineError(f"engine rtx-ort: {error}; pip install 'cavs-stream[rtx]'") from error
    name = plugin.get_ep_name()
    try:
        with _registering:
            if not (found := _devices_of(name)):
                onnxruntime.register_execution_provider_library(LIBRARY_NAME, plugin.get_library_path())
                found = _devices_of(name)
    except _PLUGIN_ERRORS as error:
        raise EngineError(
            f"engine rtx-ort: {one_line(error)}; it needs the driver of an NVIDIA GPU and a new onnxruntime"
        ) from error
    if not found:
        raise EngineError("engine rtx-ort: the plugin finds no GPU that it can use; --engine onnx runs on the CPU")
    return found


def _devices_of(provider: str) -> list[Any]:
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider]
