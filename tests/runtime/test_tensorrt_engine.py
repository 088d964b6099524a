"""The TensorRT engine against the surfaces of three real releases, on a simulated GPU; with `gpu`, on a real one."""

import gc
from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.engine import LABEL_FIRST_CLASS
from cavs.runtime.errors import AdapterRejected, AnswerRejected, BundleRejected, EngineError
from cavs.runtime.manifest import FileEntry, PlanEntry
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.plan import TrustedPlan
from cavs.runtime.slot import Slot
from cavs.runtime.tensorrt_engine import TensorRtEngine
from tests.runtime.real_signatures import RELEASES
from tests.runtime.simulated_gpu import SimulatedGpu, plan_of
from tests.tiny_bundle import make_tiny_bundle, not_a_number, red_green_swapped, square_frame, tone

RED, GREEN = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1
SWAPS = 500


def trusted(content: bytes) -> TrustedPlan:
    """A plan as `trusted_plan` gives it; what is trusted has its own tests."""
    entry = PlanEntry(
        file=FileEntry(name="plan-x", sha256="0" * 64, size_bytes=len(content)),
        target="rtx",
        precision="fp32",
        tensorrt_version="1.7.1.116",
        cuda_version="13.4",
        driver_version=None,
        sm=("86",),
        keyed_digest="0" * 64,
    )
    return TrustedPlan(entry, content, None)


def opened(bundle: Bundle, gpu: SimulatedGpu, *, graphs: bool = True) -> TensorRtEngine:
    plan = trusted(plan_of(bundle.graph_path))
    return TensorRtEngine(bundle, plan, library=gpu.library, cuda=gpu.cuda, graphs=graphs)


@pytest.fixture(params=list(RELEASES))
def gpu(request: pytest.FixtureRequest) -> SimulatedGpu:
    return SimulatedGpu(request.param)


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "no graphs"])
def test_it_says_what_onnx_runtime_says_adapter_by_adapter(tiny_bundle: Bundle, gpu: SimulatedGpu, graphs: bool) -> None:
    engine, other = opened(tiny_bundle, gpu, graphs=graphs), OnnxEngine(tiny_bundle, threads=1)
    assert engine.name == gpu.library.name
    rng = np.random.default_rng(0)
    for adapter in (default_adapter(tiny_bundle), red_green_swapped(tiny_bundle), default_adapter(tiny_bundle)):
        ours, theirs = engine.prepare(adapter), other.prepare(adapter)
        for _ in range(3):
            frame, sound = rng.integers(0, 256, (64, 64, 3), np.uint8), tone(tiny_bundle, float(rng.uniform(0, 1)))
            said, expected = engine.run(frame, sound, ours), other.run(frame, sound, theirs)
            np.testing.assert_array_equal(said.labels, expected.labels)
            np.testing.assert_array_equal(said.confidence, expected.confidence)
            np.testing.assert_array_equal(said.presence, expected.presence)
    engine.close()


def test_five_hundred_swaps_allocate_nothing_and_capture_nothing(tiny_bundle: Bundle, gpu: SimulatedGpu) -> None:
    engine = opened(tiny_bundle, gpu)
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    sides = [(engine.prepare(default_adapter(tiny_bundle)), RED), (engine.prepare(red_green_swapped(tiny_bundle)), GREEN)]
    before, calls = gpu.runtime.in_use, gpu.runtime.calls.copy()
    for index in range(SWAPS):
        adapter, label = sides[index % 2]
        assert engine.run(frame, sound, adapter).labels.max() == label
    assert gpu.runtime.in_use == before
    done = gpu.runtime.calls - calls
    assert done["cudaMemcpyAsync"] == 2, "each adapter is copied once; after that a swap is a flip"
    assert done["cudaGraphLaunch"] == SWAPS
    assert not done["cudaMalloc"] + done["cudaStreamBeginCapture"] + done["cudaHostRegister"]
    engine.close()


def test_a_third_adapter_replaces_the_one_that_does_not_run(tiny_bundle: Bundle, gpu: SimulatedGpu) -> None:
    engine = opened(tiny_bundle, gpu)
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    adapters = [engine.prepare(make(tiny_bundle)) for make in (default_adapter, red_green_swapped, default_adapter)]
    for _ in range(3):
        said = [int(engine.run(frame, sound, adapter).labels.max()) for adapter in adapters]
        assert said == [RED, GREEN, RED]
    engine.close()


def test_closing_gives_everything_back_also_when_the_device_is_lost(tiny_bundle: Bundle, gpu: SimulatedGpu) -> None:
    engine = opened(tiny_bundle, gpu)
    engine.close()
    engine.close()
    assert not any(gpu.runtime.in_use.values())
    with pytest.raises(EngineError, match="closed"):
        engine.prepare(default_adapter(tiny_bundle))
    lost = opened(tiny_bundle, gpu)
    gpu.runtime.lost = True
    lost.close()


