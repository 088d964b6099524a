"""What the learner process is told, as one frozen, checked object."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from cavs.adapt.serve.asking import AskLimits
from cavs.adapt.serve.ground import GateLimits
from cavs.adapt.serve.probation import ProbationLimits
from cavs.adapt.serve.yielding import YieldLimits


class ServeOptions(BaseModel):
    """Settings of a learner. What it prints loads back equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: GateLimits = GateLimits()
    probation: ProbationLimits = ProbationLimits()
    give_way: YieldLimits = YieldLimits()
    ask: AskLimits = AskLimits()
    ask_names: bool = True
    memory_mib: float = Field(default=256.0, gt=0)
    memory_days: float = Field(default=365.0, gt=0)
    anchors: Path | None = None
    """A folder of the user's labelled clips, beside the learner's own anchors."""

    slice_s: float = Field(default=0.3, gt=0)
    """Training between two looks at the stream."""
    keep_s: float = Field(default=4.0, gt=0)
    """Training that a kill may cost."""
    least_windows: int = Field(default=4, ge=2)
    """Windows that a lesson must keep."""
    held_share: float = Field(default=0.25, gt=0, lt=1)
    """Of the windows of a lesson, the newest, that are held out for the gate."""
    live_seconds: float = Field(default=20.0, gt=0)
    live_windows: int = Field(default=40, ge=1)
    """Windows of the stream's last seconds for the shadow run."""
    consolidate_after: int = Field(default=12, ge=0)
    """Versions on one bundle, from which on an idle learner folds them into a new one; 0: only when there is no room."""
    idle_s: float = Field(default=60.0, ge=0)
    """Without a lesson for so long it counts as idle."""
    seed: int = Field(default=0, ge=0)
