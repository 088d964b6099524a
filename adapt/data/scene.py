"""Composes one picture: objects of known outline on a photograph, so that every mask is exact."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cavs.adapt.data.appearance import finish
from cavs.adapt.data.backdrop import Ground, Setting, plain_ground, scene_ground
from cavs.adapt.data.ingredients import Ingredients, Pixels
from cavs.adapt.data.sprite import Mask
from cavs.adapt.data.stage import Stage
from cavs.runtime.errors import DataRejected

ATTEMPTS = 24
"""Pictures begun before giving up; each time with smaller objects."""
SHRINK_PER_ATTEMPT = 0.93


@dataclass(frozen=True, slots=True)
class SceneWish:
    """What a picture should show.

    classes:     these, each at least once; when None, one to three out of `targets` with the weights `counts`.
    targets:     classes to draw from; None means every class that can be seen and heard.
    distractors: smallest and largest number of further objects of other classes ...
    distractor_classes: ... out of these; None means every class with cut-outs.
    duplicates:  chance of a second object of a wanted class.
    real_scenes: chance of composing inside a real scene that shows one of the classes.
    strength:    0 leaves cut-outs as they are (apart from pose), 1 is full augmentation.
    longest:     range of the longest side of an object as a share of the frame's shorter side; None goes by the number
                 of objects.
    """

    classes: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    counts: tuple[float, ...] = (0.3, 0.4, 0.3)
    distractors: tuple[int, int] = (0, 2)
    distractor_classes: tuple[str, ...] | None = None
    duplicates: float = 0.15
    real_scenes: float = 0.12
    strength: float = 1.0
    longest: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One visible object: its class, the bool (H, W) mask of what can be seen of it, the file it comes from."""

    cls: str
    mask: Mask
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A composed picture, uint8 (H, W, 3) RGB, and everything in it that has a class."""

    frame: Pixels
    instances: tuple[Instance, ...]

    def mask_of(self, classes: Sequence[str]) -> Mask:
        """Pixels of any instance of these classes, bool (H, W)."""
        mask = np.zeros(self.frame.shape[:2], bool)
        for instance in self.instances:
            if instance.cls in classes:
                mask |= instance.mask
        return mask


def compose_scene(
    ingredients: Ingredients,
    rng: np.random.Generator,
    *,
    size: int | tuple[int, int] = 224,
    want: SceneWish | None = None,
) -> Scene:
    """A new picture of `size` (side or (H, W)). Every wanted class shows at least SMALLEST_SHARE of the frame."""
    want = want or SceneWish()
    classes = draw_classes(ingredients, rng, want)
    for attempt in range(ATTEMPTS):
        squash = float(rng.uniform(0.56, 1.0)) if rng.random() < 0.5 * want.strength else 1.0
        setting = Setting((size, size) if isinstance(size, int) else size, squash, want.strength, want.longest)
        stage = Stage.on(draw_ground(ingredients, rng, want, classes, setting), setting)
        if _fill(stage, ingredients, rng, want, classes, SHRINK_PER_ATTEMPT**attempt):
            frame = finish(stage.frame, rng, want.strength)
            shown = tuple(Instance(actor.cls, actor.mask, actor.source) for actor in stage.actors if actor.mask.any())
            return Scene(frame, shown)
    raise DataRejected(f"{', '.join(classes)}: no room in {ATTEMPTS} pictures of {size}; ask for fewer classes at once")


def draw_classes(ingredients: Ingredients, rng: np.random.Generator, want: SceneWish) -> tuple[str, ...]:
    """The classes of one picture, all of them known."""
    if want.classes is not None:
        lacking = [cls for cls in want.classes if cls not in ingredients.cutouts]
        if lacking:
            known = ", ".join(sorted(ingredients.cutouts))
            raise DataRejected(f"no cut-outs of {', '.join(lacking)} in split {ingredients.split}; known: {known}")
        return want.classes
    targets = ingredients.classes_with_both() if want.targets is None else want.targets
    if not targets:
        raise DataRejected(f"split {ingredients.split}: no class that can be seen and heard")
    weights = np.asarray(want.counts[: len(targets)])
    count = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
    return tuple(targets[i] for i in rng.choice(len(targets), count, replace=False).tolist())


def draw_ground(
    ingredients: Ingredients, rng: np.random.Generator, want: SceneWish, classes: tuple[str, ...], setting: Setting
) -> Ground:
    """A real scene with one of the classes now and then, otherwise a ground without objects."""
    if rng.random() < want.real_scenes:
        shown = [cls for cls in classes if cls in ingredients.scenes_by_class]
        if shown:
            cls = shown[int(rng.integers(len(shown)))]
            allowed = [s for s in ingredients.scenes_by_class[cls] if _allows(want, classes, s.objects)]
            if allowed:
                return scene_ground(allowed[int(rng.integers(len(allowed)))], cls, rng, setting)
    return plain_ground(ingredients, rng, setting)


def _allows(want: SceneWish, classes: tuple[str, ...], objects: Sequence[tuple[int, str]]) -> bool:
    """Whether everything else in a real scene would do as distractors."""
    others = {cls for _, cls in objects} - set(classes)
    allowed = want.distractor_classes
    return len(others) <= want.distractors[1] and (allowed is None or others <= set(allowed))


def _fill(  # noqa: PLR0917  the six things a picture is made from
    stage: Stage,
    ingredients: Ingredients,
    rng: np.random.Generator,
    want: SceneWish,
    classes: tuple[str, ...],
    shrink: float,
) -> bool:
    """Puts wanted classes and distractors on the stage in random order; False when a wanted one found no place."""
    seen = {actor.cls for actor in stage.actors if actor.whole_px >= stage.smallest_px}
    needed = [cls for cls in classes if cls not in seen]
    optional = [classes[int(rng.integers(len(classes)))]] if classes and rng.random() < want.duplicates else []
    optional += _draw_distractors(ingredients, rng, want, classes, {actor.cls for actor in stage.actors})
    todo = [(cls, True) for cls in needed] + [(cls, False) for cls in optional]
    crowd = len(todo) + bool(stage.actors)
    for i in rng.permutation(len(todo)).tolist():
        cls, must_show = todo[i]
        cutouts = ingredients.cutouts[cls]
        if not stage.add(cutouts[int(rng.integers(len(cutouts)))], rng, crowd, shrink) and must_show:
            return False
    if rng.random() < 0.1 * want.strength:
        stage.add_occluder(ingredients, rng)
    return True


def _draw_distractors(
    ingredients: Ingredients, rng: np.random.Generator, want: SceneWish, classes: tuple[str, ...], present: set[str]
) -> list[str]:
    pool = sorted(ingredients.cutouts) if want.distractor_classes is None else want.distractor_classes
    others = [cls for cls in pool if cls not in classes and cls in ingredients.cutouts]
    count = int(rng.integers(want.distractors[0], want.distractors[1] + 1)) - len(present - set(classes))
    if count <= 0 or not others:
        return []
    return [others[i] for i in rng.choice(len(others), min(count, len(others)), replace=False).tolist()]
