"""What is done with an answer before it is shown."""

import numpy as np
import pytest

from cavs.runtime.engine import heard_labels

LABELS = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)


@pytest.mark.parametrize(("presence", "named"), [((0.1, 0.5), True), ((0.1, 0.4), True), ((0.1, 0.3), False), ((), False)])
def test_nothing_is_marked_by_name_while_no_class_is_heard(presence: tuple[float, ...], named: bool) -> None:
    before = LABELS.copy()
    shown = heard_labels(LABELS, np.array(presence, np.float32), np.float32(0.4).item())
    assert np.array_equal(shown, LABELS if named else [[0, 1, 0], [0, 0, 1]])
    assert shown.dtype == np.uint8
    assert np.array_equal(LABELS, before)


def test_asking_for_nothing_leaves_the_labels_as_they_are() -> None:
    assert heard_labels(LABELS, np.zeros(4, np.float32), 0.0) is LABELS
