"""What a run is told."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from cavs.adapt.bench.learning import Recipe
from cavs.adapt.bench.protocols import Scored

SHARED = {"protocol", "common", "batch", "weight_decay", "clip_norm", "head", "conditioning", "data", "network"}
"""What the shared start depends on, with the first rate and the seed."""


class RunPlan(BaseModel):
    """What a run was told. epochs: of the first task and of each later one; rates likewise.

    common:       epochs that all methods of a seed share, before the first task (`learning.start_together`); 0 for a network
                  that is trained already.
    head:         what learns behind the encoders: the network's own, or `lean_segmenter`.
    conditioning: False for the network without ATLAS's pre-fusion conditioning.
    scored:       split that scores are taken on; `val` while anything is still being chosen.
    kept_epoch:   of each task, the last or the one that is best on the validation clips of its own classes, as in CMR's code.
                  A task without such clips keeps the last. What a method measured on the way is not wound back.
    evaluate_every: batches of a stream between two evaluations.
    raw:          pictures and waves instead of cached features, for methods that change them.
    encoder_lora: LoRA pairs in the visual encoder learn too, as in ATLAS; needs raw.
    data:         the labelled folders. network: the checkpoint to start from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    method: str
    options: dict[str, JsonValue] = {}
    seed: int = 0
    common: int = Field(0, ge=0)
    epochs: tuple[int, int] = (10, 5)
    batch: int = Field(16, ge=1)
    rates: tuple[float, float] = (1e-3, 1e-3)
    weight_decay: float = Field(1e-2, ge=0)
    clip_norm: float = Field(5.0, gt=0)
    scored: Scored = "test"
    head: Literal["network", "lean"] = "network"
    conditioning: bool = True
    kept_epoch: Literal["last", "best"] = "last"
    evaluate_every: int = Field(10, ge=1)
    raw: bool = False
    encoder_lora: bool = False
    data: tuple[str, ...] = ()
    network: str = ""

    @model_validator(mode="after")
    def _only_raw_inputs_reach_encoders(self) -> "RunPlan":
        if self.encoder_lora and not self.raw:
            raise ValueError("encoder_lora needs raw: cached features come from encoders that stay as they are")
        if self.encoder_lora and self.common:
            raise ValueError("encoder_lora with common: the shared start is learned on encoders that stay as they are")
        return self

    def recipe(self, task: int) -> Recipe:
        later = min(task, 1)
        return Recipe(self.epochs[later], self.batch, self.rates[later], self.weight_decay, self.clip_norm)

    def common_file(self) -> str:
        """A name of the shared start that changes with whatever it depends on."""
        matters = self.model_dump_json(include=SHARED)
        return f"{hashlib.sha256(f'{matters} {self.rates[0]}'.encode()).hexdigest()[:16]}-{self.seed}.safetensors"
