"""The pictures and sounds that a lesson is learned from: frames of the lesson, and scenes composed of what it showed.

A thing must be marked when it sounds, not when it is seen, so pictures and sounds are composed apart, and which of them meet is
drawn anew in every step (`pairing.py`). What a person showed for seconds is cut out and put on other ground, beside other
things, large and small; drawn things and what was taught before stand beside it, seen or only heard.
"""

from collections.abc import Mapping, Sequence
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
from cavs.adapt.learn.collided import weight
from cavs.adapt.learn.exemplar import Exemplar, without_pauses
from cavs.adapt.learn.features import Looks, listen, look
from cavs.adapt.learn.material import Mask, at_other_speeds, ingredients_of
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.model.network import Network

GRID = 4
"""Stride of the masks that are learned."""
DRAWN, PLACES = 8, 24
"""Drawn things and sounds of each class, and drawn places, that a lesson is mixed with."""
BESIDE = 0.5
"""Chance that something else that can sound stands beside what was taught ..."""
EARLIER_AS_NEW = 8
"""With so many classes of earlier lessons, half as much of a lesson shows and lets hear what is new as without any."""
TAUGHT, TOGETHER, QUIET = 0.55, 0.35, 0.15
"""Shares of the sounds that let hear what was taught, those among them with something else, and those of nothing known ..."""
PAUSED = 0.1
"""... and those in which what is taught pauses, where a lesson has pauses."""

