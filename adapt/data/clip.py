"""Composes a clip: objects that move, sound and fall silent, and which pixels sound at each frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import cv2
import numpy as np

from cavs.adapt.data.backdrop import Setting, plain_ground
from cavs.adapt.data.cast import Cast, ClipWish, draw_cast, draw_spans
from cavs.adapt.data.ingredients import RATE_HZ, Ingredients, Pixels, Samples
from cavs.adapt.data.motion import WORLD, Path, Sway, draw_camera, draw_light, draw_path
from cavs.adapt.data.scene import SceneWish, draw_ground
from cavs.adapt.data.shot import Role, Shot
from cavs.adapt.data.sound import SoundLine, SoundWish, compose_line
from cavs.adapt.data.sprite import Pose, Sprite, dress
from cavs.adapt.data.stage import SMALLEST_SHARE, draw_pose
from cavs.runtime.errors import DataRejected

ATTEMPTS = 24
"""Shots drawn before giving up; each time with smaller objects."""
SHRINK_PER_ATTEMPT = 0.93
CHECKED_AT = (0.1, 0.5, 0.9)
"""Parts of the clip at which every sounding object must be seen well."""
SOUND_DRAWS = 12
"""Sounds drawn until every visible source sounds at one of the annotated moments at least."""
ANNOTATED_AT_S = 0.96
"""Where one frame per second is kept, it is taken this far into the second: near its end, as in the papers' data."""


def annotated_moments(seconds: float) -> tuple[float, ...]:
    """One moment in every full second of a clip."""
    return tuple(k + ANNOTATED_AT_S for k in range(int(seconds)))


