"""What a lesson minimises: the losses of training on what is labelled, and staying with the parent on everything else."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cavs.adapt.learn.features import hear, see
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.pool import Part
from cavs.adapt.losses import IGNORED, class_loss, dice_loss
from cavs.adapt.model.conditioning import Heard
from cavs.adapt.model.neck import Seen, enlarge
from cavs.adapt.model.network import Network

SHOWN_SHARE = 0.5
"""A cell of the grid shows a class when this share of it is that class."""
PICTURES_AT_ONCE = 6


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the parent says of a pool: sounding (P, S, h, w), embedding (P, D, h / 2, w / 2), float16; presence (P, S, K)."""

    sounding: Tensor
    embedding: Tensor
    presence: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a network says of pictures with S sounds each, its rows given from outside."""

    sounding: Tensor
    embedding: Tensor
    class_logits: Tensor
    named_logits: Tensor
    presence: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a class table: unit vectors (K, D); used: (K,), 1 where the row is in use; learning: bool (K,).

    A lesson leaves out what neither parent nor child uses: nine tenths of the rows, and every pixel is compared with each.
    """

    table: Tensor
    used: Tensor
    learning: Tensor


def rows_of(network: Network) -> Rows:
    """All rows of a network, none of which learns."""
    used = network.classes.used
    return Rows(network.classes.unit_rows(), used, torch.zeros_like(used, dtype=torch.bool))


def said_of(network: Network, seen: Seen, heard: Heard, sounds: int, rows: Rows) -> Said:
    """sounding (P S, h, w); embedding (P, D, ..); class_logits (P, K, ..); named_logits (P S, K, ..); presence (P S, K).

    `Network.fuse` with the rows as an argument, so that a gradient can reach some of them.
    """
    table, used, matching = rows.table, rows.used, network.matching
    index = torch.arange(len(seen.embedding)).repeat_interleave(sounds)
    classes = matching.pixels(seen.embedding, table, used)
    presence = matching.presence(heard.voices, table, used)
    paired, shown = seen.rows(index), classes[index]
    evidence = matching.evidence(shown, presence, paired.embedding, heard.voices)
    sounding = network.decoder(paired, heard, evidence.maps()) + matching.match_gain * enlarge(evidence.match)
    return Said(sounding[:, 0], seen.embedding, classes, matching.named(shown, presence), presence)


