"""The pictures and sounds that a lesson is learned from: frames of the lesson, and scenes composed of what it showed.

A thing must be marked when it sounds, not when it is seen, so every picture meets several sounds: of what it shows, of what it
does not show, of nothing. What a person showed for seconds is cut out and put on other ground, beside other things, large and
small; drawn things and what was taught before stand beside it, seen or only heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cavs.adapt.data.appearance import apply_tone, draw_tone, finish
from cavs.adapt.data.ingredients import merge
from cavs.adapt.data.procedural import CLASSES, OFFSCREEN_CLASS, procedural_ingredients
from cavs.adapt.data.scene import SceneWish, compose_scene
from cavs.adapt.data.sound import SoundWish, compose_sound
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.features import Looks, listen, look
from cavs.adapt.learn.material import Mask, ingredients_of
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.model.network import Network

GRID = 4
"""Stride of the masks that are learned."""
DRAWN, PLACES = 8, 24
"""Drawn things and sounds of each class, and drawn places, that a lesson is mixed with."""
BESIDE = 0.5
"""Chance that something else that can sound stands beside what was taught ..."""
TOGETHER = 0.3
"""... and that something else is heard together with it."""
REMEMBERED = 0.5
"""Of the pictures without anything new, the share that are frames of earlier lessons, where there are any."""
QUIET = 0.4
"""Share of the sounds that are not of what was taught which hold nothing that is known at all."""
AS_IT_WAS = 0.5
"""Share of the lesson's frames that meet the very sound they came with."""

