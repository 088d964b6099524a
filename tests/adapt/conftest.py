"""Small sets of ingredients, made once: composing never changes them."""

from pathlib import Path

import pytest

from cavs.adapt.data.ingredients import Ingredients
from tests.ingredient_folder import few_ingredients, write_ingredient_folder


@pytest.fixture(scope="session")
def few() -> Ingredients:
    """Three cut-outs and recordings of every drawn class, three places, two scenes."""
    return few_ingredients("train")


@pytest.fixture(scope="session")
def ingredient_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on disk, with a smaller val split. Read-only: shared by all."""
    return write_ingredient_folder(tmp_path_factory.mktemp("ingredients"))
