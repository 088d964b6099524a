"""Fixtures that several rooms share, and the markers that skip by themselves."""

from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from tests.tiny_bundle import make_tiny_bundle

NVIDIA_DEVICE = Path("/dev/nvidiactl")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        "slow": None if config.getoption("--slow") else "minutes rather than seconds: run with --slow",
        "gpu": None if NVIDIA_DEVICE.exists() else f"needs a CUDA device: {NVIDIA_DEVICE} is not there",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle with a 64x64 frame and 0.1 s of sound that knows red, green and blue. Read-only: shared by all."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def scratch_bundle(tmp_path: Path) -> Bundle:
    """A bundle of the test's own, to damage."""
    return make_tiny_bundle(tmp_path / "bundle")
