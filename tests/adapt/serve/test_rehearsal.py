"""Which exemplars are rehearsed: all, and those of the class that the new one is taken for more often."""

from pathlib import Path

import numpy as np

from cavs.adapt.serve.exemplar_files import ExemplarFolder
from cavs.adapt.serve.rehearsal import draw_rehearsal
from cavs.runtime.bundle import Bundle
from tests.lessons import shown


def test_a_class_that_the_new_one_is_taken_for_is_rehearsed_more(tiny_bundle: Bundle, tmp_path: Path) -> None:
    memory = ExemplarFolder(tmp_path)
    colours = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0)}
    for name, colour in colours.items():
        for one in shown(tiny_bundle, name, colour, count=2):
            memory.add(one, 16_000)
    kept, new = memory.kept(), shown(tiny_bundle, "yellow", (1.0, 1.0, 0.0), count=4)
    rows = {"red": 0, "green": 1}
    takes_it_for_red = [np.where(one.marks[0][1], 2, 0).astype(np.uint8) for one in new]
    drawn = draw_rehearsal(kept, new, takes_it_for_red, rows, np.random.default_rng(0))
    of_red = {one.id for one in kept if one.record.names == ("red",)}
    assert set(drawn) == {one.id for one in kept}
    assert sum(number in of_red for number in drawn) == 2 + 4
    assert sum(number not in of_red for number in drawn) == 2
    says_unknown = [np.where(one.marks[0][1], 1, 0).astype(np.uint8) for one in new]
    assert len(draw_rehearsal(kept, new, says_unknown, rows, np.random.default_rng(0))) == 4
