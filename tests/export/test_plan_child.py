"""What the building process asks of the real builder of TensorRT for RTX, as far as that needs no GPU."""

from pathlib import Path

import onnx
import pytest

from cavs.export.fold import without_lora
from cavs.export.plan_child import Order, parsed
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import EngineError
from cavs.runtime.tensorrt_versions import load_library, make_logger
from tests.export.test_plan_command import needs_builder


def order(graph: Path, tmp_path: Path, **changes: object) -> Order:
    plain = {"sm": ("86",), "refittable": (), "workspace_mib": 64, "timing_cache": None}
    return Order(target="rtx", graph=str(graph), plan=str(tmp_path / "plan"), **{**plain, **changes})  # type: ignore[arg-type]


def test_an_order_reads_back_equal(tmp_path: Path) -> None:
    one = order(tmp_path / "graph.onnx", tmp_path, refittable=("a", "b"))
    assert Order.from_json(one.to_json()) == one


@needs_builder
def test_every_weight_of_a_refit_graph_is_known_to_the_real_parser(small_bundle: Bundle, tmp_path: Path) -> None:
    folded = without_lora(onnx.load(small_bundle.graph_path), small_bundle.manifest.adapter)
    onnx.save(folded.model, tmp_path / "graph.onnx")
    library = load_library("rtx")
    logger = make_logger(library)
    builder = library.module.Builder(logger)
    names = tuple(weight.name for weight in folded.weights)
    network = parsed(library, builder, logger, order(tmp_path / "graph.onnx", tmp_path, refittable=names))
    assert all(network.are_weights_marked_refittable(name) for name in names)


@needs_builder
def test_a_graph_that_the_parser_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    """uint8 cannot be transposed before it is cast: what the exporter has to know."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Transpose", ["frame"], ["turned"], perm=[0, 2, 1])],
        "wrong",
        [value("frame", onnx.TensorProto.UINT8, (1, 2, 3))],
        [value("turned", onnx.TensorProto.UINT8, (1, 3, 2))],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "graph.onnx")
    library = load_library("rtx")
    logger = make_logger(library)
    with pytest.raises(EngineError, match=r"the ONNX parser of rtx 1\.7.* refuses the graph: .*U(INT|Int)8"):
        parsed(library, library.module.Builder(logger), logger, order(tmp_path / "graph.onnx", tmp_path))
