"""On a real GPU: the shipped network compiled here, against ONNX Runtime; many windows, many swaps, no leak. Skips without one.

    pytest tests/runtime/test_tensorrt_gpu.py

Latencies beside torch and ONNX Runtime CUDA are `scripts/bench_gpu.py`'s.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.adapter import Adapter, default_adapter, make_adapter
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.choose import open_engine
from cavs.runtime.engine import Engine
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.tensorrt_cuda import Cuda

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1200)]

WINDOWS = 10_000
SWAPS = 500
LEAK_MIB = 2.0
"""That free memory of the device may differ by: the driver's own rounding."""
MODULES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx_bindings"}
LABELS_EQUAL_AT_LEAST = {"fp32": 0.999, "fp16": 0.995}


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[[], ["--refit"]], ids=["inputs", "refit"])
def form(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.fixture(scope="module", params=list(MODULES))
def engine(
    request: pytest.FixtureRequest, precision: str, form: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    bundle = with_plan(tmp_path_factory.mktemp("plan") / "bundle", request.param, "--precision", precision, *form)
    opened, _ = open_engine(bundle, request.param)
    yield opened
    opened.close()


def with_plan(to: Path, name: str, *options: str) -> Bundle:
    """A copy of the shipped bundle with a plan for the GPU that is here."""
    if not importlib.util.find_spec(MODULES[name]):
        pytest.skip(f"needs {MODULES[name]}")
    shutil.copytree(default_bundle_path(), to)
    target = {"tensorrt": "native", "rtx": "rtx"}[name]
    command = [sys.executable, "-c", "import sys; from cavs.export.cli import main; sys.exit(main())", "tensorrt", str(to)]
    subprocess.run([*command, "--target", target, *options], check=True)
    return read_bundle(to)


def stirred(bundle: Bundle, seed: int) -> Adapter:
    """Another adapter of the bundle, whose LoRA pairs matter."""
    first, rng = default_adapter(bundle), np.random.default_rng(seed)
    tensors = {
        name: value + rng.normal(0, 0.05, value.shape).astype(np.float32) if name.startswith("lora.") else value
        for name, value in first.tensors.items()
    }
    return make_adapter(tensors, bundle=bundle, classes=first.classes, method="test")


def drawn(engine: Engine, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    frame, sound = engine.bundle.manifest.frame, engine.bundle.manifest.sound
    coarse = rng.integers(0, 256, (7, 7, 3), np.uint8)
    picture = np.kron(coarse, np.ones((frame.height_px // 7, frame.width_px // 7, 1), np.uint8))
    return np.ascontiguousarray(picture), rng.normal(0, 0.1, sound.samples).astype(np.float32)


def test_it_answers_as_onnx_runtime_does_with_every_adapter(engine: Engine, precision: str) -> None:
    other, rng = OnnxEngine(engine.bundle, threads=2), np.random.default_rng(0)
    for adapter in (default_adapter(engine.bundle), stirred(engine.bundle, 1), stirred(engine.bundle, 2)):
        ours, theirs, equal = engine.prepare(adapter), other.prepare(adapter), []
        for _ in range(20):
            frame, sound = drawn(engine, rng)
            labels = engine.run(frame, sound, ours).labels.copy()
            equal.append(float((labels == other.run(frame, sound, theirs).labels).mean()))
        assert np.mean(equal) >= LABELS_EQUAL_AT_LEAST[precision]


def test_ten_thousand_windows_and_five_hundred_swaps_leave_the_devices_memory_as_it_was(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    frame, sound = drawn(engine, rng)
    prepared = [engine.prepare(default_adapter(engine.bundle)), engine.prepare(stirred(engine.bundle, 1))]
    for adapter in prepared:
        engine.run(frame, sound, adapter)
    before = Cuda().free_memory_mib()
    expected = [engine.run(frame, sound, adapter).labels.copy() for adapter in prepared]
    for index in range(WINDOWS):
        which = index * SWAPS // WINDOWS % 2
        labels = engine.run(frame, sound, prepared[which]).labels
        if index % (WINDOWS // SWAPS) == 0:
            np.testing.assert_array_equal(labels, expected[which])
    assert abs(Cuda().free_memory_mib() - before) <= LEAK_MIB


@pytest.mark.parametrize("name", list(MODULES))
def test_opening_and_closing_gives_the_devices_memory_back(name: str, tmp_path: Path) -> None:
    bundle = with_plan(tmp_path / "bundle", name)
    free = []
    for _ in range(4):
        engine, _ = open_engine(bundle, name)
        engine.close()
        free.append(Cuda().free_memory_mib())
    assert abs(free[-1] - free[0]) <= LEAK_MIB
