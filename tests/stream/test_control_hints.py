"""Where somebody points: pixels and fractions, what is cut to the picture, and what cannot be meant."""

from typing import Any

import cv2
import numpy as np
import pytest

from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson import Hint
from cavs.stream.control_hints import check_mask, hint_of
from cavs.stream.control_requests import REQUESTS, Teach, read_request

SOURCE = (480, 640)


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


WHITE = png(np.full((4, 6), 255, np.uint8))


def teach(**fields: Any) -> Teach:
    request = read_request({"do": "teach", "name": "kettle", **fields})
    assert isinstance(request, Teach)
    return request


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({}, Hint()),
        ({"box": [64, 48, 320, 240]}, Hint(box=(0.1, 0.1, 0.5, 0.5))),
        ({"box": [-64, -48, 128, 96]}, Hint(box=(0.0, 0.0, 0.1, 0.1))),
        ({"box": [576, 432, 999, 999]}, Hint(box=(0.9, 0.9, 64 / 640, 48 / 480))),
        ({"box": [0.25, 0.5, 0.5, 0.25], "unit": "fraction"}, Hint(box=(0.25, 0.5, 0.5, 0.25))),
        ({"point": [320, 120]}, Hint(point=(0.5, 0.25))),
        ({"point": [0.5, 1], "unit": "fraction"}, Hint(point=(0.5, 1.0))),
        ({"mask": WHITE}, Hint(mask="mask.png")),
        ({"object": 7}, Hint(object=7)),
    ],
)
def test_a_hint_is_kept_in_fractions_of_the_picture(fields: dict[str, Any], hint: Hint) -> None:
    assert hint_of(teach(**fields), SOURCE) == hint


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"box": [10, 10, 0, 5]}, "box 10,10,0,5 is empty"),
        ({"box": [10, 10, 5, -5]}, "is empty"),
        ({"box": [640, 10, 5, 5]}, "lies outside of the picture of 640x480 pixels"),
        ({"box": [2, 0, 1, 1], "unit": "fraction"}, "outside of the picture, whose sides are 1"),
        ({"point": [641, 10]}, "point 641,10 lies outside"),
        ({"point": [-1, 10]}, "lies outside"),
        ({"mask": b"GIF89a"}, "no PNG"),
        ({"mask": WHITE[:40]}, "cannot be read"),
        ({"mask": png(np.zeros((4, 6), np.uint8))}, "nothing in it is white"),
    ],
)
def test_a_hint_where_nothing_can_lie_is_refused_in_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ControlRefused, match=says):
        hint_of(teach(**fields), SOURCE)


def test_a_huge_mask_is_refused_before_it_is_unpacked() -> None:
    wide = WHITE[:16] + (100_000).to_bytes(4, "big") + WHITE[20:]
    with pytest.raises(ControlRefused, match="100000x4 pixels, at most 8192"):
        check_mask(wide)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "one of teach, correct"),
        ({"do": 3}, "one of teach, correct"),
        ({"do": "format"}, "do 'format'"),
        ({"do": "teach"}, "name: Field required"),
        ({"do": "teach", "name": 3}, "name: Input should be a valid string"),
        ({"do": "teach", "name": "a", "nome": "b"}, "nome: Extra inputs"),
        ({"do": "teach", "name": "a", "seconds": 0}, "seconds: Input should be greater than 0"),
        ({"do": "teach", "name": "a", "seconds": float("nan")}, "seconds"),
        ({"do": "teach", "name": "a", "box": [1, 2, 3]}, "box"),
        ({"do": "teach", "name": "a", "box": [1, 2, 3, float("inf")]}, "finite number"),
        ({"do": "teach", "name": "a", "unit": "mm"}, "unit"),
        ({"do": "teach", "name": "a", "box": [1, 2, 3, 4], "object": 3}, "box and object given, one expected"),
        ({"do": "correct", "name": "a", "sounding": False}, "what does not sound has no name"),
        ({"do": "lesson", "lesson": "../current"}, "lesson: String should match"),
        ({"do": "recent", "seconds": 1.0, "most": 0}, "most"),
        ({"do": "say", "kind": "", "subject": "x"}, "kind"),
        ({"do": "say", "kind": "a", "subject": "x", "thumb": b"x" * 300_000}, "thumb"),
    ],
)
def test_a_request_that_is_none_is_refused_in_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ControlRefused, match=says) as refused:
        read_request(fields)
    assert "\n" not in str(refused.value)


def test_every_request_can_be_asked_with_what_it_needs() -> None:
    needs: dict[str, dict[str, Any]] = {
        "teach": {"name": "a"},
        "lesson": {"lesson": "20261121T153000-a1b2c3"},
        "decide": {"lesson": "20261121T153000-a1b2c3", "accept": True},
        "recent": {"seconds": 1},
        "say": {"kind": "unknown", "subject": "object 3"},
    }
    for do, kind in REQUESTS.items():
        assert isinstance(read_request({"do": do, **needs.get(do, {})}), kind)
