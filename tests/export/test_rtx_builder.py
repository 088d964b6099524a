"""The builder of TensorRT for RTX needs no GPU: it parses and builds our graphs, where it is installed."""

import ctypes
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from cavs.export.onnx_graph import write_graph
from tests.small_network import small_network

PROVIDER = importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx")
BINDINGS = importlib.util.find_spec("tensorrt_rtx_bindings")
needs_builder = pytest.mark.skipif(
    not PROVIDER or not BINDINGS, reason="needs the builder of TensorRT for RTX: pip install 'cavs-stream[rtx]'"
)


def builder_module() -> ModuleType:
    """The bindings, after the two libraries that they look for: the runtime before the parser."""
    assert PROVIDER is not None
    assert PROVIDER.submodule_search_locations is not None
    folder = Path(PROVIDER.submodule_search_locations[0])
    for name in ("libtensorrt_rtx.so", "libtensorrt_onnxparser_rtx.so"):
        ctypes.CDLL(str(next(folder.glob(f"{name}.*"))), mode=ctypes.RTLD_GLOBAL)
    return importlib.import_module("tensorrt_rtx_bindings.tensorrt_rtx")


@needs_builder
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_rtx_builder_parses_and_builds_the_graph(graph: Path, tmp_path: Path, precision: str) -> None:
    if precision == "fp16":
        graph = tmp_path / "half.onnx"
        write_graph(small_network(), graph, "fp16")
    rtx = builder_module()
    builder = rtx.Builder(rtx.Logger(rtx.Logger.ERROR))
    network = builder.create_network(1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = rtx.OnnxParser(network, rtx.Logger(rtx.Logger.ERROR))
    parsed = parser.parse(graph.read_bytes())
    assert parsed, [str(parser.get_error(index)) for index in range(parser.num_errors)]
    assert {network.get_output(index).name for index in range(network.num_outputs)} == {"labels", "confidence", "presence"}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(rtx.ComputeCapability.SM86, 0)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    assert plan.nbytes > 1 << 20
