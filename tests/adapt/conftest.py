"""Small things to compose from, train and score on: drawn objects, synthesised sounds, a network of little width."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.procedural import CLASSES, procedural_ingredients
from cavs.adapt.train_config import TrainConfig
from tests.ingredient_folder import few_ingredients, write_ingredient_folder

SMALL_FORM = {
    "frame_height_px": 64, "frame_width_px": 64, "sound_samples": 16_000, "class_capacity": 8, "stride4": 8, "stride8": 8,
    "stride16": 8, "stride32": 8, "token_width": 16, "token_layers": 1, "embedding_width": 8,
}  # fmt: skip


@pytest.fixture(scope="session")
def drawn() -> Ingredients:
    """The train split of a small generated set."""
    return procedural_ingredients("train", per_class=2, sounds_per_class=2, places=2)


@pytest.fixture(scope="session")
def few() -> Ingredients:
    """Three cut-outs and recordings of every drawn class, three places, two scenes with instances."""
    return few_ingredients("train")


@pytest.fixture(scope="session")
def ingredient_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on disk, with a smaller val split. Read-only: shared by all."""
    return write_ingredient_folder(tmp_path_factory.mktemp("ingredients"))


@pytest.fixture
def small_config() -> Callable[..., TrainConfig]:
    """Makes settings of a run of seconds, changed by keywords."""

    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "ingredients": ["procedural:2"],
            "classes": CLASSES,
            "network": SMALL_FORM,
            "steps": 3,
            "device": "cpu",
            "threads": 1,
            "loaders": 0,
            "keep_every": 2,
            "score_every": 100,
            "score_scenes": 2,
            "pairing": {"scenes": 2, "quiet_sounds": 1},
        }
        return TrainConfig.model_validate(values | changes)

    return make
