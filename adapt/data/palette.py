"""The 71 classes of AVSBench-semantic, and the colours that stand for class indices in mask pictures."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]

_NAMES = (
    "background accordion airplane axe baby bassoon bell bird boat boy bus car cat cello clarinet clipper clock dog donkey "
    "drum duck elephant emergency-car erhu flute frying-food girl goose guitar gun guzheng hair-dryer handpan harmonica "
    "harp helicopter hen horse keyboard leopard lion man marimba missile-rocket motorcycle mower parrot piano pig pipa "
    "saw saxophone sheep sitar sorna squirrel tabla tank tiger tractor train trombone truck trumpet tuba ukulele utv "
    "vacuum-cleaner violin wolf woman"
)

AVSS_CLASSES: tuple[str, ...] = tuple(_NAMES.split())
"""Class names by mask index; 0 is the background, the rest are alphabetical."""

LARGEST_INDEX = 254
"""255 marks a colour that stands for nothing."""
NO_INDEX = 255


@lru_cache(maxsize=8)
def palette(classes: int) -> npt.NDArray[np.uint8]:
    """RGB of every class index, uint8 (classes, 3), all different: the bits of the index dealt to red, green, blue in turn."""
    if not 1 <= classes <= LARGEST_INDEX + 1:
        raise ValueError(f"{classes} classes; a mask holds 1 to {LARGEST_INDEX + 1}")
    colours = np.zeros((classes, 3), np.uint8)
    for index in range(classes):
        for bit in range(8):
            colours[index, bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    colours.flags.writeable = False
    return colours


def paint_labels(labels: Labels, classes: int) -> npt.NDArray[np.uint8]:
    """The colour picture of a mask, uint8 (H, W, 3) RGB."""
    return palette(classes)[labels]


def read_colours(rgb: npt.NDArray[np.uint8], classes: int) -> tuple[Labels, dict[tuple[int, int, int], int]]:
    """The mask of a colour picture, by exact colours, and how many pixels of each colour stand for no class (they become 0)."""
    code = _codes(rgb)
    labels = _index_of_code(classes)[code]
    strange = labels == NO_INDEX
    if not strange.any():
        return labels, {}
    labels[strange] = 0
    codes, counts = np.unique(code[strange], return_counts=True)
    unknown = {(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255): int(n) for c, n in zip(codes, counts, strict=True)}
    return labels, unknown


def _codes(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    wide = rgb.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)


@lru_cache(maxsize=2)
def _index_of_code(classes: int) -> Labels:
    """Index of each of the 2**24 colours: 16 MiB, for which a mask is read in one look-up."""
    table = np.full(1 << 24, NO_INDEX, np.uint8)
    table[_codes(palette(classes))] = np.arange(classes, dtype=np.uint8)
    return table
