"""From what the network makes of a pair to the label of every pixel: the last step, in training, serving and export alike."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cavs.adapt.model.neck import enlarge
from cavs.adapt.model.network import Network, Perception
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN


class LabelledPixels(NamedTuple):
    """label, probability of sounding: float (P, H, W), labels as in `cavs.runtime.engine`.

    nearness: (P, H / 8, W / 8), cosine to the row that is named.
    """

    label: Tensor
    probability: Tensor
    nearness: Tensor


def label_pixels(network: Network, perception: Perception, thresholds: Tensor, rows: Tensor | None = None) -> LabelledPixels:
    """The labels of P pairs. thresholds: (2,), as the network's own. rows: as they were given to `fuse`."""
    shown = perception.class_logits if rows is None else perception.class_logits[rows]
    probability_above, cosine_above = thresholds.unbind()
    probability = torch.sigmoid(enlarge(perception.sounding, 4))[:, 0]
    row = perception.named_logits.argmax(dim=1, keepdim=True)
    nearness = network.matching.nearness(shown.gather(1, row))
    label = torch.where(nearness > cosine_above, row.float() + LABEL_FIRST_CLASS, float(LABEL_UNKNOWN))
    label = F.interpolate(label, scale_factor=8.0, mode="nearest")[:, 0]
    label = torch.where(probability > probability_above, label, float(LABEL_SILENT))
    return LabelledPixels(label, probability, nearness[:, 0])
