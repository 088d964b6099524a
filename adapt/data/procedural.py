"""A set of ingredients that needs nothing downloaded: drawn things, synthesised sounds, drawn places.

The splits never share a thing: the split is part of every seed, and every drawing and sound is a group of its own.
"""

import numpy as np

from cavs.adapt.data.drawn import PAINTERS, draw
from cavs.adapt.data.ingredients import RATE_HZ, SPLITS, Backdrop, Cutout, Ingredients, Recording, Split, cutout_from
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


def procedural_ingredients(
    split: Split, *, per_class: int = 40, sounds_per_class: int = 40, places: int = 60, seed: int = 0
) -> Ingredients:
    """Draws one split of the set; the same arguments give the same set.

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


def _rng(split: Split, seed: int, what: int, number: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS.index(split), what, number, index])


def _cutout(split: Split, seed: int, number: int, index: int) -> Cutout:
    rng = _rng(split, seed, _CUTOUT, number, index)
    rgba = draw(CLASSES[number], rng, int(rng.integers(SMALLEST_PX, LARGEST_PX + 1)))
    name = f"procedural/{split}/{seed}/{CLASSES[number]}/{index}"
    return cutout_from(rgba, id=f"{name}.png", cls=CLASSES[number], group=name)


def _recording(split: Split, seed: int, number: int, index: int) -> Recording:
    rng = _rng(split, seed, _SOUND, number, index)
    samples = synthesise(CLASSES[number], rng, rng.uniform(SHORTEST_S, LONGEST_S), RATE_HZ)
    name = f"procedural/{split}/{seed}/{CLASSES[number]}/sound/{index}"
    return Recording(f"{name}.wav", CLASSES[number], name, samples)


def _surrounding(split: Split, seed: int, kind: str, index: int) -> Recording:
    rng = _rng(split, seed, _SURROUNDING, 0, index)
    samples = synthesise_surroundings(kind, rng, rng.uniform(SHORTEST_S, LONGEST_S), RATE_HZ)
    name = f"procedural/{split}/{seed}/{OFFSCREEN_CLASS}/{kind}/{index}"
    return Recording(f"{name}.wav", OFFSCREEN_CLASS, name, samples)


def _place(split: Split, seed: int, kind: str, index: int) -> Backdrop:
    rng = _rng(split, seed, _PLACE, 0, index)
    name = f"procedural/{split}/{seed}/{kind}/{index}"
    return Backdrop(f"{name}.png", name, draw_place(kind, rng, *PLACE_PX))
