"""A set of ingredients that needs nothing downloaded: drawn things, synthesised sounds, drawn places.

The splits never share a thing: the split is part of every seed, and every drawing and sound is a group of its own.
"""

from collections.abc import Callable
from functools import cached_property, partial

import numpy as np

from cavs.adapt.data.drawn import PAINTERS, draw
from cavs.adapt.data.ingredients import (
    RATE_HZ,
    SPLITS,
    Backdrop,
    Cutout,
    Ingredients,
    Pixels,
    Recording,
    Samples,
    Split,
    continue_colours,
)
from cavs.adapt.data.places import PLACES, draw_place
from cavs.adapt.data.synthesised import SURROUNDINGS, synthesise, synthesise_surroundings

CLASSES: tuple[str, ...] = tuple(PAINTERS)
"""The things that can be seen and heard."""
OFFSCREEN_CLASS = "offscreen_misc"
"""Class of all sounds that nothing in the picture makes."""
SMALLEST_PX, LARGEST_PX = 144, 240
"""Range of the longer side of a cut-out: as sharp as the photographs' cut-outs."""
SHORTEST_S, LONGEST_S = 2.0, 5.0
"""Range of the length of a sound."""
PLACE_PX = (320, 240)
"""Width and height of a drawn place."""
_CUTOUT, _SOUND, _SURROUNDING, _PLACE = range(4)
Seed = tuple[int, int, int, int, int]


def procedural_ingredients(
    split: Split, *, per_class: int = 40, sounds_per_class: int = 40, places: int = 60, seed: int = 0
) -> Ingredients:
    """One split of the set, every piece made when it is first used; the same arguments give the same set.

    per_class:        cut-outs of each class. places: backgrounds.
    sounds_per_class: recordings of each class, and of `offscreen_misc`.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r}; expected one of {', '.join(SPLITS)}")
    surroundings, kinds = tuple(SURROUNDINGS), tuple(PLACES)
    recordings = {
        name: tuple(_recording(split, seed, number, i) for i in range(sounds_per_class)) for number, name in enumerate(CLASSES)
    }
    recordings[OFFSCREEN_CLASS] = tuple(
        _surrounding(split, seed, surroundings[i % len(surroundings)], i) for i in range(sounds_per_class)
    )
    return Ingredients(
        split=split,
        cutouts={name: tuple(_cutout(split, seed, number, i) for i in range(per_class)) for number, name in enumerate(CLASSES)},
        recordings={name: some for name, some in recordings.items() if some},
        backgrounds=tuple(_place(split, seed, kinds[i % len(kinds)], i) for i in range(places)),
    )


class _DrawnCutout(Cutout):
    """A cut-out that is drawn when it is first looked at: of a set, few are needed at once."""

    paint: Callable[[], Pixels]

    def __init__(self, name: str, cls: str, paint: Callable[[], Pixels]) -> None:
        vars(self).update(id=f"{name}.png", cls=cls, group=name, truncated=False, paint=paint)  # its parent is frozen

    @cached_property
    def rgba(self) -> Pixels:
        return self.paint()


class _SynthesisedRecording(Recording):
    """A recording that is synthesised when it is first listened to."""

    sing: Callable[[], Samples]

    def __init__(self, name: str, cls: str, sing: Callable[[], Samples]) -> None:
        vars(self).update(id=f"{name}.wav", cls=cls, group=name, sing=sing)  # its parent is frozen

    @cached_property
    def samples(self) -> Samples:
        return self.sing()


class _DrawnPlace(Backdrop):
    """A place that is drawn when it is first looked at."""

    paint: Callable[[], Pixels]

    def __init__(self, name: str, paint: Callable[[], Pixels]) -> None:
        vars(self).update(id=f"{name}.png", group=name, ids=None, objects=(), paint=paint)  # its parent is frozen

    @cached_property
    def pixels(self) -> Pixels:
        return self.paint()


def _cutout(split: Split, seed: int, number: int, index: int) -> Cutout:
    name, cls = f"procedural/{split}/{seed}/{CLASSES[number]}/{index}", CLASSES[number]
    return _DrawnCutout(name, cls, partial(_draw, cls, _seed(split, seed, _CUTOUT, number, index)))


def _recording(split: Split, seed: int, number: int, index: int) -> Recording:
    name, cls = f"procedural/{split}/{seed}/{CLASSES[number]}/sound/{index}", CLASSES[number]
    return _SynthesisedRecording(name, cls, partial(_sing, synthesise, cls, _seed(split, seed, _SOUND, number, index)))


def _surrounding(split: Split, seed: int, kind: str, index: int) -> Recording:
    name = f"procedural/{split}/{seed}/{OFFSCREEN_CLASS}/{kind}/{index}"
    sing = partial(_sing, synthesise_surroundings, kind, _seed(split, seed, _SURROUNDING, 0, index))
    return _SynthesisedRecording(name, OFFSCREEN_CLASS, sing)


def _place(split: Split, seed: int, kind: str, index: int) -> Backdrop:
    name = f"procedural/{split}/{seed}/{kind}/{index}"
    return _DrawnPlace(name, partial(_paint_place, kind, _seed(split, seed, _PLACE, 0, index)))


def _seed(split: Split, seed: int, what: int, number: int, index: int) -> Seed:
    return seed, SPLITS.index(split), what, number, index


def _draw(cls: str, seed: Seed) -> Pixels:
    rng = np.random.default_rng(seed)
    return continue_colours(draw(cls, rng, int(rng.integers(SMALLEST_PX, LARGEST_PX + 1))))


def _sing(voice: Callable[[str, np.random.Generator, float, int], Samples], name: str, seed: Seed) -> Samples:
    rng = np.random.default_rng(seed)
    return voice(name, rng, rng.uniform(SHORTEST_S, LONGEST_S), RATE_HZ)


def _paint_place(kind: str, seed: Seed) -> Pixels:
    return draw_place(kind, np.random.default_rng(seed), *PLACE_PX)
