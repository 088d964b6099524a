"""An adapter folded into the weights of a graph: for plans that take adapters by refit, and to see what inputs cost.

LoRA (arXiv 2106.09685), section 4.1: `W + B A` computes what `W` and the pair beside it compute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from cavs.runtime import contract
from cavs.runtime.adapter import Tensors
from cavs.runtime.errors import ExportError
from cavs.runtime.manifest import AdapterSlots, RefitWeight
from cavs.runtime.tensorrt_refit import folded_weights

_DTYPES: dict[int, Literal["float32", "float16"]] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


@dataclass(frozen=True, slots=True)
class Folded:
    """A graph without LoRA inputs. `weights` says where each pair went, `base` has these weights without any adapter."""

    model: ModelProto
    weights: tuple[RefitWeight, ...]
    base: dict[str, npt.NDArray[np.float32]] | dict[str, npt.NDArray[np.float16]]


def without_lora(model: ModelProto, adapter: AdapterSlots) -> Folded:
    """Takes the LoRA branches out of a copy of the graph. Raises ExportError if a branch is not what export writes."""
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = tuple(_take_out(graph, layer) for layer in _layers(adapter))
    _prune(graph)
    known = {tensor.name: tensor for tensor in graph.initializer}
    return Folded(copy, weights, {weight.name: numpy_helper.to_array(known[weight.name]).copy() for weight in weights})


def with_adapter(folded: Folded, tensors: Tensors) -> ModelProto:
    """The graph with an adapter's pairs in its weights; the class table and the thresholds stay inputs."""
    model = ModelProto()
    model.CopyFrom(folded.model)
    values = folded_weights(folded.weights, folded.base, tensors)
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return model


def _layers(adapter: AdapterSlots) -> Iterable[str]:
    for slot in adapter.slots:
        if slot.name.startswith(contract.LORA_PREFIX) and slot.name.endswith(contract.LORA_UP):
            yield slot.name.removeprefix(contract.LORA_PREFIX).removesuffix(contract.LORA_UP)


def _take_out(graph: GraphProto, layer: str) -> RefitWeight:
    """Connects what reads `base + branch` to `base`; the branch is left for `_prune`."""
    value = f"{contract.LORA_PREFIX}{layer}{contract.LORA_UP}"
    while True:
        readers = [node for node in graph.node if value in node.input]
        if len(readers) != 1:
            raise ExportError(f"layer {layer}: {value} is read {len(readers)} times, once was expected; it cannot be folded")
        node = readers[0]
        if node.op_type == "Add":
            break
        value = node.output[0]
    base = next(name for name in node.input if name != value)
    weight = _weight_behind(graph, base, layer)
    for reader in graph.node:
        for index, name in enumerate(reader.input):
            if name == node.output[0]:
                reader.input[index] = base
    return weight


def _weight_behind(graph: GraphProto, value: str, layer: str) -> RefitWeight:
    """The weight whose product with the layer's input is `value`, but for bias and shape."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    while (node := makers.get(value)) is not None:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            found = next((name for name in node.input[:2] if name in constants), None)
            if found is not None:
                return _described(graph, node, constants[found], layer)
        moving = [name for name in node.input if name not in constants]
        if node.op_type not in ("Add", "Reshape") or len(moving) != 1:
            break
        value = moving[0]
    raise ExportError(f"layer {layer}: no constant weight is found behind {value}; it cannot be folded")


def _described(graph: GraphProto, node: NodeProto, tensor: TensorProto, layer: str) -> RefitWeight:
    if sum(tensor.name in reader.input for reader in graph.node) != 1:
        raise ExportError(f"layer {layer}: its weight {tensor.name} is another layer's as well; it cannot be folded")
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    turned = tensor.name == node.input[1] and node.op_type != "Conv" and not settings.get("transB", 0)
    dtype = _DTYPES[tensor.data_type]
    return RefitWeight(layer=layer, name=tensor.name, dtype=dtype, shape=tuple(tensor.dims), turned=turned)


def _prune(graph: GraphProto) -> None:
    """Removes what no output needs, LoRA inputs included."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    for field, items in (
        (graph.node, list(reversed(kept))),
        (graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed]),
        (graph.input, [each for each in graph.input if not each.name.startswith(contract.LORA_PREFIX)]),
    ):
        del field[:]
        field.extend(items)
