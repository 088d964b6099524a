"""Plans: checked once, written and read back equal."""

import json
from pathlib import Path

import pytest

from cavs.adapt.data.compose_plan import ComposePlan, make_plan, read_cooccurrence
from cavs.runtime.errors import ConfigError

LEAST = {"ingredients": ("a",), "clips": 1, "seed": 0}


def test_a_plan_written_is_read_back_equal() -> None:
    plan = make_plan(**LEAST, classes=("dog", "cat"), cooccurrence={"dog": {"cat": 0.5}}, layout="ms3", mp4=True)
    assert ComposePlan.model_validate_json(plan.model_dump_json()) == plan


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"clips": 0}, "clips: .*greater than 0, got 0"),
        ({"seed": -1}, "seed: .*got -1"),
        ({"layout": "coco"}, "layout: .*'s4', 'ms3' or 'avss'"),
        ({"layout": "s4", "seconds": 10}, "s4 holds clips of 5 s, not 10 s"),
        ({"seconds": 7}, "avss holds clips of 5 or 10 s, not 7 s"),
        ({"mp4": True, "size_px": 225}, "even size_px, not 225"),
        ({"cooccurrence": {"dog": {"cat": 1.5}}}, r"cooccurrence\.dog\.cat: .*less than or equal to 1"),
        ({"sources": (0.0, 0.0)}, "sources need a weight above 0"),
        ({"sources": (-1.0,)}, r"sources\.0: .*greater than or equal to 0"),
        ({"colour": "red"}, "colour: Extra inputs"),
    ],
)
def test_what_cannot_hold_is_said_in_one_line(option: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_plan(**{**LEAST, **option})
    assert "\n" not in str(caught.value)


def test_how_many_classes_sound_at_once_may_be_asked_for() -> None:
    assert make_plan(**LEAST, sources=(0, 0.8, 0.2)).wish().sources == (0, 0.8, 0.2)


def test_s4_has_one_source_and_nothing_off_screen() -> None:
    wish = make_plan(**LEAST, layout="s4", classes=("dog",)).wish()
    assert wish.sources == (1.0,)
    assert wish.offscreen == 0.0
    assert wish.targets == ("dog",)


def test_a_matrix_is_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps({"dog": {"person": 0.8}}))
    assert read_cooccurrence(path) == {"dog": {"person": 0.8}}


@pytest.mark.parametrize(
    ("text", "says"), [(None, "No such file"), ("{", "not JSON"), ("[1]", "expected {class"), ('{"a": 1}', "expected {class")]
)
def test_a_matrix_of_another_form_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "pairs.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_cooccurrence(path)