Rng = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture and its sounds. shown: mask by class name. heard: the classes that sound at the end of each sound."""

    frame: Pixels
    shown: tuple[tuple[str, Mask], ...]
    sounds: tuple[Samples, ...]
    heard: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """P pictures with S sounds each, as far as no adapter changes them. C columns are the classes that occur.

    shown: float16 (P, C, H / 4, W / 4), share of each cell that shows class c.
    attended: float32 (P, S, T, E). heard: float32 (P, S, C), 1 where class c sounds now.
    """

    looks: Looks
    shown: Tensor
    attended: Tensor
    heard: Tensor


class Composer:
    """Composes picture `number` of a lesson: a function of (seed, number) and of the exemplars."""

    def __init__(  # noqa: PLR0917  what a lesson is made of
        self,
        network: Network,
        new: Sequence[Exemplar],
        memory: Sequence[Exemplar],
        known: Sequence[str],
        options: LearnOptions,
        seed: int,
    ) -> None:
        self.network, self.options, self.seed = network, options, seed
        self.new, self.memory = tuple(new), tuple(memory)
        self.taught = tuple(dict.fromkeys(name for one in new for name in one.names))
        drawn = procedural_ingredients("train", per_class=DRAWN, sounds_per_class=DRAWN, places=PLACES, seed=seed)
        self.ingredients = merge(drawn, ingredients_of(new, "train"), ingredients_of(memory, "train"))
        able = self.ingredients.classes_with_both()
        self.pasted = tuple(name for name in self.taught if name in able)
        rehearsed = {name for one in memory for name in one.names} | (set(CLASSES) & set(known))
        self.others = tuple(name for name in able if name in rehearsed and name not in self.taught)
        self.columns = (*self.taught, *self.others)

    def part(self, first: int, end: int) -> Part:
        """Pictures `first` to `end`, encoded."""
        pictures = [self.picture(number) for number in range(first, end)]
        attended = listen(self.network, np.stack([sound for picture in pictures for sound in picture.sounds]))
        heard = [[[float(name in now) for name in self.columns] for now in picture.heard] for picture in pictures]
        return Part(
            looks=look(self.network, np.stack([picture.frame for picture in pictures])),
            shown=torch.from_numpy(np.stack([self._shares(picture) for picture in pictures])),
            attended=attended.reshape(len(pictures), self.options.sounds, *attended.shape[1:]),
            heard=torch.tensor(heard).reshape(len(pictures), self.options.sounds, len(self.columns)),
        )

    def picture(self, number: int) -> Picture:
        """Picture `number` with its sounds."""
        rng = np.random.default_rng([self.seed, number])
        kind = rng.random()
        if kind < self.options.shown or not self.pasted:
            return self._as_shown(self.new[number % len(self.new)], rng)
        if self.pasted and kind < self.options.shown + self.options.pasted:
            taught = self.pasted[int(rng.integers(len(self.pasted)))]
            beside = self._others(1, rng) if rng.random() < BESIDE else ()
            return self._composed((taught, *beside), taught, rng)
        if self.memory and rng.random() < REMEMBERED:
            return self._as_shown(self.memory[int(rng.integers(len(self.memory)))], rng)
        return self._composed(self._others(1 + int(rng.random() < 0.4), rng) or self.pasted[:1], None, rng)

    def _as_shown(self, one: Exemplar, rng: Rng) -> Picture:
        frame, marks = one.frame, one.marks
        if rng.random() < 0.5:
            frame = np.ascontiguousarray(frame[:, ::-1])
            marks = tuple((name, np.ascontiguousarray(mask[:, ::-1])) for name, mask in marks)
        strength = float(rng.uniform(0, self.options.strongest))
        frame = finish(apply_tone(frame, draw_tone(rng, 0.5 * strength)), rng, strength)
        sounds, heard = self._sounds(one.names, None, rng)
        if not one.names or rng.random() < AS_IT_WAS or not set(one.names) <= {*self.pasted, *self.others}:
            loudness = np.float32(10 ** (rng.uniform(-10, 6) / 20))
            sounds[0], heard[0] = np.clip(one.sound * loudness, -1, 1).astype(np.float32), one.names
        return Picture(frame, marks, tuple(sounds), tuple(heard))

    def _composed(self, classes: tuple[str, ...], taught: str | None, rng: Rng) -> Picture:
        config = self.network.config
        strength = float(rng.uniform(self.options.weakest, self.options.strongest))
        wish = SceneWish(classes=classes, distractors=(0, 1), duplicates=0.1, real_scenes=0.0, strength=strength)
        scene = compose_scene(self.ingredients, rng, size=(config.frame_height_px, config.frame_width_px), want=wish)
        marks = tuple((one.cls, one.mask) for one in scene.instances if one.cls in self.columns)
        sounds, heard = self._sounds(tuple(dict.fromkeys(name for name, _ in marks)), taught, rng)
        return Picture(scene.frame, marks, tuple(sounds), tuple(heard))

    def _sounds(self, seen: tuple[str, ...], first: str | None, rng: Rng) -> tuple[list[Samples], list[tuple[str, ...]]]:
        """Of what is seen; then, in turn, of what is not seen, of something else that is, or of nothing known."""
        able = [name for name in seen if name in self.pasted or name in self.others]
        rng.shuffle(able)
        if first in able:
            able = [first, *(name for name in able if name != first)]
        unseen = self._unseen(seen, rng)
        wanted = [[*able[:1], *((able[1:] + unseen)[:1] if rng.random() < TOGETHER else [])]]
        for _ in range(self.options.sounds - 1):
            silent = rng.random() < QUIET
            wanted.append([] if silent else (able[1:2] if rng.random() < 0.3 else []) or unseen[:1])
            unseen = self._unseen(seen, rng)
        sounds, heard = [], []
        for names in wanted:
            samples = self.network.config.sound_samples
            wish = SoundWish(off_target=(OFFSCREEN_CLASS,))
            sound = compose_sound(self.ingredients, rng, classes=names, samples=samples, wish=wish)
            sounds.append(sound.samples)
            heard.append(tuple(name for name, active in sound.active.items() if active))
        return sounds, heard

    def _unseen(self, seen: tuple[str, ...], rng: Rng) -> list[str]:
        """What could sound off screen; half of the time the taught come first."""
        taught, others = ([name for name in names if name not in seen] for names in (self.pasted, self.others))
        rng.shuffle(taught)
        rng.shuffle(others)
        return [*taught, *others] if rng.random() < 0.5 else [*others, *taught]

    def _others(self, count: int, rng: Rng) -> tuple[str, ...]:
        names = list(self.others)
        rng.shuffle(names)
        return tuple(names[:count])

    def _shares(self, picture: Picture) -> npt.NDArray[np.float16]:
        height, width = (side // GRID for side in picture.frame.shape[:2])
        shares = np.zeros((len(self.columns), height, width), np.float32)
        for name, mask in picture.shown:
            if name in self.columns:
                shares[self.columns.index(name)] += cv2.resize(
                    mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
                )
        return np.clip(shares, 0, 1).astype(np.float16)


def join(parts: Sequence[Part]) -> Part:
    """Several parts as one."""
    looks = Looks(tuple(torch.cat(levels) for levels in zip(*(part.looks.maps for part in parts), strict=True)))
    return Part(
        looks=looks,
        shown=torch.cat([part.shown for part in parts]),
        attended=torch.cat([part.attended for part in parts]),
        heard=torch.cat([part.heard for part in parts]),
    )
