"""What a lesson minimises: the losses of training on what is labelled, and staying with the parent on everything else."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from cavs.adapt.learn.features import hear, see
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.pool import Pool
from cavs.adapt.learn.rehearsal import Rehearsal, embedded
from cavs.adapt.losses import IGNORED, class_loss, dice_loss
from cavs.adapt.model.conditioning import Heard
from cavs.adapt.model.neck import Seen, enlarge
from cavs.adapt.model.network import Network

SHOWN_SHARE = 0.5
"""A cell of the grid shows a class when this share of it is that class."""
PICTURES_AT_ONCE, SOUNDS_AT_ONCE = 6, 64
SILENT_LOGIT = -10.0
"""Presence of what does not sound."""
UNUSED_LOGIT = -1e3
"""A presence below this is of a row that is not in use."""
VISUAL = "visual"
"""The part of the network whose pairs change what is seen before the embedding."""


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


def presence_of(network: Network, voices: Tensor, rows: Rows) -> Tensor:
    """Logits (M, K) that each row is heard. voices: what `Listener.voice_part` gives."""
    return network.matching.presence(network.listener.voices_of(voices), rows.table, rows.used)


class Parent:
    """The network as it was before the lesson, and what it sees and hears in a pool; what it sees in half precision.

    presence: (M, K), logits of all sounds of the pool.
    """

    def __init__(self, network: Network, rows: Rows) -> None:
        self.network = copy.deepcopy(network)
        self.rows = rows
        self._seen: Seen | None = None
        self.presence = torch.zeros(0, len(rows.used))

    @torch.no_grad()
    def watch(self, pool: Pool) -> None:
        """Looks at all of the pool, and listens to it."""
        parts = []
        for index in torch.split(torch.arange(len(pool.looks)), PICTURES_AT_ONCE):
            seen = see(self.network, pool.looks.of(index))
            parts.append(tuple(getattr(seen, field.name).half() for field in fields(seen)))
        self._seen = Seen(*(torch.cat(maps) for maps in zip(*parts, strict=True)))
        voices = self.network.listener.voice_part(pool.listened)
        self.presence = torch.cat([self.heard(part) for part in torch.split(voices, SOUNDS_AT_ONCE)])

    def heard(self, voices: Tensor) -> Tensor:
        """Presences (M, K) in sounds as `Listener.voice_part` gives them."""
        return presence_of(self.network, voices, self.rows)

    def seen(self, pictures: Tensor) -> Seen:
        """Of these pictures, float32."""
        assert self._seen is not None  # `watch` comes first
        kept = self._seen.rows(pictures)
        return Seen(*(getattr(kept, field.name).float() for field in fields(kept)))

    @torch.no_grad()
    def said(self, seen: Seen, listened: Tensor, sounds: int) -> Said:
        """What it says of pictures with `sounds` sounds each."""
        return said_of(self.network, seen, hear(self.network, listened), sounds, self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Rehearsed:
    """A rehearsal with the rows of its pixels, and what the parent makes of it."""

    rehearsal: Rehearsal
    shows: Tensor
    embedding: Tensor
    presence: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a step looks at and listens to, as indices.

    pictures: (B,) of the pool; met: (B, S), the sounds that each meets; heard: further sounds of the pool, without pictures;
    rehearsed: of the sounds of the rehearsal.
    """

    pictures: Tensor
    met: Tensor
    heard: Tensor
    rehearsed: Tensor


