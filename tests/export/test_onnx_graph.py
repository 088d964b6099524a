"""The graph: inputs and outputs by contract, plain operators of opset 17, and an adapter that matters."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from cavs.adapt.model.network import adapter_tensors
from cavs.export.onnx_graph import OPSET, Precision, ServingForm, slots_of, write_graph
from cavs.export.tidy import IR_VERSION
from cavs.runtime import contract
from cavs.runtime.manifest import BundleFields, FrameSpec, SoundSpec, TensorSpec
from tests.small_network import SMALL, pictures, small_network, sounds, stir_lora

TYPES: dict[int, Literal["uint8", "float32"]] = {onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.FLOAT: "float32"}


def specs(values: "list[onnx.ValueInfoProto]") -> list[TensorSpec]:
    return [
        TensorSpec(
            name=value.name,
            dtype=TYPES[value.type.tensor_type.elem_type],
            shape=tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in values
    ]


def feeds_of(adapter: dict[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.generic]]:
    frame = pictures(1).permute(0, 2, 3, 1).contiguous().numpy()
    return {contract.FRAME: frame, contract.SOUND: sounds(1).numpy(), **adapter}


def run(graph: Path, adapter: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    outputs: list[npt.NDArray[Any]] = session.run(None, feeds_of(adapter))
    return outputs


def test_inputs_and_outputs_keep_the_contract(graph: Path) -> None:
    fields = BundleFields(
        name="x",
        frame=FrameSpec(height_px=SMALL.frame_height_px, width_px=SMALL.frame_width_px),
        sound=SoundSpec(rate_hz=SMALL.sound_rate_hz, samples=SMALL.sound_samples),
        adapter=slots_of(small_network()),
        classes=(),
    )
    model = onnx.load(graph)
    assert specs(list(model.graph.input)) == list(contract.graph_inputs(fields))
    assert specs(list(model.graph.output)) == list(contract.graph_outputs(fields))
    assert contract.slots_breach(fields.adapter) is None


def test_it_is_readable_by_old_engines_and_uses_standard_operators_only(graph: Path) -> None:
    model = onnx.load(graph)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    assert {node.domain for node in model.graph.node} == {""}


def test_the_frame_is_cast_before_anything_else_touches_its_bytes(graph: Path) -> None:
    readers = [node.op_type for node in onnx.load(graph).graph.node if contract.FRAME in node.input]
    assert readers == ["Cast"]


def test_no_padding_is_left_before_a_convolution(graph: Path) -> None:
    model = onnx.load(graph)
    pads = {node.output[0] for node in model.graph.node if node.op_type == "Pad"}
    assert not [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[0] in pads]


@pytest.mark.parametrize("changed", ["lora", "classes.table", "classes.used", "thresholds"])
def test_every_part_of_the_adapter_changes_what_the_engine_says_as_it_changes_torch(graph: Path, changed: str) -> None:
    network = small_network()
    before = run(graph, adapter_tensors(network))
    with torch.no_grad():
        if changed == "lora":
            stir_lora(network)
        elif changed == "classes.table":
            network.classes.table.copy_(network.classes.table.flip(0))
        elif changed == "classes.used":
            network.classes.used[1] = 0
        else:
            network.thresholds.copy_(torch.tensor([0.05, -1.0]))
    adapter = adapter_tensors(network)
    seen = run(graph, adapter)
    assert any((one != other).any() for one, other in zip(seen, before, strict=True))
    form = ServingForm(small_network())
    feeds = feeds_of(adapter)
    with torch.inference_mode():
        expected = form(*(torch.from_numpy(feeds[name]) for name in (contract.FRAME, contract.SOUND, *form.slots)))
    np.testing.assert_array_equal(seen[0], expected[0])
    assert np.abs(seen[1].astype(int) - expected[1].numpy().astype(int)).max() <= 1
    np.testing.assert_allclose(seen[2], expected[2], atol=1e-4)


def test_rows_that_are_not_used_have_presence_zero(graph: Path) -> None:
    presence = run(graph, adapter_tensors(small_network()))[2][0]
    assert (presence[:3] > 0).all()
    assert (presence[3:] == 0).all()


@pytest.mark.parametrize(("precision", "kind"), [("fp32", onnx.TensorProto.FLOAT), ("fp16", onnx.TensorProto.FLOAT16)])
def test_weights_have_the_precision_that_was_asked_for(graph: Path, tmp_path: Path, precision: Precision, kind: int) -> None:
    path = graph
    if precision == "fp16":
        path = tmp_path / "half.onnx"
        write_graph(small_network(), path, precision)
    large = [tensor for tensor in onnx.load(path).graph.initializer if len(tensor.dims) == 4]
    assert large
    assert {tensor.data_type for tensor in large} == {kind}


def test_the_network_itself_is_untouched_by_serving_it() -> None:
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ServingForm(network, half=True)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("where", ["sound", "a LoRA pair"])
def test_a_value_that_is_no_number_shows_in_the_presence(graph: Path, where: str) -> None:
    adapter = adapter_tensors(small_network())
    feeds = feeds_of(adapter)
    assert np.isfinite(run(graph, adapter)[2]).all()
    broken = contract.SOUND if where == "sound" else next(name for name in adapter if name.startswith(contract.LORA_PREFIX))
    feeds[broken] = np.full_like(feeds[broken], np.nan)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    assert np.isnan(session.run(None, feeds)[2]).all()
