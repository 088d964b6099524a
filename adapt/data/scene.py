"""Composes one picture: objects of known outline on a photograph, so that every mask is exact."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from cavs.adapt.data.appearance import finish
from cavs.adapt.data.backdrop import Ground, plain_ground, scene_ground
from cavs.adapt.data.ingredients import Cutout, Ingredients, Pixels
from cavs.adapt.data.sprite import SOLID, Mask, Placed, Pose, Sprite, cast_shadow, dress, light_like, paste, place
from cavs.runtime.errors import DataRejected

SMALLEST_SHARE = 250 / (224 * 224)
"""A placed object shows at least this share of the frame (250 px at 224 x 224)."""
LARGEST_COVERED = 0.35
"""... and at most this share of it is hidden by others."""
SMALLEST_INSIDE = 0.5
"""At least this share of a placed object lies inside the frame."""
LONGEST_OF_FRAME = {1: (0.25, 0.9), 2: (0.22, 0.65), 3: (0.2, 0.5)}
"""Range of the longest side of an object, by the number of objects (more than three as for three)."""
POSES = 6
"""Poses tried per object before the picture is begun again (a wanted class) or goes without (a distractor)."""
ATTEMPTS = 24
SHRINK_PER_ATTEMPT = 0.93
LARGEST_TURN = np.deg2rad(20)


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
    """

    classes: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    counts: tuple[float, ...] = (0.3, 0.4, 0.3)
    distractors: tuple[int, int] = (0, 2)
    distractor_classes: tuple[str, ...] | None = None
    duplicates: float = 0.15
    real_scenes: float = 0.12
    strength: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One visible object: its class and the bool (H, W) mask of what can be seen of it."""

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


@dataclass(slots=True, eq=False)
class _Object:
    cls: str
    mask: Mask
    whole_px: int
    source: str
    fixed: bool  # part of the photograph: allowed to be tiny


@dataclass(slots=True, eq=False)
class _Canvas:
    frame: Pixels
    objects: list[_Object] = field(default_factory=list)

    @property
    def smallest_px(self) -> int:
        return max(4, round(SMALLEST_SHARE * self.frame.shape[0] * self.frame.shape[1]))

    def hides_too_much(self, mask: Mask) -> bool:
        for one in self.objects:
            left = int(np.count_nonzero(one.mask & ~mask))
            too_small = left < self.smallest_px and not (one.fixed and one.whole_px < self.smallest_px)
            if left < np.count_nonzero(one.mask) and (too_small or left < (1 - LARGEST_COVERED) * one.whole_px):
                return True
        return False

    def cover(self, mask: Mask) -> None:
        for one in self.objects:
            one.mask &= ~mask


def compose_scene(
    ingredients: Ingredients,
    rng: np.random.Generator,
    *,
    size: int | tuple[int, int] = 224,
    want: SceneWish | None = None,
) -> Scene:
    """A new picture of `size` (side or (H, W)). Every wanted class shows at least SMALLEST_SHARE of the frame."""
    want = want or SceneWish()
    height_width = (size, size) if isinstance(size, int) else size
    classes = draw_classes(ingredients, rng, want)
    for attempt in range(ATTEMPTS):
        scene = _attempt(ingredients, rng, height_width, want, classes, SHRINK_PER_ATTEMPT**attempt)
        if scene is not None:
            return scene
    raise DataRejected(f"{', '.join(classes)}: no room in {ATTEMPTS} pictures of {height_width}; ask for fewer classes")


def draw_classes(ingredients: Ingredients, rng: np.random.Generator, want: SceneWish) -> tuple[str, ...]:
    """The classes of one picture, all known and with at least one cut-out."""
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
    return tuple(targets[i] for i in rng.choice(len(targets), count, replace=False))


def _attempt(
    ingredients: Ingredients,
    rng: np.random.Generator,
    size: tuple[int, int],
    want: SceneWish,
    classes: tuple[str, ...],
    shrink: float,
) -> Scene | None:
    squash = float(rng.uniform(0.56, 1.0)) if rng.random() < 0.5 * want.strength else 1.0
    ground = _ground(ingredients, rng, size, want, classes, squash)
    canvas = _Canvas(ground.frame)
    for cls, mask in ground.instances:
        canvas.objects.append(_Object(cls, mask, int(np.count_nonzero(mask)), ground.source, fixed=True))
    wanted, extra = _shopping_list(ingredients, rng, want, classes, canvas)
    total = len(wanted) + len(extra) + bool(ground.instances)
    for cls in rng.permutation(wanted + extra).tolist():
        cutouts = ingredients.cutouts[cls]
        cutout = cutouts[rng.integers(len(cutouts))]
        if not _add(canvas, cutout, rng, total, shrink, squash, want.strength) and cls in wanted:
            return None
    if rng.random() < 0.1 * want.strength:
        _add_occluder(canvas, ingredients, rng)
    frame = finish(canvas.frame, rng, want.strength)
    return Scene(frame, tuple(Instance(o.cls, o.mask, o.source) for o in canvas.objects if o.mask.any()))


def _ground(
    ingredients: Ingredients,
    rng: np.random.Generator,
    size: tuple[int, int],
    want: SceneWish,
    classes: tuple[str, ...],
    squash: float,
) -> Ground:
    if rng.random() < want.real_scenes:
        shown = [cls for cls in classes if cls in ingredients.scenes_by_class]
        if shown:
            cls = shown[rng.integers(len(shown))]
            scenes = ingredients.scenes_by_class[cls]
            allowed = [s for s in scenes if _fits(s.objects, classes, want)]
            if allowed:
                return scene_ground(allowed[rng.integers(len(allowed))], cls, rng, size, squash, want.strength)
    return plain_ground(ingredients, rng, size, squash, want.strength)


def _fits(objects: Sequence[tuple[int, str]], classes: tuple[str, ...], want: SceneWish) -> bool:
    others = {cls for _, cls in objects} - set(classes)
    allowed = want.distractor_classes
    return len(others) <= want.distractors[1] and (allowed is None or others <= set(allowed))


def _shopping_list(
    ingredients: Ingredients, rng: np.random.Generator, want: SceneWish, classes: tuple[str, ...], canvas: _Canvas
) -> tuple[list[str], list[str]]:
    seen = {one.cls for one in canvas.objects if one.whole_px >= canvas.smallest_px}
    wanted = [cls for cls in classes if cls not in seen]
    if classes and rng.random() < want.duplicates:
        wanted.append(classes[rng.integers(len(classes))])
    pool = sorted(ingredients.cutouts) if want.distractor_classes is None else want.distractor_classes
    others = [cls for cls in pool if cls not in classes and cls in ingredients.cutouts]
    present = len({one.cls for one in canvas.objects} - set(classes))
    count = max(0, int(rng.integers(want.distractors[0], want.distractors[1] + 1)) - present)
    extra = [others[i] for i in rng.choice(len(others), min(count, len(others)), replace=False)] if others else []
    return wanted, extra


def _add(
    canvas: _Canvas,
    cutout: Cutout,
    rng: np.random.Generator,
    total: int,
    shrink: float,
    squash: float,
    strength: float,
) -> bool:
    """Pastes the cut-out where it is seen well and hides nobody too much; False when no pose did."""
    sprite = dress(cutout, rng, strength)
    size = canvas.frame.shape[0], canvas.frame.shape[1]
    for _ in range(POSES):
        pose = draw_pose(sprite, rng, size, total, shrink, squash, strength)
        placed = place(sprite, pose, size)
        if placed is None:
            continue
        whole_px = np.count_nonzero(sprite.alpha > SOLID) * (pose.longest / max(sprite.alpha.shape)) ** 2
        shown_px = np.count_nonzero(placed.alpha > SOLID)
        if shown_px < max(canvas.smallest_px, SMALLEST_INSIDE * whole_px):
            continue
        mask = np.zeros(size, bool)
        mask[placed.rows, placed.cols] = placed.alpha > SOLID
        if canvas.hides_too_much(mask):
            continue
        if rng.random() < 0.4 * strength:
            placed = light_like(placed, canvas.frame, rng.uniform(0.1, 0.6))
        if rng.random() < 0.35 * strength:
            offset = (rng.uniform(-0.15, 0.15) * pose.longest, rng.uniform(0, 0.15) * pose.longest)
            cast_shadow(canvas.frame, placed, offset, rng.uniform(0.15, 0.5))
        canvas.cover(mask)
        paste(canvas.frame, placed)
        canvas.objects.append(_Object(cutout.cls, mask, int(shown_px), cutout.id, fixed=False))
        return True
    return False


def draw_pose(
    sprite: Sprite,
    rng: np.random.Generator,
    size: tuple[int, int],
    total: int,
    shrink: float,
    squash: float,
    strength: float,
) -> Pose:
    """A random pose; what its photograph cut off is usually put at the frame's border again."""
    height, width = size
    low, high = LONGEST_OF_FRAME[min(max(total, 1), 3)]
    longest = float(rng.uniform(low, high)) * min(size) * shrink
    across, down = (longest * side / max(sprite.alpha.shape) / 2 for side in sprite.alpha.shape[::-1])
    loose = rng.random() < 0.2 * strength
    x, y = (_draw_centre(rng, half, side, loose) for half, side in ((across, width), (down, height)))
    turn = float(rng.uniform(-LARGEST_TURN, LARGEST_TURN)) * strength
    if sprite.cut_side is not None and rng.random() < 0.75:
        turn *= 0.2
        x = {"left": across * 0.95, "right": width - across * 0.95}.get(sprite.cut_side, x)
        y = {"top": down * 0.95, "bottom": height - down * 0.95}.get(sprite.cut_side, y)
    tilted = rng.random() < 0.3 * strength
    return Pose(
        x=x,
        y=y,
        longest=longest,
        aspect=squash * float(np.exp(rng.normal(0, 0.12) * strength)),
        turn=turn,
        shear=float(rng.normal(0, 0.08)) * strength,
        tilt=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.25, 0.25))) if tilted else (0.0, 0.0),
    )


