"""Padding that moves into a convolution, and padding that must not."""

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cavs.export.tidy import merge_pads

X = np.random.default_rng(0).normal(size=(1, 1, 6, 6)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(1, 1, 3, 3)).astype(np.float32)


def padded_convolution(
    pads: tuple[int, ...], mode: str = "constant", value: float = 0.0, shared: bool = False
) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Pad", ["x", "pads", "value"], ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "w"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    if shared:
        nodes.append(helper.make_node("Relu", ["padded"], ["z"]))
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    constants = [
        numpy_helper.from_array(np.array(pads, np.int64), "pads"),
        numpy_helper.from_array(np.array(value, np.float32), "value"),
        numpy_helper.from_array(W, "w"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def run(model: onnx.ModelProto) -> npt.NDArray[np.float32]:
    outputs = ReferenceEvaluator(model).run(None, {"x": X})
    assert isinstance(outputs, list)
    return np.asarray(outputs[0], np.float32)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0, 0, 0, 1, 1), (0, 0, 1, 1, 0, 0, 1, 1), (0, 0, 2, 0, 0, 0, 1, 2)])
def test_zeros_around_the_picture_move_into_the_convolution_and_the_numbers_stay(pads: tuple[int, ...]) -> None:
    model = padded_convolution(pads)
    expected = run(model)
    merge_pads(model)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    np.testing.assert_allclose(run(model), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        padded_convolution((0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"),
        padded_convolution((0, 0, 1, 1, 0, 0, 1, 1), value=1.0),
        padded_convolution((0, 0, 1, 1, 0, 0, 1, 1), shared=True),
    ],
    ids=["mirrored", "not zero", "read by another"],
)
def test_other_padding_stays_where_it_is(model: onnx.ModelProto) -> None:
    before = [node.op_type for node in model.graph.node]
    merge_pads(model)
    assert [node.op_type for node in model.graph.node] == before
