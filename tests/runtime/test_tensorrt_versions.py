"""The table of differences against what real releases say of themselves, and the imports."""

import importlib.util
import inspect
from typing import Any

import pytest

from cavs.runtime.errors import EngineError
from cavs.runtime.tensorrt_versions import differences, load_library
from tests.runtime.real_signatures import RELEASES, described
from tests.runtime.simulated_gpu import SimulatedRuntime
from tests.test_walls import files_of, imports_of

RTX_HERE = importlib.util.find_spec("tensorrt_rtx_bindings") and importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx")
CUDA_HERE = importlib.util.find_spec("cuda")


@pytest.mark.parametrize("release", RELEASES)
def test_the_table_says_what_the_real_bindings_have(release: str) -> None:
    target: Any = RELEASES[release]
    said, classes = differences(target, described(release)["version"]), described(release)["classes"]

    def has(name: str, member: str) -> bool:
        kind = classes.get(name, {"methods": {}, "properties": [], "members": []})
        return member in {*kind["methods"], *kind["properties"], *kind["members"]}

    assert said.runtime_config == has("ICudaEngine", "create_runtime_config")
    assert said.runtime_cache == has("IRuntimeConfig", "create_runtime_cache")
    assert said.chosen_sm == has("IBuilderConfig", "set_compute_capability")
    assert said.asks_capturable == has("IExecutionContext", "is_stream_capturable")
    assert said.timing_cache == (target == "native")


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_build_calls_is_there_in_every_release(release: str) -> None:
    classes = described(release)["classes"]
    for name, members in {
        "Builder": ["create_network", "create_builder_config", "build_serialized_network"],
        "INetworkDefinition": ["get_input", "get_output", "num_inputs", "num_outputs", "mark_weights_refittable"],
        "IBuilderConfig": ["set_memory_pool_limit", "profiling_verbosity", "progress_monitor", "set_flag", "set_timing_cache"],
        "IProgressMonitor": ["phase_start", "step_complete", "phase_finish"],
        "OnnxParser": ["parse", "get_error", "num_errors"],
        "ParserError": ["desc"],
        "NetworkDefinitionCreationFlag": ["STRONGLY_TYPED"],
        "BuilderFlag": ["REFIT_INDIVIDUAL"],
        "ProfilingVerbosity": ["DETAILED"],
        "MemoryPoolType": ["WORKSPACE"],
        "ICudaEngine": ["create_engine_inspector"],
        "EngineInspector": ["get_engine_information"],
        "LayerInformationFormat": ["JSON"],
        "ITimingCache": ["serialize"],
    }.items():
        kind = classes[name]
        assert set(members) <= {*kind["methods"], *kind["properties"], *kind["members"]}, name


@pytest.mark.parametrize("version", ["9.3.0", "10.2.0", "12.0.1"])
def test_a_version_nobody_looked_at_is_refused(version: str) -> None:
    with pytest.raises(EngineError, match=rf"version {version} is installed, 10\.3 to 10\.x or 11\.0 to 11\.x was expected"):
        differences("native", version)


def test_the_live_rooms_import_no_gpu_library_until_one_is_asked_for() -> None:
    for room in ("runtime", "stream"):
        for path in files_of(room):
            names = {name.split(".")[0] for _, name in imports_of(path)}
            assert not names & {"tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "cuda"}, path


@pytest.mark.skipif(bool(importlib.util.find_spec("tensorrt")), reason="TensorRT is installed here")
def test_what_is_not_installed_is_said_with_the_command_that_installs_it() -> None:
    with pytest.raises(
        EngineError, match=r"engine tensorrt: No module named 'tensorrt'; pip install 'cavs-stream\[tensorrt\]'"
    ):
        load_library("native")


@pytest.mark.skipif(not RTX_HERE, reason="needs TensorRT for RTX: pip install 'cavs-stream[rtx]'")
def test_the_installed_rtx_bindings_are_those_that_the_tests_describe() -> None:
    library = load_library("rtx")
    for name, kind in described("rtx-1.7")["classes"].items():
        here = getattr(library.module, name)
        for member in (*kind["methods"], *kind["properties"], *kind["members"]):
            assert hasattr(here, member), f"{name}.{member}: run scripts/tensorrt_signatures.py again"


@pytest.mark.skipif(not CUDA_HERE, reason="needs cuda-python: pip install 'cavs-stream[rtx]'")
def test_the_simulated_cuda_has_the_signatures_of_the_real_one() -> None:
    real = importlib.import_module("cuda.bindings.runtime")
    for name, function in inspect.getmembers(SimulatedRuntime, inspect.isfunction):
        if name.startswith("cuda"):
            ours = list(inspect.signature(function).parameters)[1:]
            assert ours == list(inspect.signature(getattr(real, name)).parameters), name
    for name in ("cudaMemcpyKind", "cudaStreamCaptureMode", "cudaDeviceAttr"):
        for member in vars(getattr(SimulatedRuntime, name)):
            assert hasattr(getattr(real, name), member)
