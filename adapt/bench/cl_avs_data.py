"""S4 and MS3 clips as the protocols of CL-AVS need them: their masks are binary, so what orders the tasks is put into them.

A mask index stands for the clip's category (CIL, TIL, DIL by groups), its domain (DIL by corruptions), or, in a stream, for
nothing but that something sounds. The masks that a network learns from stay binary: see `ClassProtocol.outputs`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cavs.adapt.bench.cl_avs import SOUNDING
from cavs.adapt.bench.corruptions import CORRUPTIONS, corrupt
from cavs.adapt.data.clip_set import ClipFiles, ClipSet, LabelledClip, read_binary_mask
from cavs.adapt.data.ms3 import read_ms3
from cavs.adapt.data.s4 import read_s4

DOMAIN_SEED = 0
"""Of which clip belongs to which domain: one for all, so that runs compare."""


class NamedMasks(ClipSet):
    """Clips of a binary layout whose mask index is the number of the one name in `sounding`."""

    view = " by name"

    def __init__(self, source: ClipSet, names: tuple[str, ...], listed: tuple[ClipFiles, ...], size_px: int) -> None:
        super().__init__(
            source.layout, source.root, listed, classes=("background", *names), read_mask=read_binary_mask, size_px=size_px
        )

    def clip(self, index: int) -> LabelledClip:
        clip = super().clip(index)
        number = self.classes.index(clip.sounding[0])
        return replace(clip, masks=np.where(clip.masks > 0, number, 0).astype(np.uint8))


class CorruptedMasks(NamedMasks):
    """Each clip in its domain."""

    view = " by domain"

    def clip(self, index: int) -> LabelledClip:
        return corrupt(super().clip(index), self.files[index].sounding[0])


def read_categories(root: Path, size_px: int) -> NamedMasks:
    """S4, a class for every category."""
    source = read_s4(root, size_px=size_px)
    names = tuple(sorted({files.sounding[0] for files in source.listed}))
    return NamedMasks(source, names, source.listed, size_px)


def read_domains(root: Path, size_px: int) -> CorruptedMasks:
    """S4, a class for every domain; no clip is in two, and each domain gets its share of every category and split."""
    source = read_s4(root, size_px=size_px)
    domains = tuple(CORRUPTIONS)
    rng = np.random.default_rng(DOMAIN_SEED)
    by_kind: dict[tuple[str, str], list[int]] = {}
    for index, files in enumerate(source.listed):
        by_kind.setdefault((files.split, files.sounding[0]), []).append(index)
    domain_of: dict[int, str] = {}
    dealt = {files.split: 0 for files in source.listed}
    for (split, _), indices in sorted(by_kind.items()):
        for index in rng.permutation(indices).tolist():
            domain_of[index] = domains[dealt[split] % len(domains)]
            dealt[split] += 1
    listed = tuple(replace(files, sounding=(domain_of[index],)) for index, files in enumerate(source.listed))
    return CorruptedMasks(source, domains, listed, size_px)


def read_stream(root: Path, size_px: int) -> NamedMasks:
    """MS3, all of one class."""
    source = read_ms3(root, size_px=size_px)
    return NamedMasks(source, (SOUNDING,), tuple(replace(files, sounding=(SOUNDING,)) for files in source.listed), size_px)
