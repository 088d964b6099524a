"""Composes sound: sources that start, pause and stop, mixed with what is not in the picture. Knows who sounds when.

"Now" is the rule of docs/architecture.md: a class sounds at time t if its own source was above its activity threshold at
any moment of the last 0.6 s. Activity is known per block of 20 ms, before echo and mixing, so the truth is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cavs.adapt.data.acoustics import NOISES, change_speed, colour, noise, overdrive
from cavs.adapt.data.ingredients import BLOCK, RATE_HZ, Ingredients, Recording, Samples
from cavs.runtime.errors import DataRejected

HOLD_S = 0.6
"""A source counts as sounding until this long after it was last active."""
HOLD_BLOCKS = round(HOLD_S * RATE_HZ / BLOCK)
FADE = 160
"""Samples of a fade where a recording is cut: 10 ms, too short to hear, long enough not to click."""
TAIL_BLOCKS = 15
"""A recording is over 0.3 s after its last active block; the silence behind it is not played."""
REDRAWS = 4
"""Phrases drawn until a source that should sound at the end does."""

Activity = npt.NDArray[np.bool_]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SoundWish:
    """How sources behave in a window and what is mixed in. Chances, unless said otherwise.

    onset, late_onset: the source starts anywhere in the window, or only in its last 0.1 to 0.5 s.
    stopping, stopped: it stopped less than 0.6 s before the end (still sounding), or longer ago (silent now).
                       In all other cases it sounds through the window.
    ambience:          something else is mixed in at -20 to -6 dB; `off_target` are the classes it may be, by default
                       every class that is only heard. Noise, wind and hum are always possible.
    nothing, faint:    without classes: digital silence, or only a noise floor; otherwise ambience alone.
    gain_db:           largest gain of a source up or down; level_dbfs: range of the loud level of the mixture.
    strength:          of the random microphones and rooms, 0 to 1.
    """

    onset: float = 0.2
    late_onset: float = 0.12
    stopping: float = 0.08
    stopped: float = 0.15
    ambience: float = 0.4
    off_target: tuple[str, ...] | None = None
    nothing: float = 0.15
    faint: float = 0.15
    gain_db: float = 6.0
    level_dbfs: tuple[float, float] = (-35.0, -10.0)
    strength: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class SoundLine:
    """Mixed sound and the activity of every class in it.

    samples: float32 (N,) at RATE_HZ.  loud: per class, bool per block of 20 ms.  recordings: what was drawn from.
    """

    samples: Samples
    loud: Mapping[str, Activity]
    recordings: tuple[str, ...] = ()

    def sounding_at(self, sample: int) -> dict[str, bool]:
        """Whether each class sounds at the moment just before `sample`."""
        last = -(-sample // BLOCK)
        first = max(0, (sample - HOLD_BLOCKS * BLOCK) // BLOCK)
        return {cls: bool(loud[first:last].any()) for cls, loud in self.loud.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """One window: float32 (N,), newest sample last, and which of the asked classes sound at its end."""

    samples: Samples
    active: dict[str, bool]
    recordings: tuple[str, ...] = ()


def compose_sound(
    ingredients: Ingredients,
    rng: np.random.Generator,
    *,
    classes: Sequence[str],
    samples: int = 2 * RATE_HZ,
    rate_hz: int = RATE_HZ,
    wish: SoundWish | None = None,
) -> Sound:
    """A window of `samples` in which `classes` are heard, each with its own onset and stop. No class: no target sound."""
    if rate_hz != RATE_HZ:
        raise ValueError(f"ingredients are held at {RATE_HZ} Hz, asked for {rate_hz} Hz")
    wish = wish or SoundWish()
    spans = {cls: [_draw_span(rng, samples / RATE_HZ, wish)] for cls in classes}
    line = compose_line(ingredients, rng, spans=spans, samples=samples, wish=wish)
    return Sound(line.samples, line.sounding_at(samples), line.recordings)


def compose_line(
    ingredients: Ingredients,
    rng: np.random.Generator,
    *,
    spans: Mapping[str, Sequence[Span]],
    samples: int,
    wish: SoundWish | None = None,
) -> SoundLine:
    """Sound of any length. `spans`: when each class is switched on, in seconds; a start before 0 means already playing."""
    wish = wish or SoundWish()
    mixed = np.zeros(samples, np.float32)
    loud: dict[str, Activity] = {}
    played: list[str] = []
    for cls, when in spans.items():
        voice, loud[cls], ids = _voice(_recordings_of(ingredients, cls), rng, when, samples)
        mixed += _gain(rng.uniform(-wish.gain_db, wish.gain_db)) * _dry_or_coloured(voice, rng, wish.strength)
        played += ids
    if not spans and rng.random() < wish.nothing:
        return SoundLine(mixed, loud)
    if not spans and rng.random() < wish.faint / max(1e-9, 1 - wish.nothing):
        floor = noise(str(rng.choice(NOISES[:3])), samples, rng) * _gain(rng.uniform(-75, -50))
        return SoundLine(floor.astype(np.float32), loud)
    if not spans or rng.random() < wish.ambience:
        for _ in range(1 + int(rng.random() < 0.25)):
            mixed += _gain(rng.uniform(-20, -6) if spans else 0.0) * _ambience(ingredients, rng, samples, wish, played)
    return SoundLine(_recorded(mixed, rng, wish), loud, tuple(played))


def _recorded(mixed: Samples, rng: np.random.Generator, wish: SoundWish) -> Samples:
    """The mixture as a microphone delivers it: its noise floor, its level, sometimes overdriven, within [-1, 1]."""
    if rng.random() < 0.5:
        mixed = mixed + noise("white", len(mixed), rng) * _gain(rng.uniform(-60, -35))
    mixed = mixed * _gain(rng.uniform(*wish.level_dbfs))
    if rng.random() < 0.05 * wish.strength:
        mixed = overdrive(mixed, rng)
    peak = float(np.abs(mixed).max(initial=0.0))
    return (mixed / max(peak, 1.0)).astype(np.float32)


def _gain(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def _dry_or_coloured(voice: Samples, rng: np.random.Generator, strength: float) -> Samples:
    return colour(voice, rng, strength) if rng.random() < 0.8 * strength else voice


def _recordings_of(ingredients: Ingredients, cls: str) -> tuple[Recording, ...]:
    if cls not in ingredients.recordings:
        known = ", ".join(sorted(ingredients.recordings))
        raise DataRejected(f"no recordings of {cls} in split {ingredients.split}; known: {known}")
    return ingredients.recordings[cls]


def _draw_span(rng: np.random.Generator, length_s: float, wish: SoundWish) -> Span:
    """When one source is switched on in a window of `length_s`."""
    kind = rng.random()
    if (kind := kind - wish.onset) < 0:
        return float(rng.uniform(0, length_s - 0.1)), length_s
    if (kind := kind - wish.late_onset) < 0:
        return length_s - float(rng.uniform(0.1, min(0.5, length_s))), length_s
    start = -1.0 if rng.random() < 0.6 else float(rng.uniform(0, 0.5 * max(0.0, length_s - HOLD_S)))
    if (kind := kind - wish.stopping) < 0:
        return start, length_s - float(rng.uniform(0.05, HOLD_S))
    if kind - wish.stopped < 0:
        return start, max(start + 0.1, length_s - float(rng.uniform(HOLD_S + 0.05, max(HOLD_S + 0.1, 0.8 * length_s))))
    return -1.0, length_s


def _voice(
    recordings: Sequence[Recording], rng: np.random.Generator, when: Sequence[Span], samples: int
) -> tuple[Samples, Activity, list[str]]:
    """One class over the whole line at a loud level of 0 dB, its activity per block, and the recordings played."""
    blocks = -(-samples // BLOCK)
    voice = np.zeros(blocks * BLOCK, np.float32)
    loud = np.zeros(blocks, bool)
    chosen = recordings[int(rng.integers(len(recordings)))]
    mates = _mates(chosen, recordings, rng)
    for start_s, end_s in when:
        first = max(0, round(start_s * RATE_HZ / BLOCK))
        last = min(blocks, round(end_s * RATE_HZ / BLOCK))
        if last <= first:
            continue
        speed = float(rng.uniform(0.94, 1.06)) if rng.random() < 0.5 else 1.0
        needed = max(1, round((last - first) * speed))
        heard, active = _phrase(mates, rng, needed, begins=start_s >= 0)
        voice[first * BLOCK : last * BLOCK] = change_speed(heard, (last - first) * BLOCK)
        loud[first:last] = _resampled(active, last - first)
    return voice[:samples], loud, sorted({mate.id for mate in mates})


def _resampled(active: Activity, blocks: int) -> Activity:
    """Activity after a change of speed: a block is active when any block that went into it was."""
    edges = np.linspace(0, len(active), blocks + 1)
    before = np.concatenate([[0], np.cumsum(active)])
    first, last = np.floor(edges[:-1] + 1e-9).astype(int), np.ceil(edges[1:] - 1e-9).astype(int)
    return np.asarray(before[last] > before[first])


def _mates(chosen: Recording, recordings: Sequence[Recording], rng: np.random.Generator) -> list[Recording]:
    """What one source plays: a recording and up to three of the same speaker, or else of the same collection."""
    mates = [r for r in recordings if r.group == chosen.group and r is not chosen]
    if not mates:
        collection = chosen.id.rsplit("/", 1)[-1].split("_")[0]
        mates = [r for r in recordings if r.id.rsplit("/", 1)[-1].split("_")[0] == collection and r is not chosen]
    few: list[int] = rng.choice(len(mates), min(3, len(mates)), replace=False).tolist() if mates else []
    return [chosen, *(mates[i] for i in few)]


def _phrase(mates: Sequence[Recording], rng: np.random.Generator, blocks: int, begins: bool) -> tuple[Samples, Activity]:
    """`blocks` of sound, either one recording as it is or a sequence with gaps, and its activity.

    begins: an audible onset comes first; otherwise the sound is already under way.
    """
    best: tuple[Samples, Activity] | None = None
    for _ in range(REDRAWS):
        best = _draw_phrase(mates, rng, blocks, begins)
        if best[1][-HOLD_BLOCKS:].any():
            break
    assert best is not None
    return best


def _draw_phrase(mates: Sequence[Recording], rng: np.random.Generator, blocks: int, begins: bool) -> tuple[Samples, Activity]:
    heard = np.zeros(blocks * BLOCK, np.float32)
    loud = np.zeros(blocks, bool)
    sequence = len(mates) > 1 and rng.random() < 0.35
    at = 0
    while at < blocks:
        piece = mates[int(rng.integers(len(mates)))] if sequence else mates[0]
        under_way = at == 0 and not begins
        first, last = _cut(piece, rng, blocks - at, under_way, sequence)
        heard[at * BLOCK : (at + last - first) * BLOCK] = _excerpt(piece, first, last)
        loud[at : at + last - first] = piece.loud[first:last]
        at += last - first
        if rng.random() < 0.6:
            at += int(rng.uniform(0.05, 0.6) * RATE_HZ / BLOCK)
    return heard, loud


def _cut(piece: Recording, rng: np.random.Generator, room: int, under_way: bool, sequence: bool) -> tuple[int, int]:
    """First and last block of the part of a recording to play in `room` blocks."""
    loud = piece.loud
    end = min(len(loud), int(np.flatnonzero(loud)[-1]) + 1 + TAIL_BLOCKS)
    if under_way:
        first = int(rng.integers(max(1, end - room + 1))) if end > room else int(rng.integers(max(1, end // 2)))
    else:
        onsets = np.flatnonzero(loud & ~np.concatenate([[False], loud[:-1]]))
        early = onsets[onsets <= max(int(onsets[0]), end - room)]
        first = int(early[rng.integers(len(early))])
    longest = int(rng.uniform(0.25, 1.5) * RATE_HZ / BLOCK) if sequence else room
    return first, max(first + 1, min(end, first + longest, first + room))


def _excerpt(piece: Recording, first: int, last: int) -> Samples:
    out = np.zeros((last - first) * BLOCK, np.float32)
    part = piece.samples[first * BLOCK : last * BLOCK]
    out[: len(part)] = part / np.float32(piece.loud_rms)
    fade = min(FADE, len(part) // 2)
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        out[:fade] *= ramp
        out[len(part) - fade : len(part)] *= ramp[::-1]
    return out


def _ambience(ingredients: Ingredients, rng: np.random.Generator, samples: int, wish: SoundWish, played: list[str]) -> Samples:
    """Something that is not in the picture, at a loud level near 0 dB."""
    pool = ingredients.classes_only_heard() if wish.off_target is None else wish.off_target
    if not pool or rng.random() < 0.3:
        return _dry_or_coloured(noise(str(rng.choice(NOISES)), samples, rng), rng, wish.strength)
    recordings = _recordings_of(ingredients, pool[int(rng.integers(len(pool)))])
    start_s = -1.0 if rng.random() < 0.7 else float(rng.uniform(0, samples / RATE_HZ))
    voice, _, ids = _voice(recordings, rng, [(start_s, samples / RATE_HZ)], samples)
    played += ids
    return _dry_or_coloured(voice, rng, wish.strength)