class LessonLoss:
    """The terms of one batch.

    places: of each column of the pool in the rows that it is called with; -1 for things without a name.
    new: columns that the lesson teaches.
    """

    def __init__(
        self, network: Network, parent: Parent, places: Sequence[int], new: Sequence[int], options: LearnOptions
    ) -> None:
        self.network, self.parent, self.options = network, parent, options
        self.places, self.new = torch.tensor(places, dtype=torch.int64), torch.tensor(new, dtype=torch.int64)
        self._rehearsed: _Rehearsed | None = None

    @torch.no_grad()
    def rehearse(self, rehearsal: Rehearsal, places: Sequence[int]) -> None:
        """Adds what the shipped network knows. places: of its classes in the rows."""
        shows = torch.tensor(places, dtype=torch.int64)[rehearsal.shows]
        presence = self.parent.heard(rehearsal.voices)
        self._rehearsed = _Rehearsed(rehearsal, shows, embedded(self.parent.network, rehearsal.pixels), presence)

    def __call__(self, pool: Pool, batch: Batch, rows: Rows, known_only: bool = False) -> dict[str, Tensor]:
        """known_only: the terms of what was known before."""
        pictures, met = batch.pictures, batch.met
        sounds, listened = met.shape[1], pool.listened[met.flatten()]
        before = self.parent.seen(pictures)
        seen = self._seen(pool, pictures, before)
        said = said_of(self.network, seen, hear(self.network, listened), sounds, rows)
        shown, now = pool.shown[pictures].float(), pool.heard[met.flatten()]
        shown_new = shown[:, self.new].sum(1).clamp(0, 1)
        if known_only:
            shown = shown.clone()
            shown[:, self.new] = 0
        truth = torch.einsum("pc,pchw->phw", now, shown.repeat_interleave(sounds, 0)).clamp(0, 1)
        apart = (shown_new == 0).float()  # cells that show nothing new
        terms = self._labelled(said, shown, now, truth, apart if known_only else None)
        terms |= self._kept(said, self.parent.said(before, listened, sounds), apart)
        terms |= self._heard(pool, batch.heard, rows, known_only)
        if self._rehearsed is not None and self.options.rehearsed:
            terms["rehearsed"] = self.options.rehearsed * self._unlearned(self._rehearsed, batch.rehearsed, rows)
        terms["apart"] = self.options.apart * self._too_near(rows)
        return {name: term for name, term in terms.items() if term.requires_grad}

    def _seen(self, pool: Pool, pictures: Tensor, before: Seen) -> Seen:
        """What the network sees; up to the embedding what the parent saw, if nothing before that learns."""
        if VISUAL not in self.options.frozen:
            return see(self.network, pool.looks.of(pictures))
        embedding = F.normalize(self.network.neck.embed(before.stride8).float(), dim=1)
        return Seen(before.stride4, before.stride8, before.stride16, before.stride32, embedding)

    def _labelled(self, said: Said, shown: Tensor, now: Tensor, truth: Tensor, apart: Tensor | None) -> dict[str, Tensor]:
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

    def _heard(self, pool: Pool, index: Tensor, rows: Rows, known_only: bool) -> dict[str, Tensor]:
        """Of these sounds of the pool: what sounds, and what the parent said of old ones."""
        presence = presence_of(self.network, self.network.listener.voice_part(pool.listened[index]), rows)
        before, now = self.parent.presence[index], pool.heard[index]
        old_sound = (now[:, self.new].sum(1) == 0).float()
        drift = (_drift(presence, before) * (before > UNUSED_LOGIT)).sum(1) * old_sound
        return {
            "presence": self.options.presence * self._presence(presence, now, rows.used, known_only),
            "keep_presence": self.options.keep_presence * drift.mean(),
        }

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

    def _unlearned(self, kept: "_Rehearsed", index: Tensor, rows: Rows) -> Tensor:
        """How far pixels and voices of the shipped classes have come from what they were, and to what is new.

        index: of the sounds.
        """
        options, matching = self.options, self.network.matching
        embedding = embedded(self.network, kept.rehearsal.pixels)
        logits = matching.pixels(embedding, rows.table, rows.used)[:, :, 0, 0]
        classes = F.cross_entropy(logits, kept.shows)
        moved = (1 - (embedding * kept.embedding).sum(1)).mean()
        presence = presence_of(self.network, kept.rehearsal.voices[index], rows)
        before = torch.where(rows.learning, SILENT_LOGIT, kept.presence[index])
        heard = (_drift(presence, before) * (rows.used > 0)).sum(1).mean() / rows.used.sum().clamp_min(1)
        return options.classes * classes + options.keep_embedding * moved + options.presence * heard

    def _kept(self, said: Said, before: Said, apart: Tensor) -> dict[str, Tensor]:
        """Distance from the parent on cells that show nothing new."""
        options = self.options
        cells = apart.repeat_interleave(len(said.sounding) // len(apart), 0)
        cosine = (said.embedding * before.embedding).sum(1)
        coarse = (F.avg_pool2d(apart[:, None], 2)[:, 0] == 1).float()
        return {
            "keep_sounding": options.keep_sounding * (_drift(said.sounding, before.sounding) * cells).mean(),
            "keep_embedding": options.keep_embedding * ((1 - cosine) * coarse).mean(),
        }


def _drift(logit: Tensor, before: Tensor) -> Tensor:
    """Kullback-Leibler divergence of a probability from what it was."""
    aim = before.sigmoid()
    cross, entropy = (F.binary_cross_entropy_with_logits(one, aim, reduction="none") for one in (logit, before))
    return cross - entropy
