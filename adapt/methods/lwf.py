"""Learning without Forgetting (Li and Hoiem, ECCV 2016), as PLOP's code base (arXiv 2011.11390) has it for segmentation."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Step, Terms


@dataclass(frozen=True, slots=True)
class LwfOptions:
    distillation: float = 100.0


def distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    """Cross-entropy from the old network's probabilities to the new one's over the old outputs alone, a mean over outputs and
    pixels."""
    old_outputs = old_logits.shape[1]
    return -(old_logits.softmax(1) * logits[:, :old_outputs].log_softmax(1)).mean()


class Lwf(FineTuning):
    """The old outputs shall say on the new clips what the old network says."""

    def __init__(self, options: LwfOptions | None = None) -> None:
        self.options = options or LwfOptions()

    def loss(self, step: Step) -> Terms:
        terms = super().loss(step)
        if step.old is not None:
            terms["distillation"] = self.options.distillation * distillation(step.said.logits, step.old_said.logits)
        return terms


def feature_distance(step: Step) -> Tensor:
    """Mean over the maps of the mean squared difference between the networks' features."""
    pairs = zip(step.said.features, step.old_said.features, strict=True)
    distances = [F.mse_loss(new, old) for new, old in pairs]
    if not distances:
        raise ValueError("the segmenter shows no features; feature distillation needs at least one map")
    total = distances[0]
    for distance in distances[1:]:
        total = total + distance
    return total / len(distances)
