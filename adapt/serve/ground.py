"""What a candidate is tried on, and what it may do at worst."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.trial import Contender
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine
from cavs.runtime.lesson_windows import Windows


class GateLimits(BaseModel):
    """What a candidate may do at worst. Shares are of 1; a drop is the incumbent's score minus the candidate's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_drop: float = Field(default=0.05, ge=0, le=1)
    """IoU that one old class may lose on its anchors."""
    mean_drop: float = Field(default=0.02, ge=0, le=1)
    """IoU that the old classes may lose on average."""
    recalled_drop: float = Field(default=0.15, ge=0, le=1)
    """Share of the drawn pixels, or of the drawn sounds, of a class without pictures that may lose its name."""
    lesson_iou: float = Field(default=0.4, ge=0, le=1)
    """IoU of a class of the lesson on the windows of the lesson that were held out."""
    muted_mass: float = Field(default=0.005, ge=0, le=1)
    """Share of the picture that may be marked without any sound, on average."""
    swapped_share: float = Field(default=0.15, ge=0, le=1)
    """Share of an object that may be marked while only another class sounds, on average ..."""
    swapped_worse: float = Field(default=0.05, ge=0, le=1)
    """... or so much more than the incumbent marks."""
    labels_equal: float = Field(default=0.995, ge=0, le=1)
    """Share of pixels on which torch and the engine must agree."""
    latency_ratio: float = Field(default=1.25, ge=1)
    """p99 of the engine with the candidate, over that with the incumbent."""
    agreement: float = Field(default=0.7, ge=0, le=1)
    """Share of the live pixels of old classes that the candidate must name the same, or by the lesson."""
    full_mass: float = Field(default=0.9, ge=0, le=1)
    """Share of the live pictures that may be marked on average; more is no longer an answer to where."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a candidate is tried on.

    lesson:    id of the lesson. names: the classes that it teaches. forgotten: the class that it removes.
    parent:    id of the adapter that the candidate must descend from. rows: row of each class that it must keep.
    incumbent: the model that is current. engine: of `bundle`, the candidate's.
    anchors:   labelled windows that nothing was trained on. held_out: those of the lesson.
    live:      what the stream saw just now; None where it cannot be asked, `why_not_live` says why.
    """

    lesson: str
    names: tuple[str, ...]
    forgotten: str | None
    parent: str
    rows: dict[str, int]
    bundle: Bundle
    engine: Engine
    incumbent: Contender
    anchors: tuple[Exemplar, ...]
    held_out: tuple[Exemplar, ...]
    live: Windows | None
    why_not_live: str = ""
