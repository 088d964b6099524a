"""How well a class is recalled: a record that is read without torch, too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recalled:
    """Of one class: the share of what shows it that is named so, and of what lets hear it in which it is heard."""

    seen: float
    heard: float
