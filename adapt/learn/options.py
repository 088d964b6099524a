"""How a lesson is learned, as one frozen object."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class LearnOptions(BaseModel):
    """Defaults are what docs/learning.md was measured with.

    steps, pictures, sounds: how long is learned, from how many pictures in a step, and how many sounds each of them meets.
    pool, heard: pictures and sounds composed for the lesson.
    listened: sounds of the pool, and of what is rehearsed, that are listened to without a picture in a step; all of them where
             that costs next to nothing, since no pair lies in the ear before its voices (`NetworkConfig.ear_pairs`).
    shown, pasted: shares of the pool that are frames of the lesson, and scenes with what they show cut out and pasted in; the
             rest shows only what was known before. Both shrink with every class that was taught before (`pool.py`).
    weakest, strongest: range of the augmentation of pasted pictures.
    pair_rate, row_rate: rates of the LoRA pairs and of the new rows, at their highest.
    held:    strength of LRA, the penalty on changes of B A that the parent's answers feel.
    sounding ... presence: weights of the losses of adapt/losses.py.
    apart:   weight of keeping new rows from old ones, from the cosine `nearest` on: where an old row lies, its pixels and
             voices lie, and nothing else of them is there to rehearse.
    frozen:  names that the layers begin with whose pairs do not learn, such as `visual`.
    rehearsed: weight of what lies beside the shipped network (`rehearsal.py`).
    keep_*:  weights of staying with the parent where nothing new is seen and heard: its map, its embedding, its presences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Count = 400
    pictures: Count = 6
    sounds: Annotated[int, Field(ge=2)] = 3
    pool: Count = 300
    heard: Count = 300
    listened: Count = 40
    shown: Share = 0.3
    pasted: Share = 0.5
    weakest: Share = 0.2
    strongest: Share = 1.0
    pair_rate: Positive = 2e-3
    row_rate: Weight = 5e-3
    warmup: Share = 0.1
    clip_norm: Positive = 1.0
    held: Weight = 0.3
    sounding: Weight = 1.0
    dice: Weight = 1.0
    classes: Weight = 0.5
    named: Weight = 0.2
    presence: Weight = 1.2
    keep_sounding: Weight = 1.0
    keep_embedding: Weight = 2.0
    keep_presence: Weight = 1.0
    rehearsed: Weight = 1.0
    apart: Weight = 1.0
    nearest: Share = 0.3
    frozen: tuple[str, ...] = ()
    small_object_area: Share = 0.08
    small_object_most: Annotated[float, Field(ge=1)] = 4.0
    sensed: Count = 24
    """Pictures of the pool on which the importance for LRA is measured."""
