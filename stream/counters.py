"""How often each thing went wrong, by cause. The counts travel in every message and in the report."""

import threading
from collections.abc import Iterable


class Counters:
    """Named counts that only grow. Any thread may count; a cause that was declared is listed even while it is 0."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = dict.fromkeys(names, 0)

    def declare(self, *names: str) -> None:
        """Lists causes before they happen, so that a reader sees `0` and not a hole."""
        with self._lock:
            for name in names:
                self._counts.setdefault(name, 0)

    def count(self, name: str, times: int = 1) -> None:
        """Adds to a cause; `times` may be 0 but never negative."""
        if times < 0:
            raise ValueError(f"counter {name!r}: counts only grow, seen times={times}")
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + times

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._counts.get(name, 0)

    def to_dict(self) -> dict[str, int]:
        """A copy: every cause with its count, in the order in which they were declared or first happened."""
        with self._lock:
            return dict(self._counts)

    def __repr__(self) -> str:
        happened = ", ".join(f"{name}={times}" for name, times in self.to_dict().items() if times)
        return f"Counters({happened or 'nothing happened'})"
