"""Several folders of ingredients, and the generated set, as one split."""

from collections.abc import Sequence

from cavs.adapt.data.ingredients import Ingredients, Split, load_ingredients, merge
from cavs.adapt.data.procedural import procedural_ingredients

PROCEDURAL = "procedural"  # in place of a path: the set that our own code draws and synthesises


def load_sets(paths: Sequence[str], split: Split, exclude: Sequence[str] = (), unheard: Sequence[str] = ()) -> Ingredients:
    """One split of all of them. `unheard`: classes whose recordings are left out."""
    parts = [
        procedural_ingredients(split) if path == PROCEDURAL else load_ingredients(path, split=split, exclude=exclude)
        for path in paths
    ]
    merged = merge(*parts)
    return Ingredients(
        split=merged.split,
        cutouts=merged.cutouts,
        recordings={name: some for name, some in merged.recordings.items() if name not in unheard},
        scenes=merged.scenes,
        backgrounds=merged.backgrounds,
        skipped=merged.skipped,
    )
