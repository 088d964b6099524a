"""The ONNX engine on a real graph."""


import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT
from cavs.runtime.onnx_engine import OnnxEngine
from tests.tiny_bundle import square_frame, tone


@pytest.fixture
def engine(tiny_bundle: Bundle) -> OnnxEngine:
    return OnnxEngine(tiny_bundle, threads=1)


def test_a_loud_bright_square_is_marked_with_its_class_and_nothing_else_is(engine: OnnxEngine) -> None:
    bundle = engine.bundle
    prepared = engine.prepare(default_adapter(bundle))
    for row, colour in enumerate(("red", "green", "blue")):
        frame = square_frame(bundle, colour)
        said = engine.run(frame, tone(bundle), prepared)
        lit = frame.any(axis=2)
        assert (said.labels[lit] == LABEL_FIRST_CLASS + row).all()
        assert (said.labels[~lit] == LABEL_SILENT).all()
        assert (said.confidence[lit] == 255).all()
        assert int(said.presence.argmax()) == row
