"""One graph for all tests that only read it: tracing takes a second."""

from pathlib import Path

import pytest

from cavs.export.onnx_graph import write_graph
from tests.small_network import small_network


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `small_network()`, float32. Read-only."""
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    write_graph(small_network(), path)
    return path
