"""Everything a training run is told, as one frozen object that prints and loads back equal."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cavs.runtime.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PairingConfig(_Frozen):
    """How scenes meet sounds. Each scene is paired with several, so only the sound can tell what to mark.

    The three visible shares and their complement choose what a scene's own sounds hold: one visible class, two visible,
    a visible one mixed with one off screen, else only classes off screen.
    """

    scenes: Count = 8  # per step and process
    own_sounds: Count = 2  # composed for each scene
    borrowed_sounds: Annotated[int, Field(ge=0)] = 1  # of other scenes in the step, labelled by what this scene shows
    quiet_sounds: Annotated[int, Field(ge=0)] = 3  # per step: silence, ambience, other things; each scene gets one of them
    one_visible: Share = 0.52
    two_visible: Share = 0.24
    visible_and_offscreen: Share = 0.20
    real_scenes: Share = 0.3  # chance of composing inside a photograph whose own objects are outlined
    duplicates: Share = 0.15  # chance of a second object of a class
    weakest: Share = 0.4  # the augmentation of a picture has a strength drawn between this ...
    strongest: Share = 1.0  # ... and this
    stopped: Share = 0.2  # of the sources heard in a window stopped too long ago to sound now

    @model_validator(mode="after")
    def _shares_fit(self) -> "PairingConfig":
        if self.one_visible + self.two_visible + self.visible_and_offscreen > 1:
            raise ValueError(
                "one_visible + two_visible + visible_and_offscreen is above 1; what is left to 1 is off screen only"
            )
        return self


class LossConfig(_Frozen):
    """Weights of the terms, see losses.py."""

    sounding: Positive = 1.0
    dice: Positive = 1.0
    classes: Positive = 0.5
    named: Annotated[float, Field(ge=0)] = 0.2
    presence: Positive = 1.2
    small_object_area: Share = 0.08  # share of the frame below which a sounding object's pixels weigh more
    small_object_most: Annotated[float, Field(ge=1)] = 4.0
    hidden_distractors: Share = 0.5  # of the steps, in which the rows of `distractors` are hidden: they are not shipped
    hidden_class: Share = 0.1  # of the steps, in which one visible class is hidden from the table: it must be `unknown`


class OptimiserConfig(_Frozen):
    """AdamW, one cycle; the pretrained encoders move slower than what starts from nothing."""

    head_rate: Positive = 2e-3
    visual_rate: Positive = 3e-4
    audio_rate: Positive = 2e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_share: Share = 0.06
    clip_norm: Positive = 5.0
    average_decay: Share = 0.999  # of the running mean of the weights, which is what is scored and shipped
    thaw_every: Count = 4  # the audio encoder and the first visual stages learn only every n-th step: they cost a third of it


class TrainConfig(_Frozen):
    """One training run. Lists of glob patterns are matched against an ingredient's path inside its folder."""

    ingredients: tuple[str, ...] = ()  # folders with a manifest; "procedural" is the generated set
    exclude: tuple[str, ...] = ()
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=128)]
    distractors: tuple[str, ...] = ()  # classes that may be seen but never sound; rows of the table in training only
    unheard: tuple[str, ...] = ()  # recordings left out: off screen they would contradict a class (a sneeze is a person)
    emphasis: dict[str, Positive] = {}  # how much more often than others a class is drawn
    network: dict[str, JsonValue] = {}  # what differs from the default form, see model/config.py
    visual_weights: str | None = None  # pretrained encoders to start from
    audio_weights: str | None = None
    start: str | None = None  # or a checkpoint; rows of classes that it knows are taken over
    steps: Count = 20_000
    seed: int = 0
    mute: bool = False  # train without ears: the visual-only ablation
    precision: Literal["float32", "bfloat16"] = "float32"  # float16 would overflow in the power of the spectrum
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0  # of torch on a CPU; 0 keeps torch's own choice
    loaders: Annotated[int, Field(ge=0)] = 1  # processes that compose ahead; 0 composes in the training process
    keep_every: Count = 250  # steps between checkpoints
    score_every: Count = 1000  # steps between scores on val
    score_scenes: Count = 60  # per scenario
    pairing: PairingConfig = PairingConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()

    @model_validator(mode="after")
    def _classes_once(self) -> "TrainConfig":
        names = self.classes + self.distractors
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice among classes and distractors: {', '.join(twice)}")
        if self.start and (self.visual_weights or self.audio_weights):
            raise ValueError("start is a whole network: leave visual_weights and audio_weights out")
        return self


def read_config(path: Path) -> TrainConfig:
    """The config in a JSON file. Raises ConfigError, which names every wrong key and the keys there are."""
    try:
        return parse_config(json.loads(path.read_text()), str(path))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as JSON ({error}); give a file as `cavs-adapt train --print-config` prints"
        ) from error


def parse_config(values: object, origin: str) -> TrainConfig:
    """Checks values as JSON holds them. `origin` opens the message when they do not hold."""
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{origin}: " + "; ".join(_explain(fault) for fault in error.errors())) from error


def _explain(fault: "object") -> str:
    if not isinstance(fault, dict):
        raise ValueError("pydantic lists its faults as dictionaries")
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where}; known here: {', '.join(_known(fault['loc'][:-1]))}"
    return f"{where or 'config'}: {fault['msg']}" + (f", seen {fault['input']!r}" if where else "")


def _known(path: tuple[object, ...]) -> list[str]:
    model: type[BaseModel] = TrainConfig
    for part in path:
        inner = model.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return sorted(model.model_fields)
