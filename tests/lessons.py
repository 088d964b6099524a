"""Lessons of coloured squares for the tiny bundle: what a stream would have written."""

from pathlib import Path

import numpy as np

from cavs.adapt.learn.exemplar import Exemplar
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.lesson import Hint, LessonRequest, Lessons, new_lesson_id, wall_now_ns
from cavs.runtime.lesson_windows import Windows
from tests.tiny_bundle import square_frame, tone

FRAME_NS = NS_PER_S // 15


def coloured_windows(bundle: Bundle, colour: tuple[float, ...], count: int = 8, amplitude: float = 0.5) -> Windows:
    """A square that moves a pixel from window to window, while a tone sounds."""
    first_ns = NS_PER_S
    t_ns = first_ns + FRAME_NS * np.arange(count)
    frames = np.stack([np.roll(square_frame(bundle, colour), k - count // 2, axis=1) for k in range(count)])
    rate_hz = bundle.manifest.sound.rate_hz
    samples = int((t_ns[-1] - t_ns[0]) * rate_hz / NS_PER_S) + bundle.manifest.sound.samples
    sound = np.resize(tone(bundle, amplitude), samples).astype(np.float32)
    start_ns = first_ns - round(bundle.manifest.sound.samples * NS_PER_S / rate_hz)
    return Windows(frames, t_ns.astype(np.int64), sound, start_ns, rate_hz)


def shown(bundle: Bundle, name: str, colour: tuple[float, ...], count: int = 4, wall_ns: int = NS_PER_S) -> list[Exemplar]:
    """Labelled windows of a colour."""
    windows = coloured_windows(bundle, colour, count)
    samples = bundle.manifest.sound.samples
    return [
        Exemplar(frame, windows.sound_of(k, samples), ((name, frame.max(axis=2) > 60),), "shown", wall_ns, 1.0)
        for k, frame in enumerate(windows.frames)
    ]


def give_lesson(
    store: Path,
    bundle: Bundle,
    name: str | None,
    colour: tuple[float, ...],
    *,
    kind: str = "teach",
    sounding: bool = True,
    yes: bool = True,
    count: int = 8,
    amplitude: float = 0.5,
    wall_ns: int | None = None,
) -> str:
    """Writes a lesson as the stream does; its id."""
    windows = coloured_windows(bundle, colour, count, amplitude)
    now_ns = wall_now_ns() if wall_ns is None else wall_ns
    request = LessonRequest.model_validate(
        {
            "id": new_lesson_id(now_ns),
            "kind": kind,
            "name": name,
            "sounding": sounding,
            "hint": Hint(),
            "yes": yes,
            "asked_wall_ns": now_ns,
            "rate_hz": windows.rate_hz,
        }
    )
    Lessons(store).write(request, windows)
    return request.id
