"""What is evaluated: situations in which it is known exactly what should be marked, composed from a seed.

alone        one object, which sounds
one_silent   two objects, one sounds; the same frames say how much of the silent one is marked ("swapped sound")
two_sound    three objects, two sound
off_mixed    two objects, one sounds, mixed with a class that is not in the picture
off_only     two objects, both silent; a class that is not in the picture sounds
no_target    two objects, both silent; ambience and other things sound
silence      two objects, digital silence
stopped      one object, which fell silent 0.65 s ago or earlier
real         photographs with outlined objects, one class of which sounds
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.scene import Scene, SceneWish, compose_scene
from cavs.adapt.data.sound import Sound, SoundWish, compose_sound
from cavs.runtime.engine import LABEL_FIRST_CLASS
from cavs.runtime.errors import DataRejected

MARKED = ("alone", "one_silent", "two_sound", "off_mixed", "real")
EMPTY = ("off_only", "no_target", "silence", "stopped")
SHOWN = {"alone": 1, "one_silent": 2, "two_sound": 3, "off_mixed": 2, "real": 1}  # classes asked for; others show 2
HEARD = {"alone": 1, "one_silent": 1, "two_sound": 2, "off_mixed": 1, "real": 1}
REDRAWS = 8

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One frame with one sound and what should be marked.

    truth: uint8 (H, W), labels of the graph contract, 0 where nothing sounds. silent: bool (H, W), what is seen of the
    known classes and does not sound. sources: ids of every ingredient.
    """

    frame: Bytes
    sound: npt.NDArray[np.float32]
    truth: Bytes
    silent: npt.NDArray[np.bool_]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseSource:
    """What cases are composed from. strength: of the augmentation of pictures, 0 leaves all but the pose."""

    ingredients: Ingredients
    classes: tuple[str, ...]
    rows: dict[str, int]
    size: tuple[int, int]
    samples: int
    strength: float = 0.25

    def cases(self, name: str, count: int, seed: int) -> Iterator[Case]:
        """`count` cases of one scenario; classes take turns. Each is a function of (seed, scenario, its number)."""
        if name not in MARKED + EMPTY:
            raise ValueError(f"scenario {name!r}; known: {', '.join(MARKED + EMPTY)}")
        first = self.leading_classes(name)
        for number in range(count if first else 0):
            rng = np.random.default_rng([seed, (MARKED + EMPTY).index(name), number])
            yield self._case(name, first[number % len(first)], rng)

    def leading_classes(self, name: str) -> tuple[str, ...]:
        """The classes that take turns in a scenario: all, or those that a real scene shows."""
        able = self.ingredients.scenes_by_class if name == "real" else self.classes
        return tuple(cls for cls in self.classes if cls in able)

    def _case(self, name: str, leading: str, rng: np.random.Generator) -> Case:
        others = [cls for cls in self.classes if cls != leading]
        rng.shuffle(others)
        shown = [leading, *others][: SHOWN.get(name, 1 if name == "stopped" else 2)]
        scene = self._scene(name, shown, rng)
        visible = {one.cls for one in scene.instances}
        elsewhere = [cls for cls in self.classes if cls not in visible]
        rng.shuffle(elsewhere)
        sound, heard = self._sound(name, shown, elsewhere, rng)
        truth = np.zeros(scene.frame.shape[:2], np.uint8)
        silent = np.zeros(scene.frame.shape[:2], np.bool_)
        for one in scene.instances:
            if one.cls in heard:
                truth[one.mask] = LABEL_FIRST_CLASS + self.rows[one.cls]
            elif one.cls in self.classes:
                silent |= one.mask
        sources = tuple(one.source for one in scene.instances) + sound.recordings
        return Case(scene.frame, sound.samples, truth, silent, sources)

    def _scene(self, name: str, shown: list[str], rng: np.random.Generator) -> Scene:
        real = name == "real"
        wish = SceneWish(
            classes=tuple(shown),
            distractors=(0, 9 if real else 0),
            duplicates=0.0 if real else 0.1,
            real_scenes=float(real),
            strength=self.strength,
        )
        return compose_scene(self.ingredients, rng, size=self.size, want=wish)

    def _sound(self, name: str, shown: list[str], elsewhere: list[str], rng: np.random.Generator) -> tuple[Sound, set[str]]:
        """The sound and the classes that sound at its end."""
        if name == "silence":
            return Sound(np.zeros(self.samples, np.float32), {}), set()
        if name == "no_target":
            wish = SoundWish(nothing=0.0, faint=0.0)
            return compose_sound(self.ingredients, rng, classes=(), samples=self.samples, wish=wish), set()
        wish = SoundWish(onset=0.2, late_onset=0.0, stopping=0.08, stopped=0.0)
        wanted = shown[: HEARD.get(name, 0)]
        if name in ("off_mixed", "off_only"):
            wanted = wanted + elsewhere[:1]
        if name == "stopped":
            wish, wanted = SoundWish(onset=0.0, late_onset=0.0, stopping=0.0, stopped=1.0), shown
        sounding = name != "stopped"
        for _ in range(REDRAWS):  # a bark may fall into a gap: draw until all that should sound at the end do
            sound = compose_sound(self.ingredients, rng, classes=wanted, samples=self.samples, wish=wish)
            if all(active == sounding for active in sound.active.values()):
                return sound, {cls for cls, active in sound.active.items() if active}
        raise DataRejected(f"{', '.join(wanted)}: no window in which all of it {'sounds' if sounding else 'has stopped'}")
