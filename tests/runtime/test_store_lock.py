"""The writer's lock."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.runtime.errors import StoreError
from cavs.runtime.store_lock import writing


def test_it_is_free_again_after_a_failure_inside(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "lock", ManualClock(), 0):
        _ = 1 // 0
    with writing(tmp_path / "lock", ManualClock(), 0):
        pass


def test_a_second_holder_is_refused_without_waiting_if_told_so(tmp_path: Path) -> None:
    clock = ManualClock()
    with writing(tmp_path / "lock", clock, 0):
        with pytest.raises(StoreError, match="being written by process"), writing(tmp_path / "lock", clock, 0):
            pytest.fail("two writers")
        assert clock.now_ns() == 0


class LettingGo(ManualClock):
    """A clock in whose third sleep the first holder lets go."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps = 0
        self.let_go: Callable[[], object] = int

    def sleep_ns(self, duration_ns: int) -> None:
        super().sleep_ns(duration_ns)
        self.sleeps += 1
        if self.sleeps == 3:
            self.let_go()


def test_it_is_taken_as_soon_as_it_is_free(tmp_path: Path) -> None:
    clock = LettingGo()
    first = ExitStack()
    first.enter_context(writing(tmp_path / "lock", clock, 0))
    clock.let_go = first.close
    with writing(tmp_path / "lock", clock, NS_PER_S):
        assert clock.sleeps == 3
