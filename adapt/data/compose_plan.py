"""What a composed data set shall be: one frozen object, written beside the data and read back equal."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cavs.adapt.data.cast import ClipWish
from cavs.adapt.data.clip_set import Layout
from cavs.adapt.data.ingredients import Ingredients, Split
from cavs.runtime.errors import ConfigError, DataRejected

Chance = Annotated[float, Field(ge=0, le=1)]
SOURCES: dict[Layout, tuple[float, ...]] = {"s4": (1.0,), "ms3": (0.2, 0.55, 0.25), "avss": (0.6, 0.3, 0.1)}
"""Weights of one, two, three sounding classes in a clip."""
OFFSCREEN: dict[Layout, float] = {"s4": 0.0, "ms3": 0.15, "avss": 0.15}
"""Chance of a class that is heard but not seen. S4 names one class per clip, so it has none."""
SHORT_S, LONG_S = 5, 10
"""Lengths of clips that the layouts know; AVSS alone has the long one."""


class ComposePlan(BaseModel):
    """Options of a data set; with the ingredients they decide every byte of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ingredients: tuple[str, ...] = Field(min_length=1)
    exclude: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    clips: int = Field(gt=0)
    seed: int = Field(ge=0)
    layout: Layout = "avss"
    split: Split = "train"
    seconds: int = SHORT_S
    size_px: int = Field(default=224, ge=32)
    mp4: bool = False
    cooccurrence: dict[str, dict[str, Chance]] | None = None
    sources: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """Weights of one, two, three ... sounding classes in a clip; None takes those of the layout."""

    @model_validator(mode="after")
    def _fits_layout(self) -> "ComposePlan":
        allowed = (SHORT_S, LONG_S) if self.layout == "avss" else (SHORT_S,)
        if self.seconds not in allowed:
            raise ValueError(f"{self.layout} holds clips of {' or '.join(map(str, allowed))} s, not {self.seconds} s")
        if self.sources is not None and not sum(self.sources):
            raise ValueError("sources need a weight above 0")
        if self.mp4 and self.size_px % 2:
            raise ValueError(f"a video needs an even size_px, not {self.size_px}")
        return self

    def wish(self) -> ClipWish:
        """What the composer is asked for."""
        return ClipWish(
            targets=self.classes,
            sources=SOURCES[self.layout] if self.sources is None else self.sources,
            offscreen=OFFSCREEN[self.layout],
            cooccurrence=self.cooccurrence,
        )


def make_plan(**options: object) -> ComposePlan:
    """A checked plan; ConfigError says in one line what cannot hold."""
    try:
        return ComposePlan.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {message}, got {str(first['input'])[:60]}" if where else message) from None


def read_cooccurrence(path: Path) -> dict[str, dict[str, float]]:
    """The matrix {class: {other class: chance}} from a JSON file."""
    try:
        matrix = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}; expected JSON such as {{"dog": {{"person": 0.8}}}}') from None
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error})") from None
    if not isinstance(matrix, dict) or not all(isinstance(row, dict) for row in matrix.values()):
        raise ConfigError(f"{path}: expected {{class: {{other class: chance}}}}")
    return matrix


def check_names(plan: ComposePlan, ingredients: Ingredients) -> None:
    """Refuses classes in the co-occurrence matrix that have no picture."""
    matrix = plan.cooccurrence or {}
    named = set(matrix) | {cls for row in matrix.values() for cls in row}
    unknown = sorted(named - set(ingredients.cutouts))
    if unknown:
        known = ", ".join(sorted(ingredients.cutouts))
        raise DataRejected(f"co-occurrence of {', '.join(unknown)}: no pictures in split {plan.split}; known: {known}")
