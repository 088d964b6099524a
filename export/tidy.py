"""Makes a traced graph small: shapes computed once and for all, padding inside convolutions, nothing left over."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, numpy_helper

IR_VERSION = 8
"""The file format that ONNX Runtime 1.17 and TensorRT 10.3 read; newer writers would put a newer number."""


def tidy(path: Path, opset: int) -> None:
    """Rewrites the graph in place; its numbers stay the same. It uses nothing but standard operators of `opset`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    merge_pads(model)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", opset))
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def merge_pads(model: ModelProto) -> None:
    """Turns a Pad with zeros before a convolution into the convolution's own `pads`, which may be asymmetric in ONNX."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    padded = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    readers = [name for node in graph.node for name in node.input]
    for node in list(graph.node):
        pad = padded.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or readers.count(pad.output[0]) != 1 or pad.input[1] not in constants:
            continue
        before_after = numpy_helper.to_array(constants[pad.input[1]]).reshape(2, -1)
        if before_after[:, :2].any() or not _pads_zeros(pad, constants):
            continue
        own = next(attribute for attribute in node.attribute if attribute.name == "pads")
        own.ints[:] = (np.array(own.ints).reshape(2, -1) + before_after[:, 2:]).flatten().tolist()
        node.input[0] = pad.input[0]
        graph.node.remove(pad)


def _pads_zeros(pad: NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    modes = [attribute.s for attribute in pad.attribute if attribute.name == "mode"]
    value = pad.input[2] if len(pad.input) > 2 else ""
    filled = numpy_helper.to_array(constants[value]) if value in constants else np.zeros(1)
    return modes in ([], [b"constant"]) and (not value or value in constants) and not filled.any()
