"""From what the network makes of a pair to the label of every pixel: the last step, in training, serving and export alike."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cavs.adapt.model.neck import enlarge
from cavs.adapt.model.network import Network, Perception
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN


def label_pixels(
    network: Network, perception: Perception, thresholds: Tensor, rows: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Gives (label, probability of sounding), both float (P, H, W); labels as in `cavs.runtime.engine`.

    thresholds: (2,), as the network's own. rows: as they were given to `fuse`.
    """
    shown = perception.class_logits if rows is None else perception.class_logits[rows]
    probability_above, cosine_above = thresholds.unbind()
    probability = torch.sigmoid(enlarge(perception.sounding, 4))[:, 0]
    row = perception.named_logits.argmax(dim=1, keepdim=True)
    near = network.matching.nearness(shown.gather(1, row)) > cosine_above
    label = torch.where(near, row.float() + LABEL_FIRST_CLASS, float(LABEL_UNKNOWN))
    label = F.interpolate(label, scale_factor=8.0, mode="nearest")[:, 0]
    return torch.where(probability > probability_above, label, float(LABEL_SILENT)), probability
