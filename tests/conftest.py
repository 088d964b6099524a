"""Fixtures that several rooms share."""

from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from tests.tiny_bundle import make_tiny_bundle


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle with a 64x64 frame and 0.1 s of sound that knows red, green and blue. Read-only: shared by all."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def scratch_bundle(tmp_path: Path) -> Bundle:
    """A bundle of the test's own, to damage."""
    return make_tiny_bundle(tmp_path / "bundle")
