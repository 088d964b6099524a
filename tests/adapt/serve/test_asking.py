"""Asking for a name: when something stays unknown, once for each thing, also after a restart."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cavs.adapt.serve.asking import Asked, AskLimits, Persisting, thumbnail
from tests.adapt.serve.heard import masks

LIMITS = AskLimits(seconds=2.0, gap_s=0.5, same=0.9, most=3)


def test_what_stays_unknown_is_noticed_once() -> None:
    persisting = Persisting(LIMITS)
    noticed = [seq for seq in range(60) if persisting.hear(masks(seq, row=None)) is not None]
    assert noticed == [20]


def test_a_gap_a_name_or_a_small_area_begins_again() -> None:
    for change in ({"area": 0}, {"row": 3}, {"area": 10}):
        persisting = Persisting(LIMITS)
        for seq in range(40):
            odd = change if 12 <= seq < 19 else {"row": None}
            assert persisting.hear(masks(seq, **{"row": None, **odd})) is None or seq >= 32, change  # type: ignore[arg-type]


def test_a_stream_that_began_again_is_a_new_time_line() -> None:
    persisting = Persisting(LIMITS)
    for seq in (*range(100, 115), *range(15)):
        assert persisting.hear(masks(seq, row=None)) is None


def test_a_thing_like_one_asked_for_is_known_also_after_a_restart(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "asked", LIMITS)
    kettle = np.array([1.0, 0.0, 0.0], np.float32)
    assert not asked.knows(kettle)
    asked.note(kettle, "s", b"jpeg", 1)
    again = Asked(tmp_path / "asked", LIMITS)
    assert again.knows(np.array([0.98, 0.199, 0.0], np.float32))
    assert not again.knows(np.array([0.7, 0.714, 0.0], np.float32))
    assert not again.knows(np.zeros(5, np.float32))  # of a bundle with another width


def test_the_oldest_question_is_forgotten_first(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "asked", LIMITS)
    things = np.eye(4, dtype=np.float32)
    for thing in things:
        asked.note(thing, "s", b"jpeg", 1)
    for known in (asked, Asked(tmp_path / "asked", LIMITS)):
        assert [known.knows(thing) for thing in things] == [False, True, True, True]
    asked.clear()
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("box", [(10, 20, 30, 40), (0, 0, 100, 100), (98, 98, 2, 2)])
def test_a_thumbnail_shows_the_box(box: tuple[int, int, int, int]) -> None:
    frame = np.zeros((400, 800, 3), np.uint8)
    x, y, w, h = box
    frame[4 * y : 4 * (y + h), 8 * x : 8 * (x + w)] = (255, 0, 0)
    picture = cv2.imdecode(np.frombuffer(thumbnail(frame, box, (100, 100)), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert max(picture.shape[:2]) <= 160
    assert np.asarray(picture)[picture.shape[0] // 2, picture.shape[1] // 2, 2] > 200
