"""What a benchmark is asked for and what it gives: numbers by arm, and the targets they are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Value = float | int | str | None
Arms = dict[str, dict[str, Value]]
"""Numbers of each arm of a benchmark: arm -> name with its unit -> value. An arm is a row of the table."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks of a benchmark.

    seconds: of measuring per arm and repeat; None: the benchmark's own.
    repeats: how often the arms take turns.
    scratch: a directory of this run, for clips, sockets and logs.
    exchanges: how often the model is exchanged in a stream, all repeats together.
    folded:  a graph with the default adapter folded in, to compare with adapters as inputs.
    inference: the Python of an environment with Roboflow's `inference`, for a further peer.
    """

    bundle: Path
    scratch: Path
    seconds: float | None = None
    repeats: int = 2
    threads: int = 2
    exchanges: int = 1000
    folded: Path | None = None
    inference: Path | None = None

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.threads < 1 or self.exchanges < 4 or (self.seconds is not None and self.seconds <= 0):
            raise ValueError(
                f"--seconds {self.seconds}, --repeats {self.repeats}, --threads {self.threads}: must be positive; "
                f"--exchanges {self.exchanges}: at least 4"
            )

    def seconds_or(self, default_s: float) -> float:
        return default_s if self.seconds is None else self.seconds


@dataclass(frozen=True, slots=True)
class Target:
    """A number that was promised, and the number that was measured."""

    claim: str
    seen: float | None
    limit: float
    unit: str
    sense: Literal["at most", "at least"] = "at most"

    @property
    def met(self) -> bool | None:
        """None if it was not measured."""
        if self.seen is None:
            return None
        return self.seen <= self.limit if self.sense == "at most" else self.seen >= self.limit

    def to_dict(self) -> dict[str, Value]:
        return {
            "claim": self.claim,
            "seen": self.seen,
            "sense": self.sense,
            "limit": self.limit,
            "unit": self.unit,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark: how it was set up, its arms, its targets, and what a reader must know to judge them."""

    config: Mapping[str, Value]
    numbers: Arms
    targets: Sequence[Target] = ()
    notes: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, object]:
        return {
            "config": dict(self.config),
            "numbers": self.numbers,
            "targets": [target.to_dict() for target in self.targets],
            "notes": list(self.notes),
        }
