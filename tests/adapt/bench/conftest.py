"""Data on disk and a network to start from, made once for all tests of the bench."""

from pathlib import Path

import pytest

from tests.bench_clips import write_avss, write_checkpoint


@pytest.fixture(scope="session")
def avss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_avss(tmp_path_factory.mktemp("avss"))


@pytest.fixture(scope="session")
def start_from(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("network") / "network.safetensors")
