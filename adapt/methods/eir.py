"""EIR, replay of instances, as its authors' code is described: cut-outs of old classes in new pictures.

Replaying whole old pictures brings unlabelled background of new classes with it; a pasted object does not. In audio-visual
segmentation a thing must be heard to be labelled, so its sound is mixed in with it (our reading, hence an option).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.anchored import tensors
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.memory import Exemplars, clips_by_class
from cavs.adapt.methods.method import Inputs, Reads, Rows, State, Step, TaskContext
from cavs.runtime.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EirOptions:
    """per_class: cut-outs kept of each class. chance: that a frame gets one. with_sound: mixes its sound in."""

    per_class: int = 5
    chance: float = 0.5
    with_sound: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """Where in a frame (bool (h, w), at the size of the labels) a class was, the whole picture (3, H, W), its sound (N,)."""

    cls: int
    mask: Tensor
    picture: Tensor
    wave: Tensor


def paste(rows: Rows, index: int, one: CutOut, with_sound: bool) -> Rows:
    """The rows with a cut-out over frame `index`, at the place where it was."""
    pictures, waves = rows.inputs.pictures[0].clone(), rows.inputs.sounds[0].clone()
    labels, classes = rows.labels.clone(), rows.classes.clone()
    large = F.interpolate(one.mask[None, None].float(), pictures.shape[2:], mode="nearest")[0, 0] > 0
    pictures[index] = torch.where(large, one.picture, pictures[index])
    labels[index][one.mask] = one.cls if with_sound else 0
    if with_sound:
        waves[index] += one.wave
        classes[index, one.cls] = True
    return replace(rows, inputs=Inputs((pictures,), (waves,)), labels=labels, classes=classes)


class Eir(FineTuning):
    """Needs raw inputs: what a frozen encoder made of a picture cannot be pasted into."""

    reads: Reads = "memory"

    def __init__(self, options: EirOptions | None = None) -> None:
        self.options = options or EirOptions()
        self.cut_outs: list[CutOut] = []
        self.origins = Exemplars()
        self._rng = np.random.default_rng(0)
        self._usable: list[CutOut] = []

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        self._rng = context.rng
        self._usable = list(self.cut_outs)

    def prepare(self, step: Step) -> None:
        if step.rows.inputs.encoded:
            raise ConfigError("EIR pastes into pictures: it needs raw inputs, not cached features; give --raw")
        for index in range(len(step.rows.clips)):
            if self._usable and self._rng.random() < self.options.chance:
                one = self._usable[int(self._rng.integers(len(self._usable)))]
                step.rows = paste(step.rows, index, one, self.options.with_sound)

    def end_task(self, context: TaskContext) -> None:
        wanted: dict[str, list[int]] = {}
        for cls, clips in clips_by_class(context).items():
            chosen = [clips[int(i)] for i in context.rng.permutation(len(clips))[: self.options.per_class]]
            self.origins.add(cls, chosen)
            for one in chosen:
                wanted.setdefault(one.clip, []).append(cls)
        best: dict[tuple[str, int], CutOut] = {}
        for rows in context.rows():
            for index, clip in enumerate(rows.clips):
                for cls in wanted.get(clip, ()):
                    self._keep_largest(best, rows, index, cls)
        self.cut_outs += best.values()

    @staticmethod
    def _keep_largest(best: dict[tuple[str, int], CutOut], rows: Rows, index: int, cls: int) -> None:
        mask = rows.labels[index] == cls
        key = (rows.clips[index], cls)
        if mask.any() and (key not in best or mask.sum() > best[key].mask.sum()):
            best[key] = CutOut(cls, mask.clone(), rows.inputs.pictures[0][index].clone(), rows.inputs.sounds[0][index].clone())

    def memory_clips(self) -> tuple[str, ...]:
        """Clips that cut-outs came from: parts of them are still learned from."""
        return self.origins.clips()

    def state(self) -> State:
        kept = {
            str(number): {"cls": torch.tensor(one.cls), "mask": one.mask, "picture": one.picture, "wave": one.wave}
            for number, one in enumerate(self.cut_outs)
        }
        return {"cut_outs": kept, "origins": self.origins.state()}

    def load(self, state: State) -> None:
        kept, origins = state["cut_outs"], state["origins"]
        if not isinstance(kept, dict) or not isinstance(origins, dict):
            raise ValueError("state of EIR: expected cut_outs and origins")
        parts = [tensors(kept, str(number)) for number in range(len(kept))]
        self.cut_outs = [CutOut(int(p["cls"]), p["mask"], p["picture"], p["wave"]) for p in parts]
        self.origins.load(origins)
