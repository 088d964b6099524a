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

    def pixels(self, embedding: Tensor, rows: Tensor, used: Tensor) -> Tensor:
        """Logits (B, K, h, w) of what each pixel shows: its scaled cosine to each row, unused rows masked.

        embedding: (B, D, h, w) of unit vectors; rows: (K, D) of unit length; used: (K,). The classes of a pixel lie together in
        memory (the result is a view), where softmax and argmax over them are fast.
        """
        cosine = embedding.permute(0, 2, 3, 1) @ rows.T
        return (self.pixel_scale.exp() * cosine + MASKED_LOGIT * (1 - used)).permute(0, 3, 1, 2)

    def nearness(self, logits: Tensor) -> Tensor:
        """The cosines that logits from `pixels` were made of; far below -1 for unused rows."""
        return logits / self.pixel_scale.exp()

    def presence(self, voices: Tensor, rows: Tensor, used: Tensor) -> Tensor:
        """Logits (B, K) that each class is heard: the voices' nearness to its row, softly the nearest of them."""
        nearness = torch.logsumexp(self.voice_scale.exp() * (voices @ rows.T), dim=1)
        return nearness + self.voice_bias + MASKED_LOGIT * (1 - used)

    def evidence(self, shows: Tensor, presence: Tensor, embedding: Tensor, voices: Tensor) -> Evidence:
        """For P pairs. shows: logits (P, K, h, w) from `pixels`; presence: logits (P, K)."""
        shows, embedding = shows.permute(0, 2, 3, 1), embedding.permute(0, 2, 3, 1)
        fits = (torch.softmax(shows, dim=-1) * torch.sigmoid(presence)[:, None, None]).sum(dim=-1)[:, None]
        nearest = self.nearness(shows.amax(dim=-1)[:, None])
        known = torch.sigmoid(self.KNOWN_SCALE * (nearest - self.known_near))
        voice = (embedding.flatten(1, 2) @ voices.transpose(1, 2)).amax(dim=-1).reshape(known.shape)
        return Evidence((fits - 0.5) * known, known, voice)

    def named(self, shows: Tensor, presence: Tensor) -> Tensor:
        """Logits (P, K, h, w) of the class of a pixel that sounds: what it shows, weighed by what is heard."""
        heard = F.logsigmoid(presence.clamp(min=self.VETO_LOGIT))
        return shows + self.heard_weight * heard[:, :, None, None]
