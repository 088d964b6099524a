"""Several folders of ingredients, and the generated set, as one split."""

from collections.abc import Sequence

from cavs.adapt.data.ingredient_folder import load_ingredients
from cavs.adapt.data.ingredients import Ingredients, Split, merge
from cavs.adapt.data.procedural import procedural_ingredients
from cavs.runtime.errors import DataRejected

PROCEDURAL = "procedural"  # in place of a path: what our own code draws and synthesises


def load_sets(paths: Sequence[str], split: Split, exclude: Sequence[str] = (), unheard: Sequence[str] = ()) -> Ingredients:
    """One split of all of them.

    paths:   folders; `procedural` or `procedural:N` is the generated set, N objects, sounds and places of each class.
    unheard: classes whose recordings are left out.
    """
    merged = merge(*(_load(path, split, exclude) for path in paths))
    return Ingredients(
        split=merged.split,
        cutouts=merged.cutouts,
        recordings={name: some for name, some in merged.recordings.items() if name not in unheard},
        scenes=merged.scenes,
        backgrounds=merged.backgrounds,
        skipped=merged.skipped,
    )


def _load(path: str, split: Split, exclude: Sequence[str]) -> Ingredients:
    name, colon, count = path.partition(":")
    if name != PROCEDURAL:
        return load_ingredients(path, split=split, exclude=exclude)
    if not colon:
        return procedural_ingredients(split)
    if not count.isdecimal() or int(count) < 1:
        raise DataRejected(f"ingredients {path}: expected procedural or procedural:N, N a number from 1")
    return procedural_ingredients(split, per_class=int(count), sounds_per_class=int(count), places=int(count))
