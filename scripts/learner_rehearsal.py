#!/usr/bin/env python3
"""Makes what the shipped bundle can rehearse of its photographed classes: adapt/learn/rehearsal.safetensors.

python scripts/learner_rehearsal.py --ingredients DIR --exclude 'nc/*' --classes dog rooster piano

Pictures and sounds are composed of split `train`. The file holds statistics of what the network makes of them, each of several
pictures or sounds, nothing that could be looked at or listened to.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.scene import SceneWish, compose_scene
from cavs.adapt.data.sound import SoundWish, compose_sound
from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.learn.features import listen, look, see
from cavs.adapt.learn.from_bundle import network_from_bundle
from cavs.adapt.learn.rehearsal import FILE, Rehearsal, save_rehearsal
from cavs.adapt.model.network import Network
from cavs.runtime.bundle import default_bundle_path, read_bundle

TOGETHER = 0.3
"""Chance of a second class in a picture, and in a sound."""
STRENGTH = 0.6
STRIDE = 8
SURE_SHARE = 0.9
"""A cell that is taken as a pixel of a class shows so much of it."""


@dataclass(frozen=True)
class Wish:
    """How many of each class; pixels: of one thing in one picture."""

    pictures: int
    pixels: int
    sounds: int


@torch.no_grad()
def pixels_of(
    network: Network, ingredients: Ingredients, names: Sequence[str], wish: Wish, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Vectors (N, C) and the class of each (N,)."""
    size = (network.config.frame_height_px, network.config.frame_width_px)
    grid = (size[1] // STRIDE, size[0] // STRIDE)
    vectors, shows = [], []
    for number in range(wish.pictures * len(names)):
        classes = _with_another(names, number, rng)
        scene_wish = SceneWish(classes=classes, distractors=(0, 0), duplicates=0.0, real_scenes=0.0, strength=STRENGTH)
        scene = compose_scene(ingredients, rng, size=size, want=scene_wish)
        maps = see(network, look(network, scene.frame[None])).stride8[0]
        for one in scene.instances:
            sure = np.argwhere(cv2.resize(one.mask.astype(np.float32), grid, interpolation=cv2.INTER_AREA) > SURE_SHARE)
            for row, column in rng.permutation(sure)[: wish.pixels]:
                vectors.append(maps[:, row, column])
                shows.append(names.index(one.cls))
    return torch.stack(vectors), torch.tensor(shows)


@torch.no_grad()
def voices_of(
    network: Network, ingredients: Ingredients, names: Sequence[str], wish: Wish, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """What voices come of (M, T, E), and which classes sound (M, n)."""
    waves, hears = [], []
    for number in range(wish.sounds * len(names)):
        classes, how = _with_another(names, number, rng), SoundWish(off_target=(), stopped=0.0)
        sound = compose_sound(ingredients, rng, classes=classes, samples=network.config.sound_samples, wish=how)
        waves.append(sound.samples)
        hears.append([float(sound.active.get(name, False)) for name in names])
    return network.listener.voice_part(listen(network, np.stack(waves))), torch.tensor(hears)


def _with_another(names: Sequence[str], number: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Each class in turn, now and then with another one."""
    both = tuple(dict.fromkeys((names[number % len(names)], str(rng.choice(names)))))
    return both[: 1 + int(rng.random() < TOGETHER)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ingredients", required=True)
    parser.add_argument("--exclude", action="append", default=[])
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--pictures", type=int, default=16, help="of each class")
    parser.add_argument("--pixels", type=int, default=16, help="of one thing in one picture")
    parser.add_argument("--sounds", type=int, default=32, help="of each class")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path(), help="in place of the shipped one")
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = network_from_bundle(read_bundle(args.bundle))
    ingredients = load_sets([args.ingredients], "train", args.exclude)
    names, rng = tuple(args.classes), np.random.default_rng(args.seed)
    wish = Wish(args.pictures, args.pixels, args.sounds)
    rehearsal = Rehearsal(
        names, *pixels_of(network, ingredients, names, wish, rng), *voices_of(network, ingredients, names, wish, rng)
    )
    save_rehearsal(network, rehearsal, args.out)
    size = args.out.stat().st_size / 2**20
    print(f"{args.out}: {len(rehearsal.pixels)} pixels, {len(rehearsal.voices)} sounds, {size:.2f} MiB")


if __name__ == "__main__":
    main()
