"""The ONNX engine on a real graph."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from cavs.runtime import contract
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import GRAPH_FILE, MANIFEST_FILE, Bundle, seal_bundle
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN
from cavs.runtime.errors import AdapterRejected, BundleRejected, EngineError
from cavs.runtime.manifest import BundleFields
from cavs.runtime.onnx_engine import OnnxEngine
from tests.tiny_bundle import adapter_with, make_tiny_bundle, not_a_number, red_green_swapped, square_frame, tone

RED, GREEN, BLUE = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1, LABEL_FIRST_CLASS + 2


@pytest.fixture
def engine(tiny_bundle: Bundle) -> OnnxEngine:
    return OnnxEngine(tiny_bundle, threads=1)


def test_a_bright_square_that_sounds_is_marked_with_its_class_and_nothing_else_is(engine: OnnxEngine) -> None:
    prepared = engine.prepare(default_adapter(engine.bundle))
    for row, colour in enumerate(("red", "green", "blue")):
        frame = square_frame(engine.bundle, colour)
        said = engine.run(frame, tone(engine.bundle), prepared)
        lit = frame.any(axis=2)
        assert (said.labels[lit] == LABEL_FIRST_CLASS + row).all()
        assert (said.labels[~lit] == LABEL_SILENT).all()
        assert (said.confidence[lit] == 255).all()
        assert int(said.presence.argmax()) == row


def test_silence_marks_nothing(engine: OnnxEngine) -> None:
    prepared = engine.prepare(default_adapter(engine.bundle))
    said = engine.run(square_frame(engine.bundle, "red"), tone(engine.bundle, 0), prepared)
    assert not said.labels.any()
    assert not said.presence.any()


def test_each_adapter_input_changes_what_is_said(engine: OnnxEngine) -> None:
    bundle = engine.bundle
    middle = (bundle.manifest.frame.height_px // 2, bundle.manifest.frame.width_px // 2)
    frame, sound = square_frame(bundle, "red"), tone(bundle)
    assert engine.run(frame, sound, engine.prepare(red_green_swapped(bundle))).labels[middle] == GREEN
    picky = engine.prepare(adapter_with(bundle, {contract.THRESHOLDS: (0.5, 1.5)}))
    assert engine.run(frame, sound, picky).labels[middle] == LABEL_UNKNOWN
    deaf = engine.prepare(adapter_with(bundle, {contract.THRESHOLDS: (1.5, 0.5)}))
    assert engine.run(frame, sound, deaf).labels[middle] == LABEL_SILENT
    table = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)])
    turned = engine.prepare(adapter_with(bundle, {contract.CLASS_TABLE: table}))
    assert engine.run(frame, sound, turned).labels[middle] == BLUE


def test_prepared_adapters_keep_apart_and_a_swap_leaves_no_trace(engine: OnnxEngine) -> None:
    first = engine.prepare(default_adapter(engine.bundle))
    second = engine.prepare(red_green_swapped(engine.bundle))
    frame, sound = square_frame(engine.bundle, "red"), tone(engine.bundle)
    for _ in range(3):
        assert engine.run(frame, sound, first).labels.max() == RED
        assert engine.run(frame, sound, second).labels.max() == GREEN


def test_the_outputs_are_the_same_buffers_every_time(engine: OnnxEngine) -> None:
    first = engine.prepare(default_adapter(engine.bundle))
    second = engine.prepare(red_green_swapped(engine.bundle))
    frame, sound = square_frame(engine.bundle, "red"), tone(engine.bundle)
    one = engine.run(frame, sound, first).labels
    assert one.max() == RED
    engine.run(frame, sound, second)
    assert one.max() == GREEN


def test_a_value_that_is_not_a_number_is_an_error_and_the_next_window_is_whole(engine: OnnxEngine) -> None:
    frame, sound = square_frame(engine.bundle, "red"), tone(engine.bundle)
    with pytest.raises(EngineError, match="not numbers"):
        engine.run(frame, sound, engine.prepare(not_a_number(engine.bundle)))
    assert engine.run(frame, sound, engine.prepare(default_adapter(engine.bundle))).labels.max() == RED


def test_nan_in_the_sound_is_an_error_too(engine: OnnxEngine) -> None:
    sound = tone(engine.bundle)
    sound[3] = np.nan
    with pytest.raises(EngineError, match="not numbers"):
        engine.run(square_frame(engine.bundle, "red"), sound, engine.prepare(default_adapter(engine.bundle)))


def test_windows_of_a_wrong_shape_or_dtype_are_named(engine: OnnxEngine) -> None:
    prepared = engine.prepare(default_adapter(engine.bundle))
    frame, sound = square_frame(engine.bundle, "red"), tone(engine.bundle)
    with pytest.raises(EngineError, match=r"frame is uint8 \(32, 64, 3\), expected uint8 \(64, 64, 3\)"):
        engine.run(frame[:32], sound, prepared)
    with pytest.raises(EngineError, match=r"sound is float64"):
        engine.run(frame, sound.astype(np.float64), prepared)


def test_an_adapter_of_another_bundle_or_engine_is_refused(engine: OnnxEngine, tmp_path: Path) -> None:
    other = OnnxEngine(make_tiny_bundle(tmp_path / "other", thresholds=(0.3, 0.8)), threads=1)
    with pytest.raises(AdapterRejected, match="belongs to bundle"):
        engine.prepare(default_adapter(other.bundle))
    foreign = other.prepare(default_adapter(other.bundle))
    with pytest.raises(ValueError, match="another engine"):
        engine.run(square_frame(engine.bundle, "red"), tone(engine.bundle), foreign)


def test_a_closed_engine_says_so(engine: OnnxEngine) -> None:
    prepared = engine.prepare(default_adapter(engine.bundle))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(square_frame(engine.bundle, "red"), tone(engine.bundle), prepared)


def resealed(bundle: Bundle, tmp_path: Path, graph: bytes) -> Bundle:
    source = tmp_path / "source"
    source.mkdir()
    for file in bundle.root.iterdir():
        if file.name != MANIFEST_FILE:
            (source / file.name).write_bytes(file.read_bytes())
    (source / GRAPH_FILE).write_bytes(graph)
    fields = BundleFields(**{name: getattr(bundle.manifest, name) for name in BundleFields.model_fields})
    return seal_bundle(source, fields, tmp_path / "resealed")


def test_a_graph_that_is_not_what_the_manifest_says_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", height=32)
    bundle = resealed(tiny_bundle, tmp_path, other.graph_path.read_bytes())
    with pytest.raises(BundleRejected, match=r"frame uint8 \(1, 32, 64, 3\), the manifest says frame uint8 \(1, 64"):
        OnnxEngine(bundle, threads=1)


def test_a_graph_with_an_output_more_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    graph = onnx.load(str(tiny_bundle.graph_path))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("rms", onnx.TensorProto.FLOAT, []))
    with pytest.raises(BundleRejected, match="outputs have rms"):
        OnnxEngine(resealed(tiny_bundle, tmp_path, graph.SerializeToString()), threads=1)


def test_a_file_that_is_no_graph_is_an_engine_error_in_one_line(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot load") as caught:
        OnnxEngine(resealed(tiny_bundle, tmp_path, b"not a graph"), threads=1)
    assert "\n" not in str(caught.value)


def test_a_bundle_that_gives_nan_from_the_start_never_becomes_an_engine(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "one")
    graph = onnx.load(str(bundle.graph_path))
    for initializer in graph.graph.initializer:
        if initializer.name == "tiny":
            initializer.CopyFrom(onnx.numpy_helper.from_array(np.float32(0) * np.ones((), np.float32), "tiny"))
    with pytest.raises(EngineError, match="not numbers"):
        OnnxEngine(resealed(bundle, tmp_path, graph.SerializeToString()), threads=1)


def test_threads_must_be_at_least_one(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="threads"):
        OnnxEngine(tiny_bundle, threads=0)
    assert OnnxEngine(tiny_bundle).threads >= 1


def test_a_twin_has_buffers_of_its_own(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    twin = engine.twin()
    adapter = default_adapter(tiny_bundle)
    own, other = engine.prepare(adapter), twin.prepare(adapter)
    red = engine.run(square_frame(tiny_bundle, "red"), tone(tiny_bundle), own)
    green = twin.run(square_frame(tiny_bundle, "green"), tone(tiny_bundle), other)
    assert (red.labels.max(), green.labels.max()) == (RED, GREEN)
    with pytest.raises(ValueError, match="another engine"):
        twin.run(square_frame(tiny_bundle, "red"), tone(tiny_bundle), own)
