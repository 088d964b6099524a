"""What training minimises. Every term is a mean over pairs, scenes or sounds, so shards of equal size add up exactly.

sounding  binary cross-entropy of "this pixel sounds now", pixels of small objects weighing more
dice      1 - soft Dice of the same mask, for pairs in which something visible sounds
classes   cross-entropy of the class of every visible object's pixels, sounding or not
named     the same for pixels that sound, weighed by what is heard: the label that the network gives out
presence  binary cross-entropy of "class k is heard", for every sound
"""

import torch
import torch.nn.functional as F

from cavs.adapt.train_config import LossConfig

DICE_SMOOTHING = 1.0  # in pixels of the mask grid: keeps tiny masks from dominating the gradient
IGNORED = -1  # class of pixels without an object


def sounding_loss(logit: torch.Tensor, truth: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """logit, truth: (P, h, w), truth an area average in 0..1."""
    area = truth.mean((1, 2), keepdim=True)
    weight = (config.small_object_area / area.clamp_min(1e-4)).sqrt().clamp(1.0, config.small_object_most)
    per_pixel = F.binary_cross_entropy_with_logits(logit, truth, reduction="none")
    return (per_pixel * (1 + (weight - 1) * truth)).mean()


def dice_loss(logit: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Soft Dice of the pairs that sound; the others add 0, so that the mean stays over all pairs."""
    marked = logit.sigmoid()
    shared = (marked * truth).sum((1, 2))
    total = (marked.square() + truth.square()).sum((1, 2))
    dice = (2 * shared + DICE_SMOOTHING) / (total + DICE_SMOOTHING)
    sounds = (truth.amax((1, 2)) > 0).float()
    return ((1 - dice) * sounds).mean()


def class_loss(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """scores: (B, K, h, w) scaled cosines, -inf for unused rows. classes: (B, h, w) rows, IGNORED without an object.

    Each object weighs by the root of its area: a small one is not drowned by a large one.
    """
    per_pixel = F.cross_entropy(scores, classes, ignore_index=IGNORED, reduction="none")
    shown = classes != IGNORED
    one_hot = F.one_hot(classes.clamp_min(0), scores.shape[1]).float() * shown.unsqueeze(-1)  # (B, h, w, K)
    area = one_hot.sum((1, 2), keepdim=True)
    weight = (one_hot / area.clamp_min(1.0).sqrt()).sum(-1)
    per_scene = (per_pixel * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)
    return per_scene.mean()


def presence_loss(logit: torch.Tensor, heard: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
    """logit, heard: (M, K); used: (K,) 1 where the row is a class."""
    per_row = F.binary_cross_entropy_with_logits(logit.masked_fill(used == 0, 0.0), heard, reduction="none") * used
    return per_row.sum(1).mean() / used.sum().clamp_min(1.0)
