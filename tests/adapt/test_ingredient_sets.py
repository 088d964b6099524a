"""Folders of ingredients and the generated set as one split."""

import pytest

from cavs.adapt.ingredient_sets import load_sets
from cavs.runtime.errors import DataRejected


def test_the_generated_set_comes_in_the_size_asked_for_without_what_must_not_be_heard() -> None:
    loaded = load_sets(["procedural:1"], "val", unheard=["drone"])
    assert len(loaded.cutouts["drone"]) == 1
    assert "drone" not in loaded.recordings
    assert "kettle" in loaded.recordings


@pytest.mark.parametrize("path", ["procedural:", "procedural:0", "procedural:some"])
def test_a_size_that_is_no_number_is_refused(path: str) -> None:
    with pytest.raises(DataRejected, match=f"ingredients {path}: expected procedural or procedural:N"):
        load_sets([path], "val")
