"""ILT, incremental learning techniques for segmentation (Michieli and Zanuttigh, ICCVW 2019).

LwF and the distance between features of the two networks. CMR's code takes that distance on the four fused maps; we take it
on all maps that the segmenter shows.
"""

from dataclasses import dataclass

from cavs.adapt.methods.lwf import Lwf, LwfOptions, feature_distance
from cavs.adapt.methods.method import Step, Terms


@dataclass(frozen=True, slots=True)
class IltOptions:
    distillation: float = 100.0
    features: float = 100.0


class Ilt(Lwf):
    """LwF whose features may not move far either."""

    def __init__(self, options: IltOptions | None = None) -> None:
        chosen = options or IltOptions()
        super().__init__(LwfOptions(chosen.distillation))
        self.features = chosen.features

    def loss(self, step: Step) -> Terms:
        terms = super().loss(step)
        if step.old is not None:
            terms["features"] = self.features * feature_distance(step)
        return terms
