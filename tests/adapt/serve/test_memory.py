"""The rehearsal memory: bounded in bytes and days, shown, exported, forgotten."""

from dataclasses import replace
from pathlib import Path

import pytest

from cavs.adapt.serve.exemplar_files import FRAME_FILE
from cavs.adapt.serve.memory import CLOCK_SET_NS, NS_PER_DAY, Bounds, Memory
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import DataRejected
from tests.lessons import shown

RATE_HZ = 16_000
NOW_NS = CLOCK_SET_NS + 2000 * NS_PER_DAY
YELLOW, CYAN = (1.0, 1.0, 0.0), (0.0, 1.0, 1.0)


@pytest.fixture
def memory(tmp_path: Path, tiny_bundle: Bundle) -> Memory:
    """Four exemplars of yellow and two of cyan, of today."""
    memory = Memory(tmp_path / "memory")
    memory.keep(shown(tiny_bundle, "yellow", YELLOW, 4, NOW_NS), RATE_HZ, NOW_NS)
    memory.keep(shown(tiny_bundle, "cyan", CYAN, 2, NOW_NS), RATE_HZ, NOW_NS)
    return memory


def counts(memory: Memory) -> dict[str, int]:
    return {share.name: share.exemplars for share in memory.shares()}


def test_over_its_bytes_the_worst_of_the_largest_class_go_first(memory: Memory, tiny_bundle: Bundle) -> None:
    worst = [replace(one, score=0.1) for one in shown(tiny_bundle, "yellow", (0.9, 0.9, 0.0), 2, NOW_NS)]
    memory.keep(worst, RATE_HZ, NOW_NS)
    each = memory.size_bytes() // 8
    memory.bounds = Bounds(size_bytes=each * 6 + each // 2)
    memory.trim(NOW_NS)
    assert counts(memory) == {"yellow": 4, "cyan": 2}
    assert {one.record.score for one in memory.folder.kept()} == {1.0}
    memory.bounds = Bounds(size_bytes=each * 2 + each // 2)
    memory.trim(NOW_NS)
    assert counts(memory) == {"yellow": 1, "cyan": 1}
    assert memory.size_bytes() <= memory.bounds.size_bytes


def test_what_is_too_old_goes(memory: Memory, tiny_bundle: Bundle) -> None:
    memory.bounds = Bounds(days=30)
    memory.keep(shown(tiny_bundle, "old", (1.0, 0.0, 1.0), 2, NOW_NS - 31 * NS_PER_DAY), RATE_HZ, NOW_NS)
    assert counts(memory) == {"yellow": 4, "cyan": 2}


@pytest.mark.parametrize("stamp_ns", [0, CLOCK_SET_NS - 1, NOW_NS + 400 * NS_PER_DAY])
def test_a_stamp_of_a_clock_that_was_wrong_makes_nothing_old(memory: Memory, tiny_bundle: Bundle, stamp_ns: int) -> None:
    memory.keep(shown(tiny_bundle, "odd", (1.0, 0.0, 1.0), 1, stamp_ns), RATE_HZ, NOW_NS)
    assert counts(memory)["odd"] == 1


def test_forgetting_a_class_removes_all_in_which_it_sounds(memory: Memory) -> None:
    assert memory.forget("yellow") == 4
    assert counts(memory) == {"cyan": 2}


def test_forgetting_a_class_removes_the_pauses_of_its_lessons(memory: Memory, tiny_bundle: Bundle) -> None:
    pauses = [replace(one, marks=()) for one in shown(tiny_bundle, "yellow", (0.8, 0.8, 0.1), 2, NOW_NS)]
    other = [replace(one, source="another lesson") for one in pauses[:1]]
    memory.keep([*pauses, *other], RATE_HZ, NOW_NS)
    assert memory.forget("yellow") == 6
    assert counts(memory) == {"(nothing)": 1, "cyan": 2}


def test_an_export_is_a_copy_that_opens_as_a_memory(memory: Memory, tmp_path: Path) -> None:
    assert memory.export(tmp_path / "out", ["cyan"]) == 2
    assert counts(Memory(tmp_path / "out")) == {"cyan": 2}
    with pytest.raises(DataRejected, match="exists"):
        memory.export(tmp_path / "out")


def test_only_what_fits_the_windows_is_read(memory: Memory) -> None:
    kept = memory.folder.kept()
    assert len(memory.read(kept, (64, 64), 1600)) == 6
    assert memory.read(kept, (64, 64), 3200) == {}


def test_a_damaged_exemplar_is_left_out_and_named(memory: Memory) -> None:
    kept = memory.folder.kept()
    (kept[0].path / FRAME_FILE).write_bytes(b"x")
    assert len(memory.read(kept, (64, 64), 1600)) == 5
    assert [kept[0].id in line for line in memory.damaged_files()] == [True]