@torch.no_grad()
def answers_of(network: Network, pool: Part, rows: Rows) -> Answers:
    """What a network, as it is now, says of the whole pool."""
    sounds = pool.attended.shape[1]
    parts = []
    for index in torch.split(torch.arange(len(pool.looks)), PICTURES_AT_ONCE):
        seen, heard = see(network, pool.looks.of(index)), hear(network, pool.attended[index].flatten(0, 1))
        said = said_of(network, seen, heard, sounds, rows)
        sounding = said.sounding.reshape(len(index), sounds, *said.sounding.shape[1:])
        parts.append((sounding.half(), said.embedding.half(), said.presence.reshape(len(index), sounds, -1)))
    return Answers(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


class LessonLoss:
    """The terms of one batch.

    places: of each column of the pool in the rows that it is called with; -1 for things without a name.
    new: columns that the lesson teaches.
    """

    def __init__(self, network: Network, places: Sequence[int], new: Sequence[int], options: LearnOptions) -> None:
        self.network, self.options = network, options
        self.places, self.new = torch.tensor(places, dtype=torch.int64), torch.tensor(new, dtype=torch.int64)

    def __call__(
        self, pool: Part, answers: Answers, pictures: Tensor, rows: Rows, known_only: bool = False
    ) -> dict[str, Tensor]:
        """known_only: the terms of what was known before, for measuring what matters to it."""
        sounds = pool.attended.shape[1]
        seen = see(self.network, pool.looks.of(pictures))
        heard = hear(self.network, pool.attended[pictures].flatten(0, 1))
        said = said_of(self.network, seen, heard, sounds, rows)
        shown, now = pool.shown[pictures].float(), pool.heard[pictures].flatten(0, 1)
        shown_new = shown[:, self.new].sum(1).clamp(0, 1)
        if known_only:
            shown = shown.clone()
            shown[:, self.new] = 0
        truth = torch.einsum("pc,pchw->phw", now, shown.repeat_interleave(sounds, 0)).clamp(0, 1)
        apart = (shown_new == 0).float()  # cells that show nothing new
        terms = self._labelled(said, shown, now, truth, rows.used, apart if known_only else None)
        terms |= self._kept(said, answers, pictures, now, apart)
        terms["apart"] = self.options.apart * self._too_near(rows)
        return {name: term for name, term in terms.items() if term.requires_grad}

    def _labelled(  # noqa: PLR0917
        self, said: Said, shown: Tensor, now: Tensor, truth: Tensor, used: Tensor, apart: Tensor | None
    ) -> dict[str, Tensor]:
        options, logit, sounds = self.options, said.sounding.float(), len(now) // len(shown)
        if apart is not None:
            cells = apart.repeat_interleave(sounds, 0)
            logit = logit * cells - 10 * (1 - cells)
        classes = self._classes(shown)
        named = torch.where(F.avg_pool2d(truth, 2) > SHOWN_SHARE, classes.repeat_interleave(sounds, 0), IGNORED)
        return {
            "sounding": options.sounding * self._weighed(logit, truth),
            "dice": options.dice * dice_loss(logit, truth),
            "classes": options.classes * class_loss(said.class_logits.float(), classes),
            "named": options.named * class_loss(said.named_logits.float(), named),
            "presence": options.presence * self._presence(said.presence, now, used, apart is not None),
        }

    def _weighed(self, logit: Tensor, truth: Tensor) -> Tensor:
        area = truth.mean((1, 2), keepdim=True)
        weight = (self.options.small_object_area / area.clamp_min(1e-4)).sqrt().clamp(1.0, self.options.small_object_most)
        per_pixel = F.binary_cross_entropy_with_logits(logit, truth, reduction="none")
        return (per_pixel * (1 + (weight - 1) * truth)).mean()

    def _classes(self, shown: Tensor) -> Tensor:
        """Row of the class in each cell at half the grid; IGNORED where none with a name is shown."""
        share, column = F.avg_pool2d(shown, 2).max(dim=1)
        return torch.where(share > SHOWN_SHARE, self.places[column], IGNORED)

    def _presence(self, presence: Tensor, now: Tensor, used: Tensor, known_only: bool) -> Tensor:
        """Of all rows in use: what is not in the pool's sounds does not sound in them."""
        target = torch.zeros_like(presence)
        for column, place in enumerate(self.places.tolist()):
            if place >= 0:
                target[:, place] = torch.maximum(target[:, place], now[:, column])
        if known_only:
            used = used.clone()
            used[self.places[self.new].clamp_min(0)] = 0
        per_row = F.binary_cross_entropy_with_logits(presence.float() * used, target, reduction="none") * used
        # A mean over the rows would drown the one new row among all the old ones.
        heard = (per_row * target).sum() / target.sum().clamp_min(1)
        silent = (per_row * (1 - target)).sum(1).mean() / used.sum().clamp_min(1)
        return 0.5 * heard / used.sum().clamp_min(1).sqrt() + silent

    def _too_near(self, rows: Rows) -> Tensor:
        """How far rows that learn have come into the reach of rows that do not."""
        cosine = rows.table[rows.learning] @ rows.table[rows.used * ~rows.learning > 0].T
        return F.relu(cosine - self.options.nearest).square().sum()

    def _kept(self, said: Said, answers: Answers, pictures: Tensor, now: Tensor, apart: Tensor) -> dict[str, Tensor]:
        """Distance from the parent: on cells that show nothing new, in sounds that hold nothing new."""
        options = self.options
        old_sound = (now[:, self.new].sum(1) == 0).float()
        sounds = len(now) // len(pictures)
        parent = answers.sounding[pictures].flatten(0, 1).float()
        cells = apart.repeat_interleave(sounds, 0)
        sounding = F.binary_cross_entropy_with_logits(said.sounding, parent.sigmoid(), reduction="none")
        entropy = F.binary_cross_entropy_with_logits(parent, parent.sigmoid(), reduction="none")
        cosine = (said.embedding * answers.embedding[pictures].float()).sum(1)
        coarse = (F.avg_pool2d(apart[:, None], 2)[:, 0] == 1).float()
        presence = answers.presence[pictures].flatten(0, 1)
        used = (presence > -1e3).float()
        drift = F.binary_cross_entropy_with_logits(said.presence, presence.sigmoid(), reduction="none")
        floor = F.binary_cross_entropy_with_logits(presence, presence.sigmoid(), reduction="none")
        return {
            "keep_sounding": options.keep_sounding * ((sounding - entropy) * cells).mean(),
            "keep_embedding": options.keep_embedding * ((1 - cosine) * coarse).mean(),
            "keep_presence": options.keep_presence * (((drift - floor) * used).sum(1) * old_sound).mean(),
        }
