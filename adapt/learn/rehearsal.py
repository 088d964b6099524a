"""What a shipped network can rehearse of classes that it learned from photographs: statistics, neither pictures nor sounds.

A robot has none of the photographs and recordings behind the classes that it comes with, and a lesson forgets what it does
not rehearse. So a small file lies beside the shipped bundle: for each class a mixture of Gaussians of its pixels as the neck
has them before they are embedded, and of what the ear has of its sounds before its voices are named. No Gaussian is of fewer
than LEAST_OF_ONE vectors, so that none is a picture's or a recording's. Vectors are drawn from them anew, and a lesson that
changes how pixels are embedded and voices named sees in them whether the old ones still are what they were. They are good for
every network whose eye and ear, without what lessons added, do nearly what those did that they were taken from; a fixed
picture and sound tell.
"""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from torch import Tensor
from torch.nn import functional as F

from cavs.adapt.learn.features import listen, look, see
from cavs.adapt.model.lora import detach_lora
from cavs.adapt.model.network import Network
from cavs.runtime.errors import AdaptError

FILE = Path(__file__).parent / "rehearsal.safetensors"
PROBES = ("probe.pixels", "probe.voices")
LEAST_OF_ONE, MEMBERS = 4, 8
"""Vectors that a Gaussian is of, at least and about."""
ROUNDS = 20
APART_AT_MOST = 0.2
"""How far a network's vectors of the fixed picture and sound may be from the file's, relative to their size."""

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """Vectors, as taken from a network or drawn from what was kept of them. names: the classes.

    pixels: (N, C), vectors of the neck at stride 8; shows: int64 (N,), the class of each.
    voices: (M, T, E), what the voices of a sound come of (`Listener.voice_part`); hears: (M, n), 1 where class n sounds.
    """

    names: tuple[str, ...]
    pixels: Tensor
    shows: Tensor
    voices: Tensor
    hears: Tensor

    def of(self, known: Sequence[str]) -> "Rehearsal | None":
        """That of classes that are still known; None if there is nothing."""
        kept = torch.tensor([name in known for name in self.names])
        pixels, voices = kept[self.shows], self.hears[:, ~kept].sum(1) == 0
        if not kept.any() or not pixels.any() or not voices.any():
            return None
        places = torch.cumsum(kept, 0) - 1
        names = tuple(name for name in self.names if name in known)
        return Rehearsal(
            names, self.pixels[pixels], places[self.shows[pixels]], self.voices[voices], self.hears[voices][:, kept]
        )


def embedded(network: Network, pixels: Tensor) -> Tensor:
    """Pixels (N, C) of the neck -> unit vectors (N, D, 1, 1) in the space of the class table."""
    return F.normalize(network.neck.embed(pixels[..., None, None]).float(), dim=1)


def rehearsal_of(network: Network, path: Path = FILE, seed: int = 0) -> Rehearsal | None:
    """What this network can rehearse; None where there is no file, or it was taken from one that sees or hears otherwise.

    seed: of the vectors; others are as good as these, and not these.
    """
    if not path.exists():
        return None
    arrays = _read(path)
    for name, mine in _probe(network).items():
        theirs = arrays[name].astype(np.float32)
        if mine.shape != theirs.shape or np.abs(mine - theirs).mean() > APART_AT_MOST * np.abs(theirs).mean():
            return None
    rng = np.random.default_rng(seed)
    pixels, shows = _drawn(arrays, "pixels", rng)
    voices, hears = _drawn(arrays, "voices", rng)
    names = tuple(arrays["names"].tobytes().decode().split("\n"))
    return Rehearsal(names, pixels, shows[:, 0].long(), voices, hears.float())


def save_rehearsal(network: Network, rehearsal: Rehearsal, path: Path) -> None:
    """Writes the statistics of what was taken from a network, in half precision."""
    arrays: Arrays = {
        "names": np.frombuffer("\n".join(rehearsal.names).encode(), np.uint8).copy(),
        **_mixtures("pixels", rehearsal.pixels, rehearsal.shows[:, None]),
        **_mixtures("voices", rehearsal.voices, rehearsal.hears),
        **{name: value.astype(np.float16) for name, value in _probe(network).items()},
    }
    path.write_bytes(save_tensors({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _mixtures(name: str, vectors: Tensor, labels: Tensor) -> Arrays:
    """Means and deviations of clusters of the vectors (N, ...) with equal labels (N, L), and how many vectors each is of."""
    found: list[tuple[Tensor, Tensor, int, Tensor]] = []
    for label in torch.from_numpy(np.unique(labels.numpy(), axis=0)):
        alike = vectors[(labels == label).all(1)]
        places = _clusters(alike.flatten(1), max(1, len(alike) // MEMBERS))
        groups = [alike[places == place] for place in range(int(places.max()) + 1)]
        found += [(group.mean(0), group.std(0), len(group), label) for group in groups if len(group) >= LEAST_OF_ONE]
    if not found:
        raise ValueError(f"{name}: no {LEAST_OF_ONE} of {len(vectors)} vectors are alike; take more")
    means, deviations, counts, kinds = zip(*found, strict=True)
    return {
        f"{name}.mean": torch.stack(means).half().numpy(),
        f"{name}.deviation": torch.stack(deviations).half().numpy(),
        f"{name}.count": np.asarray(counts, np.uint16),
        f"{name}.label": torch.stack(kinds).byte().numpy(),
    }


def _clusters(vectors: Tensor, count: int) -> Tensor:
    """k-means from spread-out beginnings: the cluster of each of (N, C)."""
    centres = vectors[torch.linspace(0, len(vectors) - 1, count).long()]
    places = torch.zeros(len(vectors), dtype=torch.int64)
    for _ in range(ROUNDS):
        places = torch.cdist(vectors, centres).argmin(1)
        centres = torch.stack([
            vectors[places == place].mean(0) if (places == place).any() else centres[place] for place in range(count)
        ])  # fmt: skip
    return places


def _drawn(arrays: Arrays, name: str, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """As many vectors as the mixtures were made of, and their labels (N, L)."""
    mean, deviation = (arrays[f"{name}.{what}"].astype(np.float32) for what in ("mean", "deviation"))
    member = np.repeat(np.arange(len(mean)), arrays[f"{name}.count"].astype(np.int64))
    noise = rng.standard_normal((len(member), *mean.shape[1:])).astype(np.float32)
    return torch.from_numpy(mean[member] + deviation[member] * noise), torch.from_numpy(arrays[f"{name}.label"][member])


@functools.lru_cache(maxsize=2)
def _read(path: Path) -> Arrays:
    try:
        return dict(load_tensors(path.read_bytes()))
    except (OSError, SafetensorError) as error:
        raise AdaptError(f"{path}: cannot be read ({error}); install the package again") from error


@torch.no_grad()
def _probe(network: Network) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors of a fixed picture and sound, without LoRA pairs: the tenth lesson still rehearses what the first did."""
    network = copy.deepcopy(network)
    detach_lora(network)
    config, rng = network.config, np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 9, 9)).astype(np.float32))
    size = (config.frame_height_px, config.frame_width_px)
    picture: Tensor = F.interpolate(coarse, size, mode="bilinear")[0].permute(1, 2, 0)
    sound = (0.1 * rng.standard_normal((1, config.sound_samples))).astype(np.float32)
    pixels = see(network, look(network, picture.numpy().astype(np.uint8)[None])).stride8
    voices = network.listener.voice_part(listen(network, sound))
    return dict(zip(PROBES, (pixels.numpy(), voices.numpy()), strict=True))
