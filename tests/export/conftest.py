"""One graph for all tests that only read it: tracing takes a second."""

from pathlib import Path

import pytest

from cavs.export.onnx_bundle import write_bundle
from cavs.export.onnx_graph import write_graph
from cavs.runtime.bundle import Bundle
from tests.export.test_parity import windows
from tests.small_network import small_network


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `small_network()`, float32. Read-only."""
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    write_graph(small_network(), path)
    return path


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of `small_network()`, float32. Read-only: copy it to add a plan."""
    return write_bundle(small_network(), tmp_path_factory.mktemp("small") / "bundle", windows(1))