def _draw_centre(rng: np.random.Generator, half: float, side: int, loose: bool) -> float:
    low, high = (0.0, float(side)) if loose or 2 * half >= side else (half, side - half)
    return float(rng.uniform(low, high))


def _add_occluder(canvas: _Canvas, ingredients: Ingredients, rng: np.random.Generator) -> None:
    """Something shapeless in front of one of the objects, when it hides nobody too much."""
    movable = [one for one in canvas.objects if not one.fixed]
    if not movable:
        return
    rows, cols = np.nonzero(movable[rng.integers(len(movable))].mask)
    size = canvas.frame.shape[0], canvas.frame.shape[1]
    spot = int(rng.integers(len(rows)))
    reach = max(4.0, float(np.sqrt(len(rows))) * 0.6)
    shape = np.zeros(size, np.uint8)
    centre = (int(cols[spot]), int(rows[spot]))
    axes = (max(2, int(rng.uniform(0.15, 0.9) * reach)), max(2, int(rng.uniform(0.15, 0.9) * reach)))
    cv2.ellipse(shape, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    mask = shape > SOLID
    if canvas.hides_too_much(mask):
        return
    texture = plain_ground(ingredients, rng, size, 1.0, 1.0).frame
    canvas.cover(mask)
    paste(canvas.frame, Placed(slice(0, size[0]), slice(0, size[1]), texture, shape))
