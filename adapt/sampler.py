"""Composes the batches of training: every scene is new, and is paired with several sounds.

What to mark depends on the sound alone: the same picture comes with sounds of what it shows, of one thing it shows and
one it does not, of things elsewhere, and with none. A batch is a function of (seed, process, step), so a run that was
killed goes on with the batches it would have had.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.scene import Scene, SceneWish, compose_scene
from cavs.adapt.data.sound import SoundWish, compose_sound
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.train_config import TrainConfig
from cavs.adapt.training_step import Batch

GRID = 4  # stride of the masks that are learned
COUNTS = (0.3, 0.4, 0.3)  # chances of one, two and three classes that can sound in a scene
DISTRACTORS = (0, 2)
MIXTURES = (1, 2)  # sounding things of which none is seen: one or two

Rng = np.random.Generator
Floats = npt.NDArray[np.float32]


class Pairings(Dataset[Batch]):
    """Item n is the batch of step n for one process of a run."""

    def __init__(self, ingredients: Ingredients, config: TrainConfig, network: NetworkConfig, rank: int = 0) -> None:
        self.ingredients = ingredients
        self.config = config
        self.network = network
        self.rank = rank
        self.row_of = {name: row for row, name in enumerate(config.classes + config.distractors)}
        weights = np.array([config.emphasis.get(name, 1.0) for name in config.classes])
        self.weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)  # the loader is one process of several; OpenCV's own threads would fight with torch's
        rng = np.random.default_rng([self.config.seed, self.rank, step])
        pairing = self.config.pairing
        scenes = [self._scene(rng) for _ in range(pairing.scenes)]
        wanted: list[Sequence[str]] = []
        pairs: list[tuple[int, int]] = []
        for index, scene in enumerate(scenes):
            for _ in range(pairing.own_sounds):
                pairs.append((index, len(wanted)))
                wanted.append(self._heard_with(scene, rng))
        own = len(wanted)
        wanted += [()] * pairing.quiet_sounds
        for index in range(len(scenes)):
            if pairing.quiet_sounds:
                pairs.append((index, own + index % pairing.quiet_sounds))
            others = [n for n in range(own) if n // pairing.own_sounds != index]
            for borrowed in rng.choice(others, min(pairing.borrowed_sounds, len(others)), replace=False) if others else ():
                pairs.append((index, int(borrowed)))
        waves, heard = self._sounds(wanted, rng)
        return Batch(
            frames=torch.from_numpy(np.stack([scene.frame for scene in scenes])).permute(0, 3, 1, 2).contiguous(),
            visible=torch.from_numpy(np.stack([self._visible(scene) for scene in scenes])),
            waves=torch.from_numpy(waves),
            heard=torch.from_numpy(heard),
            scene=torch.tensor([scene for scene, _ in pairs]),
            sound=torch.tensor([sound for _, sound in pairs]),
            used=torch.from_numpy(self._used(scenes, rng)),
        )

    def _scene(self, rng: Rng) -> Scene:
        pairing = self.config.pairing
        count = 1 + int(rng.choice(len(COUNTS), p=COUNTS))
        count = min(count, len(self.config.classes))
        classes = rng.choice(self.config.classes, count, replace=False, p=self.weights)
        wish = SceneWish(
            classes=tuple(map(str, classes)),
            distractors=DISTRACTORS,
            duplicates=pairing.duplicates,
            real_scenes=pairing.real_scenes,
            strength=float(rng.uniform(pairing.weakest, pairing.strongest)),
        )
        return compose_scene(self.ingredients, rng, size=(self.network.frame_height_px, self.network.frame_width_px), want=wish)

    def _heard_with(self, scene: Scene, rng: Rng) -> list[str]:
        """Classes of one sound for this scene; the last kind is heard only off screen."""
        pairing = self.config.pairing
        shown = sorted({one.cls for one in scene.instances} & set(self.config.classes))
        elsewhere = [name for name in self.config.classes if name not in shown]
        rng.shuffle(shown)
        rng.shuffle(elsewhere)
        kind = rng.random()
        if kind < pairing.one_visible:
            return shown[:1]
        if kind < pairing.one_visible + pairing.two_visible:
            return shown[:2]
        if kind < pairing.one_visible + pairing.two_visible + pairing.visible_and_offscreen:
            return shown[:1] + elsewhere[:1]
        return elsewhere[: int(rng.integers(MIXTURES[0], MIXTURES[1] + 1))]

    def _sounds(self, wanted: Sequence[Sequence[str]], rng: Rng) -> tuple[Floats, Floats]:
        waves = np.zeros((len(wanted), self.network.sound_samples), np.float32)
        heard = np.zeros((len(wanted), len(self.row_of)), np.float32)
        wish = SoundWish(stopped=self.config.pairing.stopped)
        for index, classes in enumerate(wanted):
            sound = compose_sound(self.ingredients, rng, classes=classes, samples=self.network.sound_samples, wish=wish)
            waves[index] = sound.samples
            for name, active in sound.active.items():
                heard[index, self.row_of[name]] = active
        return waves, heard

    def _visible(self, scene: Scene) -> npt.NDArray[np.float16]:
        height, width = (side // GRID for side in scene.frame.shape[:2])
        shares = np.zeros((len(self.row_of), height, width), np.float32)
        for one in scene.instances:
            if one.cls in self.row_of:
                mask = one.mask.astype(np.float32)
                shares[self.row_of[one.cls]] += cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        return shares.astype(np.float16)

    def _used(self, scenes: Sequence[Scene], rng: Rng) -> Floats:
        """Rows of the table in this step. A class that is shown but hidden must be marked without a name."""
        used = np.ones(len(self.row_of), np.float32)
        if rng.random() < self.config.loss.hidden_distractors:
            used[len(self.config.classes) :] = 0
        shown = sorted({one.cls for scene in scenes for one in scene.instances} & set(self.config.classes))
        if shown and rng.random() < self.config.loss.hidden_class:
            used[self.row_of[str(rng.choice(shown))]] = 0
        return used