@pytest.mark.parametrize(
    "call",
    [
        "cudaStreamCreateWithFlags",
        "cudaHostRegister",
        "cudaMalloc",
        "cudaMemcpyAsync",
        "cudaStreamEndCapture",
        "cudaGraphInstantiate",
        "cudaStreamSynchronize",
        "cudaGraphLaunch",
    ],
)
def test_a_call_that_fails_while_opening_is_an_error_with_its_name_and_text(tiny_bundle: Bundle, call: str) -> None:
    gpu = SimulatedGpu()
    gpu.runtime.fail[call] = 1
    with pytest.raises(EngineError, match=rf"{call}: an illegal memory access was encountered \(CUDA error 700\)"):
        opened(tiny_bundle, gpu)


def test_a_device_lost_while_running_makes_the_slot_go_on_with_onnx_aloud(tiny_bundle: Bundle, gpu: SimulatedGpu) -> None:
    plan = trusted(plan_of(tiny_bundle.graph_path))
    reserve = OnnxEngine(tiny_bundle, threads=1)
    engine = TensorRtEngine(tiny_bundle, plan, library=gpu.library, cuda=gpu.cuda, reserve=reserve)
    slot = Slot(engine, default_adapter(tiny_bundle), ManualClock())
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    slot.offer(red_green_swapped(tiny_bundle), version=3)
    assert slot.run(frame, sound)[0].labels.max() == GREEN
    gpu.runtime.fail["cudaGraphLaunch"] = 1
    prediction, model = slot.run(frame, sound)
    assert (int(prediction.labels.max()), model.version, slot.engine.name) == (GREEN, 3, "onnx")
    (event,) = [event for event in slot.take_events() if event.kind == "fell_back"]
    assert f"failed on {gpu.library.name}" in event.text
    assert "cudaGraphLaunch: an illegal memory access was encountered (CUDA error 700)" in event.text
    slot.close()


def test_values_that_are_not_numbers_are_the_models_fault(tiny_bundle: Bundle, gpu: SimulatedGpu) -> None:
    engine = opened(tiny_bundle, gpu)
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    with pytest.raises(AnswerRejected, match="not numbers"):
        engine.run(frame, sound, engine.prepare(not_a_number(tiny_bundle)))
    assert engine.run(frame, sound, engine.prepare(default_adapter(tiny_bundle))).labels.max() == RED
    engine.close()


def test_a_plan_of_another_graph_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other, gpu = make_tiny_bundle(tmp_path / "other", height=32), SimulatedGpu()
    with pytest.raises(BundleRejected, match=r"plan has \w+ \w+ uint8 \(1, 32, 64.*the manifest says.*build the plan again"):
        TensorRtEngine(tiny_bundle, trusted(plan_of(other.graph_path)), library=gpu.library, cuda=gpu.cuda)
    assert not any(gpu.runtime.in_use.values())


def test_a_plan_that_tensorrt_cannot_read_says_why(tiny_bundle: Bundle, gpu: SimulatedGpu) -> None:
    with pytest.raises(EngineError, match="deserialize_cuda_engine: Magic tag does not match"):
        TensorRtEngine(tiny_bundle, trusted(b"no plan"), library=gpu.library, cuda=gpu.cuda)
    assert not any(gpu.runtime.in_use.values())


def test_windows_and_adapters_that_do_not_fit_are_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    engine = opened(tiny_bundle, SimulatedGpu())
    prepared = engine.prepare(default_adapter(tiny_bundle))
    with pytest.raises(EngineError, match=r"rtx: frame is uint8 \(32, 64, 3\), expected uint8 \(64, 64, 3\)"):
        engine.run(square_frame(tiny_bundle, "red")[:32], tone(tiny_bundle), prepared)
    stranger = default_adapter(make_tiny_bundle(tmp_path / "other", thresholds=(0.3, 0.8)))
    with pytest.raises(AdapterRejected, match="belongs to bundle"):
        engine.prepare(stranger)
    with pytest.raises(ValueError, match="another engine"):
        opened(tiny_bundle, SimulatedGpu()).run(square_frame(tiny_bundle, "red"), tone(tiny_bundle), prepared)


def test_answers_stay_readable_after_the_engine_is_gone(tiny_bundle: Bundle) -> None:
    engine = opened(tiny_bundle, SimulatedGpu())
    said = engine.run(square_frame(tiny_bundle, "red"), tone(tiny_bundle), engine.prepare(default_adapter(tiny_bundle)))
    engine.close()
    del engine
    gc.collect()
    assert said.labels.max() == RED
