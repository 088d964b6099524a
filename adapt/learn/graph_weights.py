"""The weights that lie in a bundle's graph, under the names that they have in the network.

An exporter keeps the names of most weights. Linear layers become products with a nameless, transposed constant, a
convolution swallows the norm after it, and of equal tensors one is kept; these are found by the name of their node, which is
the path of their module.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, numpy_helper

from cavs.runtime.errors import BundleRejected

Arrays = dict[str, npt.NDArray[np.float32]]

SCOPE = "network."
"""Where the network hangs in the module that was exported."""
_LAYERS = ("Conv", "Gemm", "MatMul", "LayerNormalization")
_ENDINGS = (*_LAYERS, "MatMulAddFusion")


class GraphWeights:
    """What is stored in a graph.

    weights:  tensors that the graph names, under the names of the network's parameters.
    nameless: tensors found by their node. A convolution has the norm after it in it; constants of products that are no layer
              are among them.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._graph = onnx.load(path).graph
        except Exception as error:  # protobuf raises kinds of its own, which are no public names
            raise BundleRejected(f"{path}: not an ONNX graph ({' '.join(str(error).split())}); take a whole copy") from error
        self._stored = {
            tensor.name: numpy_helper.to_array(tensor).astype(np.float32)
            for tensor in self._graph.initializer
            if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        }
        for node in self._graph.node:  # a graph in half precision casts its constants where an engine has no half arithmetic
            if node.op_type == "Cast" and node.input[0] in self._stored:
                self._stored[node.output[0]] = self._stored[node.input[0]]
        self.weights: Arrays = {
            name.removeprefix(SCOPE): array for name, array in self._stored.items() if name.startswith(SCOPE)
        }
        self.nameless: Arrays = {}
        for node in self._graph.node:
            self._take_layer(node)

    def _take_layer(self, node: NodeProto) -> None:
        if node.op_type not in _LAYERS or len(node.input) < 2 or node.input[1] not in self._stored:
            return
        layer = module_path(node.name)
        if layer is None:
            return
        weight = self._stored[node.input[1]]
        transposed = node.op_type == "MatMul" or (node.op_type == "Gemm" and not _int_attribute(node, "transB"))
        self.nameless.setdefault(f"{layer}.weight", np.ascontiguousarray(weight.T) if transposed else weight)
        if len(node.input) > 2 and node.input[2] in self._stored:
            self.nameless.setdefault(f"{layer}.bias", self._stored[node.input[2]])

    def constant(self, op_type: str, scope: str) -> npt.NDArray[np.float32] | None:
        """The stored input of the first node of this kind whose name begins with `scope`; None if there is none."""
        for node in self._graph.node:
            if node.op_type == op_type and node.name.startswith(scope):
                for name in node.input:
                    if name in self._stored:
                        return self._stored[name]
        return None

    def constant_before(self, op_type: str) -> npt.NDArray[np.float32] | None:
        """The stored factor of the product that feeds the first node of this kind; None if there is none."""
        makers = {name: node for node in self._graph.node for name in node.output}
        for node in self._graph.node:
            if node.op_type == op_type:
                product = makers.get(node.input[0])
                for name in product.input if product is not None else ():
                    if name in self._stored:
                        return self._stored[name]
        return None


def module_path(node_name: str) -> str | None:
    """`/network/decoder/refine8/refine8.0/mix/Conv` -> `decoder.refine8.0.mix`; None for a node of no module's own.

    A container that is called names itself and then, again, itself with its child.
    """
    parts = node_name.strip("/").split("/")
    while parts and parts[-1] in _ENDINGS:
        parts.pop()
    if len(parts) < 2 or f"{parts[0]}." != SCOPE:
        return None
    path: list[str] = []
    for part in parts[1:]:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)


def _int_attribute(node: NodeProto, name: str) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), 0)
