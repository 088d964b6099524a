"""Adapters by refit: always from the base, never on the engine that runs, complete, and judged before they are used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import save

from cavs.runtime.adapter import Adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.engine import LABEL_FIRST_CLASS
from cavs.runtime.errors import EngineError
from cavs.runtime.manifest import RefitWeight
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.plan import TrustedPlan
from cavs.runtime.slot import Slot
from cavs.runtime.tensorrt_refit import RefitEngine, folded_weights
from tests.runtime.real_signatures import RELEASES
from tests.runtime.simulated_gpu import SimulatedGpu, plan_of
from tests.runtime.test_tensorrt_engine import trusted
from tests.tiny_bundle import DOWN, UP, adapter_with, not_a_number, red_green_swapped, square_frame, tone

RED, GREEN = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1
WEIGHT = RefitWeight(layer="colour", name="colour.weight", dtype="float32", shape=(3, 3), turned=True)


def refit_plan(bundle: Bundle, folder: Path, base: np.ndarray | None = None) -> TrustedPlan:
    """The tiny graph with its LoRA pair folded into a weight, as `export.fold` does it to real graphs."""
    model = onnx.load(bundle.graph_path)
    graph = model.graph
    pair = {"down", "up", "low", "delta", "embedding"}
    nodes = [node for node in graph.node if node.output[0] not in pair]
    nodes.insert(2, helper.make_node("MatMul", ["x", WEIGHT.name], ["embedding"]))
    inputs = [each for each in graph.input if each.name not in (DOWN, UP)]
    for field, items in ((graph.node, nodes), (graph.input, inputs)):
        del field[:]
        field.extend(items)
    graph.initializer.append(numpy_helper.from_array(np.eye(3, dtype=np.float32), WEIGHT.name))
    onnx.save(model, folder / "refit.onnx")
    plan = trusted(plan_of(folder / "refit.onnx", (WEIGHT.name,)))
    content = save({WEIGHT.name: np.eye(3, dtype=np.float32) if base is None else base})
    return replace(plan, entry=plan.entry.model_copy(update={"form": "refit", "refit": (WEIGHT,)}), base=content)


def opened(bundle: Bundle, gpu: SimulatedGpu, plan: TrustedPlan, *, reserve: OnnxEngine | None = None) -> RefitEngine:
    judge = OnnxEngine(bundle, threads=1)
    return RefitEngine(bundle, plan, library=gpu.library, cuda=gpu.cuda, reserve=reserve, judge=judge)


def said(engine: RefitEngine, adapter: Adapter) -> int:
    bundle = engine.bundle
    return int(engine.run(square_frame(bundle, "red"), tone(bundle), engine.prepare(adapter)).labels.max())


@pytest.mark.parametrize("release", RELEASES)
def test_adapters_come_and_go_and_each_leaves_no_trace(tiny_bundle: Bundle, tmp_path: Path, release: str) -> None:
    gpu = SimulatedGpu(release)
    engine = opened(tiny_bundle, gpu, refit_plan(tiny_bundle, tmp_path))
    before = gpu.runtime.in_use
    for _ in range(3):
        assert said(engine, default_adapter(tiny_bundle)) == RED
        assert said(engine, red_green_swapped(tiny_bundle)) == GREEN
    assert gpu.runtime.in_use == before
    engine.close()
    assert not any(gpu.runtime.in_use.values())


def test_the_engine_that_runs_is_never_refitted(tiny_bundle: Bundle, tmp_path: Path) -> None:
    engine = opened(tiny_bundle, SimulatedGpu(), refit_plan(tiny_bundle, tmp_path))
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    first = engine.prepare(default_adapter(tiny_bundle))
    assert engine.run(frame, sound, first).labels.max() == RED
    second = engine.prepare(red_green_swapped(tiny_bundle))
    assert engine.run(frame, sound, first).labels.max() == RED, "preparing another has not touched it"
    assert engine.run(frame, sound, second).labels.max() == GREEN
    refits = engine.refits
    assert engine.run(frame, sound, first).labels.max() == RED, "one step back is a flip"
    assert engine.refits == refits


def test_an_adapter_two_steps_back_is_refitted_by_the_window_that_asks_for_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    engine = opened(tiny_bundle, SimulatedGpu(), refit_plan(tiny_bundle, tmp_path))
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    steps = [red_green_swapped(tiny_bundle), adapter_with(tiny_bundle, {UP: 0.01}), adapter_with(tiny_bundle, {UP: 0.02})]
    prepared = []
    for adapter in steps:
        prepared.append(engine.prepare(adapter))
        engine.run(frame, sound, prepared[-1])
    assert engine.run(frame, sound, prepared[0]).labels.max() == GREEN


def test_weights_are_always_base_and_delta() -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(size=(4, 3)).astype(np.float16)}
    weight = RefitWeight(layer="l", name="w", dtype="float16", shape=(4, 3), turned=False)
    tensors = {"lora.l.A": rng.normal(size=(2, 3)).astype(np.float32), "lora.l.B": rng.normal(size=(4, 2)).astype(np.float32)}
    folded = folded_weights((weight,), base, tensors)["w"]
    assert folded.dtype == np.float16
    expected = base["w"].astype(np.float32) + tensors["lora.l.B"] @ tensors["lora.l.A"]
    np.testing.assert_array_equal(folded, expected.astype(np.float16))
    turned = weight.model_copy(update={"turned": True, "shape": (3, 4)})
    np.testing.assert_array_equal(folded_weights((turned,), {"w": base["w"].T.copy()}, tensors)["w"], folded.T)


def test_a_weight_that_the_plan_has_and_the_manifest_does_not_is_found(tiny_bundle: Bundle, tmp_path: Path) -> None:
    plan, gpu = refit_plan(tiny_bundle, tmp_path), SimulatedGpu()
    more = replace(plan, content=plan_of(tmp_path / "refit.onnx", (WEIGHT.name, "byte")))
    with pytest.raises(EngineError, match="refittable weight byte is not in the manifest; build the plan again"):
        opened(tiny_bundle, gpu, more)
    assert not any(gpu.runtime.in_use.values())


def test_a_refit_that_computes_something_else_is_not_used(tiny_bundle: Bundle, tmp_path: Path) -> None:
    wrong = np.eye(3, dtype=np.float32)[[1, 0, 2]]
    with pytest.raises(EngineError, match=r"after a refit .* of the labels equal onnx's, 99\.5% were expected"):
        opened(tiny_bundle, SimulatedGpu(), refit_plan(tiny_bundle, tmp_path, wrong))


def test_a_failed_refit_leaves_the_running_model_and_is_refused_where_it_is_offered(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    gpu = SimulatedGpu()
    engine = opened(tiny_bundle, gpu, refit_plan(tiny_bundle, tmp_path))
    slot = Slot(engine, default_adapter(tiny_bundle), ManualClock())
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    assert slot.run(frame, sound)[0].labels.max() == RED
    with pytest.raises(EngineError, match="layer colour: with the adapter its float32 weights are not finite numbers"):
        slot.offer(not_a_number(tiny_bundle), version=2)
    prediction, model = slot.run(frame, sound)
    assert (int(prediction.labels.max()), model.version) == (RED, 0)
    gpu.runtime.fail["cudaGraphInstantiate"] = 1
    with pytest.raises(EngineError, match="cudaGraphInstantiate: an illegal memory access"):
        slot.offer(red_green_swapped(tiny_bundle), version=3)
    gpu.runtime.fail, gpu.runtime.lost = {}, False
    assert slot.run(frame, sound)[0].labels.max() == RED
    slot.offer(red_green_swapped(tiny_bundle), version=3)
    assert slot.run(frame, sound)[0].labels.max() == GREEN
    slot.close()
