"""Both senses in one class table: what each pixel shows, what is heard, and how far the two agree."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.config import NetworkConfig

MASKED_LOGIT = -1e4
"""Logit of an unused row: no probability, and still a number in half precision."""


class ClassTable(nn.Module):
    """One row per class, shared by pixels and voices. Rows that are not `used` take no part.

    rows: (K, D); the adapter holds them at unit length, in training their length is free.
    used: (K,), 1 where the row is a class.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        rows = F.normalize(torch.randn(config.class_capacity, config.embedding_width), dim=1)
        self.table = nn.Parameter(rows)
        self.register_buffer("used", torch.zeros(config.class_capacity))

    used: Tensor

    def unit_rows(self) -> Tensor:
        """The rows at unit length, unused ones zero: what the adapter holds."""
        return F.normalize(self.table, dim=1) * self.used[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class PixelClasses:
    """cosine (B, K, h, w) between each pixel and each row; logits the same times the learned scale, unused rows masked."""

    cosine: Tensor
    logits: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Does what a pixel shows fit what is heard? Each map is (P, 1, h, w).

    match: sum over classes of P(pixel shows c) P(c is heard), minus one half, times `known`: 0 where no class is near.
    known: how near the nearest class is, 0 .. 1.
    voice: cosine between the pixel and the nearest voice: needs no class at all.
    """

    match: Tensor
    known: Tensor
    voice: Tensor

    def maps(self) -> Tensor:
        return torch.cat([self.match, self.known, self.voice], dim=1)


class Matching(nn.Module):
    """Compares pixels and voices with the class table, and with each other."""

    PIXEL_SCALE = 10.0
    VOICE_SCALE = 10.0
    VOICE_NEAR = 0.6
    """Cosine at which a voice says, before training, that its class is heard with probability one half."""
    KNOWN_SCALE = 10.0
    KNOWN_NEAR = 0.4
    MATCH_GAIN = 4.0
    """Twice the logit that agreement adds: + 2 where it fits, - 2 where it does not."""
    VETO_LOGIT = -8.0
    """Presence below this counts as this: in half precision its logarithm would be infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.pixel_scale = nn.Parameter(torch.tensor(self.PIXEL_SCALE).log())
        self.voice_scale = nn.Parameter(torch.tensor(self.VOICE_SCALE).log())
        self.voice_bias = nn.Parameter(torch.tensor(-self.VOICE_NEAR * self.VOICE_SCALE))
        self.known_near = nn.Parameter(torch.tensor(self.KNOWN_NEAR))
        self.match_gain = nn.Parameter(torch.tensor(self.MATCH_GAIN))
        self.heard_weight = nn.Parameter(torch.tensor(1.0))

    def pixels(self, embedding: Tensor, rows: Tensor, used: Tensor) -> PixelClasses:
        """embedding: (B, D, h, w) of unit vectors; rows: (K, D) of unit length; used: (K,)."""
        cosine = (rows @ embedding.flatten(2)).unflatten(2, embedding.shape[2:])
        masked = (MASKED_LOGIT * (1 - used))[:, None, None]
        return PixelClasses(cosine, self.pixel_scale.exp() * cosine + masked)

    def presence(self, voices: Tensor, rows: Tensor, used: Tensor) -> Tensor:
        """Logits (B, K) that each class is heard: the voices' nearness to its row, softly the nearest of them."""
        nearness = torch.logsumexp(self.voice_scale.exp() * (voices @ rows.T), dim=1)
        return nearness + self.voice_bias + MASKED_LOGIT * (1 - used)

    def evidence(self, classes: PixelClasses, presence: Tensor, embedding: Tensor, voices: Tensor) -> Evidence:
        """All of one length P: image and sound of each pair."""
        shows = torch.softmax(classes.logits, dim=1)
        fits = (torch.sigmoid(presence)[:, None] @ shows.flatten(2)).unflatten(2, shows.shape[2:])
        nearest = classes.logits.amax(dim=1, keepdim=True) / self.pixel_scale.exp()
        known = torch.sigmoid(self.KNOWN_SCALE * (nearest - self.known_near))
        voice = (voices @ embedding.flatten(2)).amax(dim=1, keepdim=True).unflatten(2, embedding.shape[2:])
        return Evidence((fits - 0.5) * known, known, voice)

    def named(self, classes: PixelClasses, presence: Tensor) -> Tensor:
        """Logits (P, K, h, w) of the class of a pixel that sounds: what it shows, weighed by what is heard."""
        heard = F.logsigmoid(presence.clamp(min=self.VETO_LOGIT))
        return classes.logits + self.heard_weight * heard[:, :, None, None]
