"""An adapter folded into a graph says what it says as inputs, in both precisions."""

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto

from cavs.export.fold import with_adapter, without_lora
from cavs.export.half import check_halved, halved, is_half
from cavs.export.parity import stirred
from cavs.export.windows import Window
from cavs.runtime import contract
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import ExportError
from tests.export.test_parity import windows

Arrays = dict[str, npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def model(small_bundle: Bundle) -> ModelProto:
    return onnx.load(small_bundle.graph_path)


@pytest.fixture(scope="module")
def half(model: ModelProto) -> ModelProto:
    return halved(model)


def outputs(model: ModelProto, window: Window, tensors: Arrays) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {contract.FRAME: window.frame[None], contract.SOUND: window.sound[None], **tensors}
    answer: list[npt.NDArray[np.float32]] = session.run(None, {each.name: feeds[each.name] for each in session.get_inputs()})
    return answer


def test_every_pair_of_the_adapter_finds_its_weight_and_computes_the_same_there(
    small_bundle: Bundle, model: ModelProto
) -> None:
    folded = without_lora(model, small_bundle.manifest.adapter)
    onnx.checker.check_model(folded.model, full_check=True)
    layers = {slot.name[len("lora.") : -2] for slot in small_bundle.manifest.adapter.slots if slot.name.startswith("lora.")}
    assert {weight.layer for weight in folded.weights} == layers
    assert not [each.name for each in folded.model.graph.input if each.name.startswith("lora.")]
    (window,) = windows(1)
    tensors = stirred(dict(default_adapter(small_bundle).tensors))
    expected, said = outputs(model, window, tensors), outputs(with_adapter(folded, tensors), window, tensors)
    plain = outputs(folded.model, window, tensors)
    assert (expected[0] == said[0]).mean() > 0.999
    np.testing.assert_allclose(said[2], expected[2], atol=1e-4)
    change, error = np.abs(plain[2] - expected[2]).max(), np.abs(said[2] - expected[2]).max()
    assert change > 100 * error, "the adapter matters here"


def test_the_original_graph_is_not_touched(small_bundle: Bundle, model: ModelProto) -> None:
    before = model.SerializeToString()
    without_lora(model, small_bundle.manifest.adapter)
    halved(model)
    assert model.SerializeToString() == before


def test_a_halved_graph_takes_and_gives_the_same_types_and_labels_nearly_all_pixels_alike(
    small_bundle: Bundle, model: ModelProto, half: ModelProto
) -> None:
    assert is_half(half)
    assert not is_half(model)
    for field in ("input", "output"):
        assert list(getattr(half.graph, field)) == list(getattr(model.graph, field))
    onnx.checker.check_model(half, full_check=True)
    assert check_halved(small_bundle, model, half, windows(2)) >= 0.995


def test_the_spectrum_and_the_comparison_of_classes_stay_whole(half: ModelProto) -> None:
    halves = {tensor.name for tensor in half.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    read = {name: node for node in half.graph.node for name in node.input if name in halves}
    assert len(read) > 100
    assert not [node.name for node in read.values() if "/audio/mel/" in node.name or "/matching/" in node.name]


def test_a_halved_graph_can_be_folded_too(small_bundle: Bundle, half: ModelProto) -> None:
    folded = without_lora(half, small_bundle.manifest.adapter)
    assert {weight.dtype for weight in folded.weights} == {"float16"}
    (window,) = windows(1)
    tensors = stirred(dict(default_adapter(small_bundle).tensors))
    expected, said = outputs(half, window, tensors), outputs(with_adapter(folded, tensors), window, tensors)
    assert (expected[0] == said[0]).mean() > 0.99


def test_what_cannot_be_halved_or_folded_is_said(tiny_bundle: Bundle, small_bundle: Bundle, model: ModelProto) -> None:
    tiny = onnx.load(tiny_bundle.graph_path)
    with pytest.raises(ExportError, match="layer colour: no constant weight is found behind x"):
        without_lora(tiny, tiny_bundle.manifest.adapter)
    large = ModelProto()
    large.CopyFrom(model)
    weight = next(tensor for tensor in large.graph.initializer if tensor.name.endswith("features.0.weight"))
    values = np.full(tuple(weight.dims), 1e6, np.float32)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    with pytest.raises(ExportError, match=r"holds 1e\+06, half precision ends at 65504"):
        halved(large)
    with pytest.raises(ExportError, match=r"in half precision .* of the labels stay as they are, 99\.5% are needed"):
        check_halved(small_bundle, model, _all_sounding(model), windows(1))


def _all_sounding(model: ModelProto) -> ModelProto:
    """A graph of the same inputs that says something else: every pixel sounds."""
    other = ModelProto()
    other.CopyFrom(model)
    for tensor in other.graph.initializer:
        if tensor.name.endswith("decoder.sounding.bias"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(tensor.dims), 99, np.float32), tensor.name))
    return other
