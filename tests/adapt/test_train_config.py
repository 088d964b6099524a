"""Settings of a training run: what they print loads back equal, what is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cavs.adapt.train_config import TrainConfig, parse_config, read_config
from cavs.runtime.errors import ConfigError


def test_a_config_that_is_printed_loads_back_equal(small_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = small_config(exclude=["nc/*"], emphasis={"drone": 2.0})
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    assert read_config(file) == config


def test_an_unknown_key_is_refused_with_the_keys_there_are() -> None:
    with pytest.raises(ConfigError, match=r"settings: unknown key optimiser\.speed; known here: audio_rate, .*head_rate"):
        parse_config({"classes": ["a"], "optimiser": {"speed": 1}}, "settings")


def test_a_value_that_cannot_hold_is_shown() -> None:
    with pytest.raises(ConfigError, match=r"steps: .*greater than or equal to 1, seen 0"):
        parse_config({"classes": ["a"], "steps": 0}, "settings")


def test_a_class_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="named twice among classes and distractors: dog"):
        parse_config({"classes": ["dog"], "distractors": ["dog"]}, "settings")


def test_shares_of_what_is_heard_must_fit_into_one() -> None:
    with pytest.raises(ConfigError, match="is above 1"):
        parse_config({"classes": ["a"], "pairing": {"one_visible": 0.9, "two_visible": 0.9}}, "settings")


def test_a_file_that_is_no_json_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"classes": ["a"]})[:-1])
    with pytest.raises(ConfigError, match=r"config\.json: cannot be read as JSON"):
        read_config(file)
