"""Two robots and the folder over which they share models."""

from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from tests.fleet import Robot, make_robot


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def learner(tmp_path: Path, share: Path, tiny_bundle: Bundle) -> Robot:
    """Has a version and has pushed nothing."""
    made = make_robot(tmp_path / "learner", f"file://{share}")
    made.learn(tiny_bundle)
    return made


@pytest.fixture
def robot(tmp_path: Path, learner: Robot) -> Robot:
    """Has nothing and trusts the learner."""
    return make_robot(tmp_path / "robot", learner.remote).trust(learner)