Rng = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sounded:
    """A sound and the classes that sound at its end."""

    samples: Samples
    now: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture. shown: mask by class name. own: the sound that it came with, if it is a frame of a lesson."""

    frame: Pixels
    shown: tuple[tuple[str, Mask], ...]
    own: Sounded | None


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """P pictures and M sounds, as far as no adapter changes them. C columns are the classes that occur.

    shown: float16 (P, C, H / 4, W / 4), share of each cell that shows class c.
    own: int64 (P,), index of the sound that a frame of a lesson came with, -1 where there is none.
    listened: float32 (M, T, E). heard: float32 (M, C), 1 where class c sounds now.
    """

    looks: Looks
    shown: Tensor
    own: Tensor
    listened: Tensor
    heard: Tensor


class Composer:
    """Composes pictures and sounds of a lesson, each a function of the seed, its number and the exemplars.

    often: how often the new thing is taken for what was known (`collided.collided`); that comes more often than other things.
    """

    def __init__(  # noqa: PLR0917  what a lesson is made of
        self,
        network: Network,
        new: Sequence[Exemplar],
        memory: Sequence[Exemplar],
        known: Sequence[str],
        options: LearnOptions,
        seed: int,
        often: Mapping[str, float] | None = None,
    ) -> None:
        self.network, self.options, self.seed, self._often = network, options, seed, often or {}
        (self.new, pauses), (self.memory, more) = without_pauses(new), without_pauses(memory)
        self.pauses = (*pauses, *more)
        self.taught = tuple(dict.fromkeys(name for one in new for name in one.names))
        drawn = procedural_ingredients("train", per_class=DRAWN, sounds_per_class=DRAWN, places=PLACES, seed=seed)
        self.ingredients = merge(drawn, *(at_other_speeds(ingredients_of(some, "train")) for some in (self.new, self.memory)))
        able = self.ingredients.classes_with_both()
        self.pasted = tuple(name for name in self.taught if name in able)
        here = {name for one in memory for name in one.names} | (set(CLASSES) & set(known))
        self.others = tuple(name for name in able if name in here and name not in self.taught)
        self.earlier = tuple(name for name in self.others if name not in CLASSES)
        self._new_share = EARLIER_AS_NEW / (EARLIER_AS_NEW + len(self.earlier))
        count = max(1, len(self.earlier))  # a memory may hold only what is taught once more, or corrections
        self._earlier_share = count / (count + 1)  # of what is known: all drawn things together count as one class
        self.columns = (*self.taught, *self.others)

    def part(self, pictures: range, sounds: range) -> Pool:
        """These pictures and sounds, encoded; the sounds that pictures came with follow after the others."""
        made = [self.picture(number) for number in pictures]
        heard = [self.sound(number) for number in sounds]
        own = torch.full((len(made),), -1, dtype=torch.int64)
        for index, picture in enumerate(made):
            if picture.own is not None:
                own[index] = len(heard)
                heard.append(picture.own)
        return Pool(
            looks=look(self.network, np.stack([picture.frame for picture in made])),
            shown=torch.from_numpy(np.stack([self._shares(picture) for picture in made])),
            own=own,
            listened=listen(self.network, np.stack([one.samples for one in heard])),
            heard=torch.tensor([[float(name in one.now) for name in self.columns] for one in heard]),
        )

    def picture(self, number: int) -> Picture:
        """Picture `number`."""
        rng = np.random.default_rng([self.seed, 0, number])
        kind = rng.random() / self._new_share
        if kind < self.options.shown or not self.pasted:
            return self._as_shown(self.new[number % len(self.new)], rng)
        if kind < self.options.shown + self.options.pasted:
            taught = self.pasted[int(rng.integers(len(self.pasted)))]
            beside = self._others(1, rng) if rng.random() < BESIDE else ()
            return self._composed((taught, *beside), rng)
        if self.memory and rng.random() < self._earlier_share:
            return self._as_shown(self.memory[int(rng.integers(len(self.memory)))], rng)
        return self._composed(self._others(1 + int(rng.random() < 0.4), rng) or self.pasted[:1], rng)

    def sound(self, number: int) -> Sounded:
        """Sound `number`: of what was taught, alone or with something else; of something else; of a pause; of nothing known."""
        rng = np.random.default_rng([self.seed, 1, number])
        kind = rng.random()
        if kind < TAUGHT * self._new_share and self.pasted:
            taught = self.pasted[int(rng.integers(len(self.pasted)))]
            names = (taught, *(self._others(1, rng) if rng.random() < TOGETHER else ()))
        elif self.pauses and 1 - QUIET - PAUSED < kind < 1 - QUIET:
            return Sounded(_louder(self.pauses[int(rng.integers(len(self.pauses)))].sound, rng), ())
        else:
            names = () if kind > 1 - QUIET else self._others(1 + int(rng.random() < TOGETHER), rng)
        samples, wish = self.network.config.sound_samples, SoundWish(off_target=(OFFSCREEN_CLASS,))
        sound = compose_sound(self.ingredients, rng, classes=names, samples=samples, wish=wish)
        return Sounded(sound.samples, tuple(name for name, active in sound.active.items() if active))

    def _as_shown(self, one: Exemplar, rng: Rng) -> Picture:
        frame, marks = one.frame, one.marks
        if rng.random() < 0.5:
            frame = np.ascontiguousarray(frame[:, ::-1])
            marks = tuple((name, np.ascontiguousarray(mask[:, ::-1])) for name, mask in marks)
        strength = float(rng.uniform(0, self.options.strongest))
        frame = finish(apply_tone(frame, draw_tone(rng, 0.5 * strength)), rng, strength)
        return Picture(frame, marks, Sounded(_louder(one.sound, rng), one.names))

    def _composed(self, classes: tuple[str, ...], rng: Rng) -> Picture:
        config = self.network.config
        strength = float(rng.uniform(self.options.weakest, self.options.strongest))
        wish = SceneWish(classes=classes, distractors=(0, 1), duplicates=0.1, real_scenes=0.0, strength=strength)
        scene = compose_scene(self.ingredients, rng, size=(config.frame_height_px, config.frame_width_px), want=wish)
        return Picture(scene.frame, tuple((one.cls, one.mask) for one in scene.instances if one.cls in self.columns), None)

    def _others(self, count: int, rng: Rng) -> tuple[str, ...]:
        """Up to `count` of what was known before, different ones."""
        drawn = self._in_turn([name for name in self.others if name not in self.earlier], rng)
        earlier = self._in_turn(self.earlier, rng)
        chosen = []
        for _ in range(min(count, len(self.others))):
            of_earlier = earlier and (not drawn or rng.random() < self._earlier_share)
            chosen.append((earlier if of_earlier else drawn).pop(0))
        return tuple(chosen)

    def _in_turn(self, names: Sequence[str], rng: Rng) -> list[str]:
        """In random order; what the new thing is taken for rather comes first."""
        order = list(names)
        rng.shuffle(order)
        if any(name in self._often for name in order):
            order.sort(key=lambda name: rng.random() ** (1 / weight(self._often, name)), reverse=True)
        return order

    def _shares(self, picture: Picture) -> npt.NDArray[np.float16]:
        height, width = (side // GRID for side in picture.frame.shape[:2])
        shares = np.zeros((len(self.columns), height, width), np.float32)
        for name, mask in picture.shown:
            if name in self.columns:
                shares[self.columns.index(name)] += cv2.resize(
                    mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
                )
        return np.clip(shares, 0, 1).astype(np.float16)


def _louder(sound: Samples, rng: Rng) -> Samples:
    """Or quieter."""
    loudness = np.float32(10 ** (rng.uniform(-10, 6) / 20))
    changed: Samples = np.clip(sound * loudness, -1, 1).astype(np.float32)
    return changed


def join(parts: Sequence[Pool]) -> Pool:
    """Several parts as one."""
    looks = Looks(tuple(torch.cat(levels) for levels in zip(*(part.looks.maps for part in parts), strict=True)))
    before = np.cumsum([0, *(len(part.listened) for part in parts)]).tolist()
    return Pool(
        looks=looks,
        shown=torch.cat([part.shown for part in parts]),
        own=torch.cat([torch.where(part.own < 0, part.own, part.own + at) for part, at in zip(parts, before, strict=False)]),
        listened=torch.cat([part.listened for part in parts]),
        heard=torch.cat([part.heard for part in parts]),
    )
