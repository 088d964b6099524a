"""Who is in a clip and when each one sounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.sound import Span
from cavs.runtime.errors import DataRejected

Cooccurrence = Mapping[str, Mapping[str, float]]
"""For a class, the chance that each other class is in its clips: entangles classes on purpose."""


@dataclass(frozen=True, slots=True)
class ClipWish:
    """What a clip should hold.

    targets:      classes that may sound; None means every class that can be seen and heard.
    sources:      chance weights of one, two, three ... classes that are seen and sound.
    distractors:  smallest and largest number of silent objects of other classes.
    offscreen:    chance of a target class that is heard but not seen.
    switching:    chance that a source pauses, starts late or stops, rather than sounding throughout.
    cooccurrence: replaces the uniform draw of the other sounding classes; the partners for whom `sources` has no room
                  are there, silent.
    real_scenes:  chance of a real scene as the world.  steady: chance that the camera stands still.
    strength:     of the augmentation, 0 to 1.
    """

    targets: tuple[str, ...] | None = None
    sources: tuple[float, ...] = (0.45, 0.35, 0.2)
    distractors: tuple[int, int] = (0, 2)
    offscreen: float = 0.15
    switching: float = 0.75
    cooccurrence: Cooccurrence | None = None
    real_scenes: float = 0.12
    steady: float = 0.3
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Cast:
    """Classes of a clip: seen and sounding, seen and silent, heard only."""

    sounding: tuple[str, ...]
    silent: tuple[str, ...]
    offscreen: tuple[str, ...]


def draw_cast(ingredients: Ingredients, rng: np.random.Generator, wish: ClipWish) -> Cast:
    """The classes of one clip: the first uniformly, the others uniformly or by the co-occurrence matrix."""
    targets = known_targets(ingredients, wish.targets)
    weights = np.asarray(wish.sources[: len(targets)], np.float64)
    count = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
    first = targets[int(rng.integers(len(targets)))]
    partners = _draw_partners(ingredients, rng, wish.cooccurrence, first)
    others = [cls for cls in targets if cls != first] if partners is None else [c for c in partners if c in targets]
    sounding = (first, *_some(others, count - 1, rng))
    silent = [cls for cls in partners or () if cls not in sounding]
    row = (wish.cooccurrence or {}).get(first, {})
    pool = [cls for cls in sorted(ingredients.cutouts) if cls not in sounding and cls not in row]
    silent += _some(pool, int(rng.integers(wish.distractors[0], wish.distractors[1] + 1)) - len(silent), rng)
    hidden = [cls for cls in targets if cls not in sounding and cls not in silent]
    return Cast(sounding, tuple(silent), _some(hidden, int(rng.random() < wish.offscreen), rng))


def known_targets(ingredients: Ingredients, targets: Sequence[str] | None) -> tuple[str, ...]:
    """The targets, or all possible ones for None; DataRejected when one cannot be both seen and heard."""
    known = ingredients.classes_with_both()
    wanted = known if targets is None else tuple(targets)
    unknown = [cls for cls in wanted if cls not in known]
    if unknown or not wanted:
        lacking = ", ".join(unknown) or "any class"
        has = ", ".join(known) or "none"
        raise DataRejected(f"{lacking}: no pictures and sounds in split {ingredients.split}; known: {has}")
    return wanted


def _draw_partners(
    ingredients: Ingredients, rng: np.random.Generator, matrix: Cooccurrence | None, first: str
) -> list[str] | None:
    """Who comes along with the first class; None without a matrix."""
    if matrix is None:
        return None
    row = matrix.get(first, {})
    return [cls for cls in sorted(ingredients.cutouts) if cls != first and rng.random() < row.get(cls, 0.0)]


def _some(pool: Sequence[str], count: int, rng: np.random.Generator) -> tuple[str, ...]:
    if count <= 0 or not pool:
        return ()
    return tuple(pool[i] for i in rng.choice(len(pool), min(count, len(pool)), replace=False).tolist())


def draw_spans(rng: np.random.Generator, seconds: float, switching: float) -> list[Span]:
    """When one source is on: throughout, from a moment, until a moment, once, or on and off. Starts below 0 are earlier."""
    if rng.random() >= switching:
        return [(-1.0, seconds)]
    kind = rng.choice(["starts", "stops", "once", "on and off"], p=[0.25, 0.25, 0.2, 0.3])
    early, late = np.sort(rng.uniform(0.1, 0.9, 2)) * seconds
    if kind == "starts":
        return [(float(early), seconds)]
    if kind == "stops":
        return [(-1.0, float(late))]
    if kind == "once":
        return [(float(early), max(float(late), float(early) + 0.5))]
    spans, at = [], float(rng.uniform(-1.0, 1.0))
    while at < seconds:
        end = at + float(rng.uniform(0.6, 1.8))
        if end > 0:
            spans.append((at, end))
        at = end + float(rng.uniform(0.8, 1.8))
    return spans
