"""A float32 graph in half precision, for plans: convolutions and attention in float16, the spectrum and the comparisons not.

The same parts as `cavs-export onnx --precision fp16` halves in torch; used where only a bundle is at hand. ONNX Runtime's own
converter is no use here: between two nodes that shall stay float32 it rounds to float16, and it names nodes twice.
"""

import re
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from cavs.adapt.model.config import NetworkConfig
from cavs.export.parity import LABELS_EQUAL_AT_LEAST
from cavs.export.windows import Window, drawn_windows
from cavs.runtime import contract
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import ExportError
from cavs.runtime.onnx_engine import session_options

STAYS_WHOLE = re.compile(r"/network/audio/mel/|/network/matching/|/(network/)?[A-Za-z]+(_\d+)?$")
"""Names of nodes: the spectrum spans more than half precision holds, and a class is decided in the last digits of a cosine."""

FIRST_INPUT_ONLY = frozenset({"Resize"})
"""Operators whose other inputs are float32 in every precision."""

HALF_MAX = float(np.finfo(np.float16).max)


def is_half(model: ModelProto) -> bool:
    """True if the graph already computes in float16."""
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)


def halved(model: ModelProto) -> ModelProto:
    """A copy in half precision with the same inputs and outputs, in which every cast is written down.

    Raises ExportError if a constant is too large for it, or nothing of the graph can be halved.
    """
    copy = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = copy.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    constants = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    outputs = {output.name for output in graph.output}
    halves = [not _stays_whole(node) and not outputs.intersection(node.output) for node in graph.node]
    made_half = {name for node, half in zip(graph.node, halves, strict=True) if half for name in node.output if name in floats}
    change = _Change(constants, made_half, floats)
    nodes: list[NodeProto] = []
    for node, half in zip(graph.node, halves, strict=True):
        nodes.extend(change.before(node, half))
        nodes.append(node)
    if not change.halved_constants:
        raise ExportError("the graph has no part that can be computed in half precision; build the plan with --precision fp32")
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    for field, items in ((graph.node, nodes), (graph.initializer, [*kept, *change.halved_constants.values()])):
        del field[:]
        field.extend(items)
    del graph.value_info[:]  # they said what was float32
    return copy


def check_halved(bundle: Bundle, whole: ModelProto, half: ModelProto, windows: Iterable[Window]) -> float:
    """The share of pixels that both label alike. Raises ExportError if it is too small."""
    sessions = [
        onnxruntime.InferenceSession(model.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])
        for model in (whole, half)
    ]
    tensors = dict(default_adapter(bundle).tensors)
    equal = []
    for window in windows:
        feeds = {contract.FRAME: window.frame[None], contract.SOUND: window.sound[None], **tensors}
        one, other = (session.run([contract.LABELS], feeds)[0] for session in sessions)
        equal.append(float((one == other).mean()))
    share, least = sum(equal) / len(equal), LABELS_EQUAL_AT_LEAST["fp16"]
    if share < least:
        raise ExportError(
            f"in half precision {share:.3%} of the labels stay as they are, {least:.1%} are needed; use --precision fp32"
        )
    return share


def bundle_windows(bundle: Bundle, count: int) -> Iterator[Window]:
    """Drawn windows of a bundle's sizes."""
    frame, sound = bundle.manifest.frame, bundle.manifest.sound
    config = NetworkConfig.model_construct(  # only sizes are read of it, and a bundle may be of another network than ours
        frame_height_px=frame.height_px,
        frame_width_px=frame.width_px,
        sound_rate_hz=sound.rate_hz,  # type: ignore[arg-type]
        sound_samples=sound.samples,
    )
    return drawn_windows(config, count)


def _stays_whole(node: NodeProto) -> bool:
    return node.op_type == "Cast" or bool(STAYS_WHOLE.match(node.name))


class _Change:
    """Gives each node its inputs in its own precision. A value is cast once for all who need it."""

    def __init__(self, constants: dict[str, TensorProto], made_half: set[str], floats: set[str]) -> None:
        self._constants, self._made_half, self._floats = constants, made_half, floats
        self._cast: set[str] = set()
        self.halved_constants: dict[str, TensorProto] = {}

    def before(self, node: NodeProto, half: bool) -> Iterable[NodeProto]:
        """The casts that must stand before a node; its inputs are renamed to what they give."""
        for index, name in enumerate(node.input):
            if node.op_type in FIRST_INPUT_ONLY and index:
                return
            if half and name in self._constants:
                node.input[index] = self._half_constant(name)
            elif name in self._floats and half != (name in self._made_half):
                node.input[index] = f"{name}_as_{'half' if half else 'float'}"
                if node.input[index] not in self._cast:
                    self._cast.add(node.input[index])
                    to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
                    yield onnx.helper.make_node("Cast", [name], [node.input[index]], name=f"{node.input[index]}_cast", to=to)

    def _half_constant(self, name: str) -> str:
        """Beside the constant itself, which float32 nodes may read as well."""
        halved = f"{name}_as_half"
        if halved not in self.halved_constants:
            values = numpy_helper.to_array(self._constants[name])
            if np.abs(values).max(initial=0.0) > HALF_MAX and np.isfinite(values).all():
                raise ExportError(f"{name} holds {np.abs(values).max():.3g}, half precision ends at {HALF_MAX:.0f}")
            self.halved_constants[halved] = numpy_helper.from_array(values.astype(np.float16), halved)
        return halved