@dataclass(frozen=True, slots=True)
class Seen:
    """One class that a frame shows: how many pixels of it, and whether it sounds now."""

    cls: str
    pixels: int
    sounding: bool


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames, sound and the exact truth.

    classes:   names of what sounds and is seen, in the order of `class_names`.
    frames:    uint8 (T, H, W, 3), RGB, taken at times_s; fps is the rate of the whole clip.
    sound:     float32 (N,), mono, at rate_hz.
    masks:     uint8 (T, H, W): 0 silent, 1 + k where class k of class_names sounds now (docs/architecture.md).
    visible:   per frame, every class that can be seen, silent or not.
    offscreen: classes that are heard but were never put into the picture.  sources: the ingredients used.
    """

    name: str
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    split: str
    frames: Pixels
    fps: float
    times_s: tuple[float, ...]
    sound: Samples
    rate_hz: int
    masks: Pixels
    visible: tuple[tuple[Seen, ...], ...] = ()
    offscreen: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def compose_clip(
    ingredients: Ingredients,
    rng: np.random.Generator,
    *,
    name: str = "clip",
    seconds: float = 5.0,
    fps: float = 25.0,
    times_s: Sequence[float] | None = None,
    size: int | tuple[int, int] = 224,
    class_names: Sequence[str] | None = None,
    wish: ClipWish | None = None,
    sound_wish: SoundWish | None = None,
) -> Clip:
    """A new clip.

    times_s:     only these frames; all frames of `fps` by default. Frames of the same moment look the same either way.
    class_names: the numbering of the masks; the targets by default.
    """
    wish = wish or ClipWish()
    cast = draw_cast(ingredients, rng, wish)
    shot = draw_shot(ingredients, rng, (size, size) if isinstance(size, int) else size, cast, wish, seconds)
    line = _draw_sound(ingredients, rng, cast, wish, sound_wish, seconds)
    when = tuple(float(t) for t in np.arange(round(seconds * fps)) / fps) if times_s is None else tuple(times_s)
    names = tuple(class_names or wish.targets or ingredients.classes_with_both())
    frames, masks, visible = _film(shot, line, when, names)
    shown = frozenset(np.unique(masks).tolist())
    return Clip(
        name=name,
        classes=tuple(cls for k, cls in enumerate(names, 1) if k in shown),
        class_names=names,
        split=ingredients.split,
        frames=frames,
        fps=fps,
        times_s=when,
        sound=line.samples,
        rate_hz=RATE_HZ,
        masks=masks,
        visible=visible,
        offscreen=cast.offscreen,
        sources=tuple(dict.fromkeys(filter(None, (shot.source, *(r.source for r in shot.roles), *line.recordings)))),
    )


def _film(
    shot: Shot, line: SoundLine, when: Sequence[float], names: Sequence[str]
) -> tuple[Pixels, Pixels, tuple[tuple[Seen, ...], ...]]:
    """Frames, masks, and what is seen in each frame."""
    owners = shot.owners
    frames = np.empty((len(when), *shot.size, 3), np.uint8)
    masks = np.zeros((len(when), *shot.size), np.uint8)
    visible = []
    for t, time_s in enumerate(when):
        frames[t], owner = shot.frame_at(time_s)
        sounding = line.sounding_at(round(time_s * RATE_HZ))
        counts = np.bincount(owner.ravel(), minlength=len(owners) + 1)[1:]
        pixels = {cls: 0 for cls in owners if cls is not None}
        table = np.zeros(256, np.uint8)  # from owner to the value in the mask
        for number, (cls, count) in enumerate(zip(owners, counts.tolist(), strict=True), 1):
            if cls is None:
                continue
            pixels[cls] += count
            if sounding.get(cls, False) and cls in names:
                table[number] = 1 + names.index(cls)
        masks[t] = table[owner]
        visible.append(tuple(Seen(cls, px, sounding.get(cls, False)) for cls, px in pixels.items() if px))
    return frames, masks, tuple(visible)


def draw_shot(  # noqa: PLR0917  the five things that a shot is drawn from
    ingredients: Ingredients,
    rng: np.random.Generator,
    size: tuple[int, int],
    cast: Cast,
    wish: ClipWish,
    seconds: float,
) -> Shot:
    """A shot in which every sounding class is seen well at the beginning, in the middle and at the end."""
    squash = float(rng.uniform(0.56, 1.0)) if rng.random() < 0.3 * wish.strength else 1.0
    setting = Setting(size, squash, wish.strength)
    for attempt in range(ATTEMPTS):
        shot = _attempt(ingredients, rng, setting, cast, wish, SHRINK_PER_ATTEMPT**attempt)
        if all(_sees_all(shot, cast.sounding, share * seconds) for share in CHECKED_AT):
            return shot
    raise DataRejected(f"{', '.join(cast.sounding)}: no room in {ATTEMPTS} shots of {size}; ask for fewer classes at once")


def _sees_all(shot: Shot, classes: Sequence[str], time_s: float) -> bool:
    owners = np.array([0, *(1 + classes.index(cls) if cls in classes else 0 for cls in shot.owners)], np.uint8)
    counts = np.bincount(owners[shot.owner_at(time_s)].ravel(), minlength=1 + len(classes))[1:]
    return bool((counts >= SMALLEST_SHARE * shot.size[0] * shot.size[1]).all())


def _attempt(  # noqa: PLR0917  as draw_shot
    ingredients: Ingredients,
    rng: np.random.Generator,
    setting: Setting,
    cast: Cast,
    wish: ClipWish,
    shrink: float,
) -> Shot:
    height, width = (round(side * WORLD) for side in setting.size)
    scene_wish = SceneWish(distractor_classes=cast.silent, distractors=(0, len(cast.silent)), real_scenes=wish.real_scenes)
    ground = draw_ground(ingredients, rng, scene_wish, cast.sounding, replace(setting, size=(height, width)))
    ids = np.zeros((height, width), np.uint8)
    for number, (_, mask) in enumerate(ground.instances, 1):
        ids[mask] = number
    fixed = tuple(cls for cls, _ in ground.instances)
    seen = {cls for cls, mask in ground.instances if mask.mean() > SMALLEST_SHARE}
    classes = [cls for cls in chain(cast.sounding, cast.silent) if cls not in seen]
    roles = [_draw_role(ingredients, rng, cls, setting, len(classes) + bool(fixed), shrink) for cls in classes]
    roles = [roles[i] for i in rng.permutation(len(roles)).tolist()]
    if rng.random() < 0.2 * wish.strength:
        roles.append(_draw_passer_by(ingredients, rng, setting))
    strength = wish.strength
    return Shot(
        size=setting.size,
        world=ground.frame,
        ids=ids,
        fixed=fixed,
        roles=tuple(roles),
        camera=draw_camera(rng, setting.size, wish.steady),
        light=draw_light(rng, strength),
        focus_px=Sway(-0.5, 0.0, ((float(rng.uniform(0, 2.0)) * strength, float(rng.uniform(0.1, 0.4)), 0.0),)),
        noise=float(rng.uniform(0, 7)) * strength,
        jpeg=int(rng.integers(40, 90)) if rng.random() < 0.3 * strength else None,
        seed=int(rng.integers(2**31)),
        source=ground.source,
    )


def _draw_role(  # noqa: PLR0917  as draw_shot
    ingredients: Ingredients,
    rng: np.random.Generator,
    cls: str,
    setting: Setting,
    crowd: int,
    shrink: float,
) -> Role:
    cutouts = ingredients.cutouts[cls]
    cutout = cutouts[int(rng.integers(len(cutouts)))]
    sprite = dress(cutout, rng, setting.strength)
    path = _into_world(draw_path(rng, draw_pose(sprite, rng, setting, crowd, shrink), min(setting.size)), setting.size)
    shadow = None
    if rng.random() < 0.4 * setting.strength:
        shadow = (float(rng.uniform(-0.15, 0.15)), float(rng.uniform(0, 0.15)), float(rng.uniform(0.15, 0.5)))
    return Role(cls, sprite, path, cutout.id, shadow)


def _into_world(path: Path, size: tuple[int, int]) -> Path:
    """A path drawn in the frame, moved to the middle of the world."""
    right, down = (WORLD - 1) / 2 * size[1], (WORLD - 1) / 2 * size[0]
    return replace(path, x=replace(path.x, start=path.x.start + right), y=replace(path.y, start=path.y.start + down))


def _draw_passer_by(ingredients: Ingredients, rng: np.random.Generator, setting: Setting) -> Role:
    """Something shapeless that crosses the picture in front of everything."""
    side = max(8, min(setting.size) // 2)
    texture = plain_ground(ingredients, rng, Setting((side, side))).frame
    alpha = np.zeros((side, side), np.uint8)
    axes = (max(2, int(side * rng.uniform(0.2, 0.48))), max(2, int(side * rng.uniform(0.08, 0.48))))
    cv2.ellipse(alpha, (side // 2, side // 2), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    crossing = float(rng.uniform(-0.3, 0.3)) * setting.size[1]
    pose = Pose(x=0.0, y=0.0, longest=float(rng.uniform(0.15, 0.35)) * min(setting.size))
    x = Sway(float(rng.uniform(0, WORLD)) * setting.size[1], crossing)
    y = Sway(float(rng.uniform(0, WORLD)) * setting.size[0])
    return Role(None, Sprite(texture, alpha, feather_px=1.0), Path(pose, x, y, Sway(0.0), Sway(0.0)))


def _draw_sound(  # noqa: PLR0917  as draw_shot
    ingredients: Ingredients,
    rng: np.random.Generator,
    cast: Cast,
    wish: ClipWish,
    sound_wish: SoundWish | None,
    seconds: float,
) -> SoundLine:
    """Sound in which every source that is seen sounds at one of the annotated moments at least."""
    moments = [round(time_s * RATE_HZ) for time_s in annotated_moments(seconds) or (seconds,)]
    for _ in range(SOUND_DRAWS):
        spans = {cls: draw_spans(rng, seconds, wish.switching) for cls in (*cast.sounding, *cast.offscreen)}
        line = compose_line(ingredients, rng, spans=spans, samples=round(seconds * RATE_HZ), wish=sound_wish)
        heard = [line.sounding_at(moment) for moment in moments]
        if all(any(now[cls] for now in heard) for cls in cast.sounding):
            break
    return line
