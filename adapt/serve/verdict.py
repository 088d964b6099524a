"""What the gate says of a candidate: every check with its numbers. `verdict.json`, and part of the lesson's outcome."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from cavs.runtime.manifest import Count, Record, Sha256

VERDICT_FILE = "verdict.json"

Numbers = dict[str, JsonValue]

CHECKS = ("digests", "finite", "parity", "anchors", "recalled", "lesson", "muted", "swapped", "latency", "shadow")
"""In this order; the first that fails ends the trial."""


class Check(Record):
    """One check. reason: why it failed, or why it could not be made (`skipped`), one line; empty if it passed."""

    name: str
    state: Literal["passed", "failed", "skipped"]
    reason: str = ""
    numbers: Numbers = Field(default_factory=dict)


class Verdict(Record):
    """The trial of one candidate. reason: the name and the reason of the check that failed; empty if it was accepted."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    lesson: str
    adapter: Sha256 | None
    """None if it could not be read."""
    parent: Sha256 | None
    bundle: Sha256
    accepted: bool
    reason: str = ""
    checks: tuple[Check, ...]
    wall_ns: Annotated[int, Field(ge=0)]
    windows: Count = 0
    """Windows that it was measured on."""

    @property
    def forgot(self) -> tuple[str, ...]:
        """Old classes that are down on the anchors by more than the tolerance."""
        names = next((one.numbers.get("forgot") for one in self.checks if one.name == "anchors"), None)
        return tuple(str(name) for name in names) if isinstance(names, list) else ()

    def numbers(self) -> Numbers:
        """As JSON, for the store and the lesson's outcome."""
        return self.model_dump(mode="json")


def iou_numbers(scores: Mapping[str, float]) -> Numbers:
    """Scores by class, rounded for a report."""
    return {name: round(score, 4) for name, score in scores.items()}


def passed(name: str, numbers: Numbers | None = None) -> Check:
    return Check(name=name, state="passed", numbers=numbers or {})


def failed(name: str, reason: str, numbers: Numbers | None = None) -> Check:
    return Check(name=name, state="failed", reason=reason, numbers=numbers or {})


def skipped(name: str, reason: str) -> Check:
    return Check(name=name, state="skipped", reason=reason)
