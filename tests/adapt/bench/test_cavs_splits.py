"""The splits of CAVS: classes, orders, and on the authors' metadata the counts of training clips that they imply."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from cavs.adapt.bench.cavs_splits import SCENARIOS, SPLITS, cavs_protocol, class_steps
from cavs.adapt.bench.protocols import Scenario, check_clips
from cavs.adapt.data.metadata import read_avss_rows
from cavs.adapt.data.palette import AVSS_CLASSES

ENVIRONMENT = "CAVS_CMR_METADATA"
TRAIN_CLIPS = {
    "ci": {
        "60-10": ([7392, 1764], [6708, 1764]),
        "60-10a": ([7191, 2539], [5933, 2539]),
        "60-5": ([7392, 425, 1363], [6708, 401, 1363]),
        "60-5a": ([7191, 2300, 351], [5933, 2188, 351]),
        "65-s1": ([8379, 94, 72, 73, 70, 64], [8121, 86, 72, 59, 70, 64]),
    },
    "cis": {
        "60-10": ([5615, 1039],) * 2,
        "60-10a": ([5503, 1151],) * 2,
        "60-5": ([5615, 250, 789],) * 2,
        "60-5a": ([5503, 1065, 86],) * 2,
        "65-s1": ([6392, 13, 16, 20, 191, 22],) * 2,
    },
    "cim": {
        "60-10": ([1777, 725], [1093, 725]),
        "60-10a": ([1688, 1388], [430, 1388]),
        "60-5": ([1777, 175, 574], [1093, 151, 574]),
        "60-5a": ([1688, 1235, 265], [430, 1123, 265]),
        "65-s1": ([1811, 81, 56, 53, 55, 42], [1553, 73, 56, 39, 55, 42]),
    },
}
"""Overlapped, disjoint."""
VAL_TEST_60_10 = {
    "ci": [(1123, 1311), (233, 362)],
    "cis": [(958, 1037), (173, 237)],
    "cim": [(165, 274), (60, 125)],
}


@dataclass(frozen=True)
class Listed:
    split: str
    sounding: tuple[str, ...]


@lru_cache(maxsize=1)
def listed_clips() -> tuple[Listed, ...]:
    """Both lists of the release together: every clip of AVSS is in exactly one."""
    folder = os.environ.get(ENVIRONMENT)
    if not folder:
        pytest.skip(f"set {ENVIRONMENT} to a folder with metav2s.csv and metav2m.csv of CMR's release")
    rows = [row for name in ("metav2s.csv", "metav2m.csv") for row in read_avss_rows(Path(folder) / name)]
    return tuple(Listed(row.split, row.sounding) for row in rows)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_split_learns_each_of_the_70_classes_once(scenario: Scenario, split: str) -> None:
    assert sorted(cls for step in class_steps(scenario, split) for cls in step) == list(range(1, 71))


def test_tasks_have_the_sizes_of_their_names() -> None:
    sizes = {split: [len(step) for step in class_steps("ci", split)] for split in SPLITS}
    singles = [65, 1, 1, 1, 1, 1]
    assert sizes == {
        "60-10": [60, 10], "60-10a": [60, 10], "60-5": [60, 5, 5], "60-5a": [60, 5, 5], "65-s1": singles, "65-ss": singles,
    }  # fmt: skip


def test_the_last_classes_of_the_a_order_are_people_and_instruments() -> None:
    last = cavs_protocol("ci", "60-10a").tasks[1].classes
    expected = "man woman violin cello girl accordion bassoon trumpet boy tuba"
    assert last == tuple(expected.split())


def test_cis_learns_bird_where_the_others_learn_boy() -> None:
    assert AVSS_CLASSES[class_steps("cis", "65-s1")[4][0]] == "bird"
    assert AVSS_CLASSES[class_steps("cim", "65-s1")[4][0]] == "boy"


def test_an_unknown_split_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="60-10, 60-10a"):
        class_steps("ci", "50-50")


def test_the_lists_hold_the_clips_that_the_release_counts() -> None:
    clips = listed_clips()
    count = {split: sum(clip.split == split for clip in clips) for split in ("train", "val", "test")}
    assert count == {"train": 8498, "val": 1304, "test": 1554}
    single = [clip for clip in clips if cavs_protocol("cis", "60-10").in_scenario(clip)]
    assert [sum(clip.split == split for clip in single) for split in ("train", "val", "test")] == [6680, 1133, 1278]


@pytest.mark.parametrize("split", ["60-10", "60-10a", "60-5", "60-5a", "65-s1"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_counts_of_training_clips_come_out(scenario: Scenario, split: str) -> None:
    clips = listed_clips()
    overlapped, disjoint = TRAIN_CLIPS[scenario][split]
    for setting, expected in (("overlapped", overlapped), ("disjoint", disjoint), ("sequential", disjoint)):
        protocol = cavs_protocol(scenario, split, setting)  # type: ignore[arg-type]
        assert [len(protocol.train_clips(clips, task)) for task in range(len(protocol.tasks))] == expected


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_counts_of_val_and_test_clips_come_out(scenario: Scenario) -> None:
    clips, protocol = listed_clips(), cavs_protocol(scenario, "60-10")
    found = [(len(protocol.clips_with(clips, task, "val")), len(protocol.clips_with(clips, task, "test"))) for task in (0, 1)]
    assert found == VAL_TEST_60_10[scenario]


def test_cis_65_ss_has_a_task_without_test_clips() -> None:
    clips, protocol = listed_clips(), cavs_protocol("cis", "65-ss")
    assert len(protocol.train_clips(clips, 1)) == 40
    assert [len(protocol.clips_with(clips, 1, split)) for split in ("val", "test")] == [1, 0]
    assert check_clips(protocol, clips) == ["task 1: no test clip of its classes: no score of its own"]


def test_five_classes_of_cim_have_no_training_clip() -> None:
    (line,) = check_clips(cavs_protocol("cim", "60-10"), listed_clips())
    assert line == ("task 0: no training clip of bus, helicopter, leopard, missile-rocket, squirrel: they cannot be learned")
