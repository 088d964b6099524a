"""A tiny but real bundle for tests: marks bright pixels by their colour while there is sound. Every input matters.

embedding = x + (x A^T) B^T          x: pixel in [0, 1], so B = 0 leaves colours as they are
sounding  = |embedding| * loudness > thresholds[0]
class     = row of the table with the largest cosine, if that is > thresholds[1]
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, default_adapter, make_adapter
from cavs.runtime.bundle import ADAPTER_FILE, GRAPH_FILE, Bundle, seal_bundle
from cavs.runtime.manifest import AdapterSlots, BundleFields, ClassRow, FrameSpec, SoundSpec

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}
EMBEDDING = 3
RANK = 2
CLASS_CAPACITY = 4
LOUD_GAIN = 20.0
"""Sound with an RMS of 1/20 or more counts as fully loud."""
THRESHOLDS = (0.5, 0.8)

DOWN, UP = "lora.colour.A", "lora.colour.B"

_TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}


def make_tiny_bundle(
    path: Path,
    *,
    height: int = 64,
    width: int = 64,
    samples: int = 1600,
    rate_hz: int = 16_000,
    lookahead_samples: int = 0,
    class_capacity: int = CLASS_CAPACITY,
    classes: tuple[str, ...] = tuple(COLOURS),
    colours: Mapping[str, tuple[float, ...]] = COLOURS,
    thresholds: tuple[float, float] = THRESHOLDS,
    name: str = "tiny",
) -> Bundle:
    """Seals a tiny bundle at `path`; its default adapter knows `classes`, one row each, in that order, by their `colours`."""
    fields = BundleFields(
        name=name,
        frame=FrameSpec(height_px=height, width_px=width),
        sound=SoundSpec(rate_hz=rate_hz, samples=samples, lookahead_samples=lookahead_samples),
        adapter=contract.adapter_slots(
            {"colour": (3, EMBEDDING)}, rank=RANK, class_capacity=class_capacity, embedding=EMBEDDING
        ),
        classes=tuple(ClassRow(row, label) for row, label in enumerate(classes)),
        provenance={"made_by": "tests"},
    )
    with tempfile.TemporaryDirectory() as scratch:
        onnx.save(tiny_graph(fields), str(Path(scratch) / GRAPH_FILE))
        save_file(tiny_tensors(fields.adapter, classes, thresholds, colours), str(Path(scratch) / ADAPTER_FILE))
        return seal_bundle(scratch, fields, path)


def tiny_tensors(
    slots: AdapterSlots,
    classes: tuple[str, ...],
    thresholds: tuple[float, float] = THRESHOLDS,
    colours: Mapping[str, tuple[float, ...]] = COLOURS,
) -> dict[str, npt.NDArray[np.float32]]:
    """The default adapter's tensors: colours as they are, one row of the table for each class."""
    tensors = {slot.name: np.zeros(slot.shape, np.float32) for slot in slots.slots}
    tensors[DOWN][:] = np.eye(RANK, 3)
    for row, label in enumerate(classes):
        tensors[contract.CLASS_TABLE][row] = colours[label]
        tensors[contract.CLASS_USED][row] = 1
    tensors[contract.THRESHOLDS][:] = thresholds
    return tensors


def adapter_with(bundle: Bundle, changes: Mapping[str, object], method: str = "test") -> Adapter:
    """The bundle's default adapter with some tensors replaced; its classes stay."""
    first = default_adapter(bundle)
    tensors = dict(first.tensors)
    for name, value in changes.items():
        tensors[name] = np.broadcast_to(np.asarray(value, np.float32), tensors[name].shape)
    return make_adapter(tensors, bundle=bundle, classes=first.classes, method=method, parent=first.id)


def red_green_swapped(bundle: Bundle) -> Adapter:
    """An adapter whose LoRA pair exchanges red and green: P - I = -(r - g)(r - g)^T."""
    down, up = np.zeros((RANK, 3)), np.zeros((EMBEDDING, RANK))
    down[0] = (1, -1, 0)
    up[:, 0] = (-1, 1, 0)
    return adapter_with(bundle, {DOWN: down, UP: up})


def not_a_number(bundle: Bundle) -> Adapter:
    """An adapter of finite values on which the graph overflows and says NaN."""
    return adapter_with(bundle, {DOWN: 1e30, UP: 1e30})


