"""The demonstration clip: three takes in which drawn things sound in turn, one stays silent, and a siren passes unseen.

Composed by hand rather than at random, with the composer's own camera and rule of what sounds now, so that its truth is
exact. `cavs-stream --demo` plays it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import soxr

from cavs.adapt.data.drawn import draw
from cavs.adapt.data.ingredients import BLOCK, RATE_HZ, Recording, cutout_from
from cavs.adapt.data.motion import WORLD, Camera, Light, Path, Sway
from cavs.adapt.data.places import draw_place
from cavs.adapt.data.procedural import CLASSES
from cavs.adapt.data.shot import Role, Shot
from cavs.adapt.data.sound import SoundLine, Span
from cavs.adapt.data.sprite import Pose, Sprite
from cavs.adapt.data.synthesised import synthesise, synthesise_surroundings

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]

WIDTH_PX, HEIGHT_PX, FPS = 640, 480, 30
SOUND_HZ = 48_000
"""Rate of the sound track; its activity is found at the ingredients' rate."""
SEED = 2
VOICE_RMS, PASSING_RMS, ROOM_RMS = 0.11, 0.05, 0.0006
"""Levels of what is seen, of what passes unseen, and of the room, full scale being 1."""
LARGEST_PEAK = 0.8
"""A voice with sharp peaks, such as a bell, is played softer."""
OFFSCREEN = "siren"


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a take.

    variant: which drawing of its class. x, foot: middle and lowest point, as shares of width and height.
    size:    longer side as a share of the height. sounds: when, in seconds of the clip; never if empty.
    """

    cls: str
    variant: int
    x: float
    foot: float
    size: float
    sounds: tuple[Span, ...] = ()
    hovers: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """One place, seen from `start_s` to `end_s`; things from back to front."""

    place: str
    variant: int
    start_s: float
    end_s: float
    things: tuple[Thing, ...]


TAKES = (
    Take("table", 4, 0.0, 8.0, (
        Thing("kettle", 1, 0.21, 0.80, 0.48, ((0.9, 3.5),)),
        Thing("toy_robot", 9, 0.54, 0.79, 0.50),
        Thing("hand_bell", 3, 0.82, 0.83, 0.42, ((4.5, 7.0),)),
    )),
    Take("room", 2, 8.0, 16.0, (
        Thing("toy_robot", 4, 0.76, 0.88, 0.56, ((9.0, 11.5),)),
        Thing("kettle", 12, 0.49, 0.92, 0.34),
        Thing("toy_frog", 12, 0.19, 0.90, 0.44, ((12.5, 15.0),)),
    )),
    Take("hills", 5, 16.0, 24.0, (
        Thing("drone", 8, 0.56, 0.52, 0.56, ((17.0, 19.6),), hovers=True),
        Thing("toy_frog", 9, 0.20, 0.93, 0.38),
    )),
)  # fmt: skip
"""Every class sounds once; robot, kettle and frog are each there once without a sound."""
SIREN: Span = (20.6, 23.0)
SECONDS = TAKES[-1].end_s


@dataclass(frozen=True, slots=True)
class LivelyPath(Path):
    """A path on which the object also moves a little while it sounds, in the way of its class."""

    cls: str = ""
    sounds: tuple[Span, ...] = ()

    def at(self, time_s: float) -> Pose:
        """Where it is at a time, in world pixels."""
        pose = Path.at(self, time_s)
        push = max((_swell(time_s, span) for span in self.sounds), default=0.0)
        beat = np.sin(2 * np.pi * BEATS_HZ[self.cls] * time_s) * push
        moved = MOVES[self.cls]
        return Pose(
            x=pose.x + float(moved[0] * beat * pose.longest),
            y=pose.y - float(moved[1] * abs(beat) * pose.longest),
            longest=pose.longest,
            aspect=pose.aspect * float(np.exp(moved[2] * beat)),
            turn=pose.turn + float(moved[3] * beat),
        )


BEATS_HZ = {"kettle": 9.0, "hand_bell": 1.6, "drone": 0.7, "toy_robot": 1.5, "toy_frog": 1.2}
MOVES = {
    "kettle": (0.006, 0.0, 0.0, 0.01),
    "hand_bell": (0.05, 0.0, 0.0, 0.22),
    "drone": (0.03, 0.03, 0.0, 0.05),
    "toy_robot": (0.02, 0.02, 0.0, 0.06),
    "toy_frog": (0.0, 0.05, 0.05, 0.0),
}
"""How far each class goes sideways and up (shares of its size), stretches and turns (radians) with its beat."""


def _swell(time_s: float, span: Span) -> float:
    """From 0 to 1 and back within 0.3 s at both ends of a span."""
    return float(np.clip(min(time_s - span[0], span[1] - time_s) / 0.3, 0, 1))


class DemoClip:
    """The whole clip; frames and masks are computed when asked for.

    classes: names by mask index less one; a mask is 0 where nothing sounds.
    """

    classes = CLASSES

    @cached_property
    def shots(self) -> tuple[Shot, ...]:
        """One per take."""
        return tuple(_shot(take) for take in TAKES)

    @cached_property
    def sound(self) -> Samples:
        """The sound track, float32 (N,) at SOUND_HZ."""
        return self._mixed[0]

    @cached_property
    def line(self) -> SoundLine:
        """The same sound at RATE_HZ with the activity of every class, the unseen siren among them."""
        samples: Samples = soxr.resample(self.sound, SOUND_HZ, RATE_HZ)
        return SoundLine(samples, self._mixed[1])

    @cached_property
    def _mixed(self) -> tuple[Samples, Mapping[str, npt.NDArray[np.bool_]]]:
        track = _quiet_room()
        loud = {cls: np.zeros(round(SECONDS * RATE_HZ / BLOCK), bool) for cls in (*CLASSES, OFFSCREEN)}
        for take in TAKES:
            for thing in take.things:
                for span in thing.sounds:
                    rng = np.random.default_rng([SEED, CLASSES.index(thing.cls), thing.variant])
                    _play(track, loud[thing.cls], thing.cls, synthesise(thing.cls, rng, span[1] - span[0], SOUND_HZ), span[0])
        siren = synthesise_surroundings(OFFSCREEN, np.random.default_rng(SEED), SIREN[1] - SIREN[0], SOUND_HZ)
        _play(track, loud[OFFSCREEN], OFFSCREEN, siren, SIREN[0])
        return track, loud

    def at(self, time_s: float) -> tuple[Pixels, Pixels]:
        """The frame uint8 (H, W, 3) and its mask uint8 (H, W) at a time."""
        frame, owner = self._shot_at(time_s).frame_at(time_s)
        return frame, self._mask(owner, time_s)

    def mask_at(self, time_s: float) -> Pixels:
        """Only the mask."""
        return self._mask(self._shot_at(time_s).owner_at(time_s), time_s)

    def frames(self) -> Iterator[Pixels]:
        """All frames, FPS per second."""
        return (self._shot_at(index / FPS).frame_at(index / FPS)[0] for index in range(round(SECONDS * FPS)))

    def boxes_at(self, time_s: float) -> list[tuple[str, tuple[int, int, int, int], bool]]:
        """Class, box (left, top, right, bottom; the last two exclusive) and whether it sounds, of everything in view."""
        shot = self._shot_at(time_s)
        owner, sounding = shot.owner_at(time_s), self.line.sounding_at(round(time_s * RATE_HZ))
        boxes = []
        for number, cls in enumerate(shot.owners, 1):
            rows, columns = np.nonzero(owner == number)
            if cls is not None and len(rows):
                box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
                boxes.append((cls, box, sounding[cls]))
        return boxes

    def intervals(self) -> dict[str, list[Span]]:
        """For every class, and for the siren, when it sounds by the rule of the house, in seconds to the block."""
        step_s = BLOCK / RATE_HZ
        blocks = len(self.line.loud[OFFSCREEN])
        now = [self.line.sounding_at(block * BLOCK) for block in range(blocks + 1)]
        return {cls: [(a * step_s, b * step_s) for a, b in _runs([state[cls] for state in now])] for cls in now[0]}

    def _shot_at(self, time_s: float) -> Shot:
        number = next((i for i, take in enumerate(TAKES) if take.start_s <= time_s < take.end_s), None)
        if number is None:
            raise ValueError(f"time_s={time_s}: the clip lasts from 0 to {SECONDS} s")
        return self.shots[number]

    def _mask(self, owner: Pixels, time_s: float) -> Pixels:
        shot, sounding = self._shot_at(time_s), self.line.sounding_at(round(time_s * RATE_HZ))
        table = np.zeros(256, np.uint8)
        for number, cls in enumerate(shot.owners, 1):
            table[number] = 1 + CLASSES.index(cls) if cls is not None and sounding[cls] else 0
        return table[owner]


def _runs(states: list[bool]) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.array([False, *states, False]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _shot(take: Take) -> Shot:
    width, height = round(WIDTH_PX * WORLD), round(HEIGHT_PX * WORLD)
    place_kind = ("table", "room", "hills").index(take.place)
    world = draw_place(take.place, np.random.default_rng([SEED, place_kind, take.variant]), width, height)
    push = Sway(-0.004 * take.start_s, 0.004)  # the camera comes closer, slowly
    still = Sway(0.0)
    return Shot(
        size=(HEIGHT_PX, WIDTH_PX),
        world=world,
        ids=np.zeros((height, width), np.uint8),
        fixed=(),
        roles=tuple(_role(thing) for thing in take.things),
        camera=Camera(Sway(width / 2), Sway(height / 2), push),
        light=Light(still, still, Sway(1.0)),
        focus_px=still,
        noise=0.0,
        jpeg=None,
        seed=SEED,
    )


def _role(thing: Thing) -> Role:
    rgba = draw(thing.cls, np.random.default_rng([SEED, CLASSES.index(thing.cls), thing.variant]), 256)
    cutout = cutout_from(rgba, id=thing.cls, cls=thing.cls, group=thing.cls)
    sprite = Sprite(np.ascontiguousarray(cutout.rgba[..., :3]), np.ascontiguousarray(cutout.rgba[..., 3]))
    longest = thing.size * HEIGHT_PX
    tall = longest * rgba.shape[0] / max(rgba.shape[:2])
    x = thing.x * WIDTH_PX + (WORLD - 1) / 2 * WIDTH_PX
    y = thing.foot * HEIGHT_PX - tall / 2 + (WORLD - 1) / 2 * HEIGHT_PX
    float_px = 0.03 * HEIGHT_PX if thing.hovers else 0.0
    path = LivelyPath(
        Pose(x=x, y=y, longest=longest),
        x=Sway(x, 0.0, ((2 * float_px, 0.13, 0.0),)),
        y=Sway(y, 0.0, ((float_px, 0.31, 1.0),)),
        growth=Sway(0.0),
        turn=Sway(0.0),
        cls=thing.cls,
        sounds=thing.sounds,
    )
    return Role(thing.cls, sprite, path, shadow=None if thing.hovers else (0.02, 0.05, 0.35))


def _quiet_room() -> Samples:
    room = synthesise_surroundings("room", np.random.default_rng(SEED), SECONDS, SOUND_HZ)
    return np.asarray(room * (ROOM_RMS / np.sqrt(np.square(room).mean())), np.float32)


def _play(track: Samples, loud: npt.NDArray[np.bool_], cls: str, voice: Samples, start_s: float) -> None:
    """Adds a voice to the track at the common level and notes in which blocks it is loud."""
    recording = Recording(cls, cls, cls, np.asarray(soxr.resample(voice, SOUND_HZ, RATE_HZ), np.float32))
    level = PASSING_RMS if cls == OFFSCREEN else VOICE_RMS
    first = round(start_s * SOUND_HZ)
    gain = min(level / recording.loud_rms, LARGEST_PEAK / float(np.abs(voice).max()))
    track[first : first + len(voice)] += voice * np.float32(gain)
    block = round(start_s * RATE_HZ / BLOCK)
    heard = loud[block : block + len(recording.loud)]
    heard |= recording.loud[: len(heard)]