def square_frame(bundle: Bundle, colour: str | tuple[float, ...]) -> npt.NDArray[np.uint8]:
    """A black frame whose middle quarter has a colour, by name or as red, green, blue of 1."""
    height, width = bundle.manifest.frame.height_px, bundle.manifest.frame.width_px
    frame = np.zeros((height, width, 3), np.uint8)
    lit = np.array(COLOURS[colour] if isinstance(colour, str) else colour) * 255
    frame[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = lit.astype(np.uint8)
    return frame


def tone(bundle: Bundle, amplitude: float = 0.5) -> npt.NDArray[np.float32]:
    """A 440 Hz tone that fills a window; an amplitude of 0 is silence."""
    time_s = np.arange(bundle.manifest.sound.samples) / bundle.manifest.sound.rate_hz
    return (amplitude * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


def tiny_graph(fields: BundleFields) -> onnx.ModelProto:
    """The graph, opset 17."""
    constants = {
        "byte": np.float32(255),
        "half": np.float32(0.5),
        "zero": np.float32(0),
        "one": np.float32(1),
        "two": np.float32(2),
        "tiny": np.float32(1e-6),
        "gain": np.float32(LOUD_GAIN),
        "first": np.array(0, np.int64),
        "second": np.array(1, np.int64),
        "last_axis": np.array([-1], np.int64),
        "first_class": np.array(2, np.int64),
        "unknown": np.array(1, np.int64),
        "silent": np.array(0, np.int64),
    }
    graph = helper.make_graph(
        [*_embedding_nodes(), *_sounding_nodes(), *_class_nodes(), *_output_nodes()],
        "tiny",
        [helper.make_tensor_value_info(s.name, _TYPES[s.dtype], s.shape) for s in contract.graph_inputs(fields)],
        [helper.make_tensor_value_info(s.name, _TYPES[s.dtype], s.shape) for s in contract.graph_outputs(fields)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _embedding_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Cast", ["frame"], ["frame_float"], to=TensorProto.FLOAT),
        node("Div", ["frame_float", "byte"], ["x"]),
        node("Transpose", [DOWN], ["down"], perm=[1, 0]),
        node("Transpose", [UP], ["up"], perm=[1, 0]),
        node("MatMul", ["x", "down"], ["low"]),
        node("MatMul", ["low", "up"], ["delta"]),
        node("Add", ["x", "delta"], ["embedding"]),
        node("ReduceL2", ["embedding"], ["length"], axes=[-1], keepdims=1),
        node("Add", ["length", "tiny"], ["length_safe"]),
        node("Div", ["embedding", "length_safe"], ["unit"]),
    ]


def _sounding_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Mul", ["sound", "sound"], ["power"]),
        node("ReduceMean", ["power"], ["power_mean"], keepdims=0),
        node("Sqrt", ["power_mean"], ["rms"]),
        node("Mul", ["rms", "gain"], ["rms_scaled"]),
        node("Clip", ["rms_scaled", "zero", "one"], ["loudness"]),
        node("Clip", ["length", "zero", "one"], ["brightness"]),
        node("Mul", ["brightness", "loudness"], ["probability"]),
    ]


def _class_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Transpose", ["classes.table"], ["table"], perm=[1, 0]),
        node("MatMul", ["unit", "table"], ["cosine"]),
        node("Sub", ["classes.used", "one"], ["absent"]),
        node("Mul", ["absent", "two"], ["penalty"]),
        node("Add", ["cosine", "penalty"], ["near"]),
        node("ArgMax", ["near"], ["row"], axis=-1, keepdims=0),
        node("ReduceMax", ["near"], ["nearest"], axes=[-1], keepdims=0),
    ]


def _output_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Squeeze", ["probability", "last_axis"], ["probability_map"]),
        node("Gather", ["thresholds", "first"], ["sound_threshold"]),
        node("Gather", ["thresholds", "second"], ["class_threshold"]),
        node("Greater", ["probability_map", "sound_threshold"], ["is_sounding"]),
        node("Greater", ["nearest", "class_threshold"], ["is_known"]),
        node("Add", ["row", "first_class"], ["row_label"]),
        node("Where", ["is_known", "row_label", "unknown"], ["named"]),
        node("Where", ["is_sounding", "named", "silent"], ["label"]),
        node("Cast", ["label"], ["labels"], to=TensorProto.UINT8),
        node("Mul", ["probability_map", "byte"], ["level"]),
        node("Add", ["level", "half"], ["level_rounded"]),
        node("Cast", ["level_rounded"], ["confidence"], to=TensorProto.UINT8),
        node("Mul", ["cosine", "classes.used"], ["cosine_used"]),
        node("Mul", ["cosine_used", "probability"], ["evidence"]),
        node("ReduceMax", ["evidence"], ["heard"], axes=[1, 2], keepdims=0),
        # Max and Clip may swallow a NaN; a sum times zero carries it into `presence`, where an engine looks for it.
        node("ReduceMean", ["unit"], ["unit_mean"], keepdims=0),
        node("Add", ["unit_mean", "power_mean"], ["sane"]),
        node("Mul", ["sane", "zero"], ["nothing"]),
        node("Add", ["heard", "nothing"], ["presence"]),
    ]
