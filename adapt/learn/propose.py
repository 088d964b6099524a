"""The windows of a lesson, labelled: which pixels make the sound that a person teaches, and which windows are of use.

Pixels come from the sounding head, which needs no class, inside the person's hint if there is one; GrabCut draws the outline,
and optical flow carries it through the windows. Windows in which sound and sight disagree teach the wrong thing; they are
dropped, in the spirit of CMR's sample selection (arXiv 2510.17234): what is marked with sound must not be marked without it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.follow import follow
from cavs.adapt.learn.from_bundle import put_adapter
from cavs.adapt.learn.material import SMALLEST_PX, UNKNOWN, Mask
from cavs.adapt.learn.outline import Floats, box_prior, outline, point_prior, whole
from cavs.adapt.learn.sounding import Frames, Sounding, sounding_frames, sounding_of, to_frame
from cavs.adapt.model.network import Network
from cavs.runtime.adapter import Adapter
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import LessonRequest, ProposalRecord, WindowVerdict
from cavs.runtime.lesson_windows import Windows

VISITED = 48
"""Windows that are looked at, spread over the lesson: neighbours at 15 frames a second teach the same."""
KEPT = 24
"""Windows that are kept at most."""
PAUSES = 8
"""Windows that are kept at most in which what is taught has fallen silent: their sound is learned as that of nothing."""
FEWEST = 3
"""Fewer windows than this teach nothing."""
VOICE_NEAR, VOICE_APART = 0.35, 0.2
"""A pixel's cosine to a voice, and how far it must stand out of the picture, where the sounding head finds nothing."""
MUTED_SHARE = 0.6
"""A window whose mask without sound overlaps the one with it by more than this is marked for what it shows."""

Reason = Literal["silent", "unsure", "not seen", "disagree", "sight alone"]


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """exemplars: of the windows that are kept, oldest first; without a mark where what is taught pauses.

    masks: bool (F, H, W), empty where a window is not kept, or is a pause.
    """

    exemplars: tuple[Exemplar, ...]
    masks: npt.NDArray[np.bool_]
    record: ProposalRecord


def propose(  # noqa: PLR0917  a lesson, and the model that it is given to
    network: Network,
    adapter: Adapter,
    request: LessonRequest,
    windows: Windows,
    mask: Mask | None = None,
    lookahead_samples: int = 0,
) -> Proposal:
    """Labels a lesson. `network` is left with `adapter` in it.

    mask: bool (H, W), what a person drew on the last frame. Raises LessonRejected, in one line, if the lesson is silent,
    nothing in it can be told to make the sound, or too few windows agree.
    """
    put_adapter(network, adapter)
    _check(network, request, windows, mask)
    active, paused = sounding_frames(windows)
    sounds = request.kind != "correct" or request.sounding
    if sounds and not active.any():
        raise LessonRejected(
            f"the {_seconds(windows):.0f} s of this lesson are silent; teach {request.name or 'a thing'} while it sounds"
        )
    visited = np.unique(np.linspace(0, len(windows) - 1, min(VISITED, len(windows))).round().astype(int))
    form = (network.config.sound_samples, lookahead_samples)
    heard = np.stack([windows.sound_of(frame, *form) for frame in visited.tolist()])
    said = sounding_of(network, windows.frames[visited], heard)
    above = float(network.thresholds[0])
    hinted = mask is not None or request.hint != type(request.hint)()
    masks = _masks(request, windows, visited, said, active[visited] if sounds else None, above, mask)
    everything = np.ones(len(visited), bool)
    verdicts = _judge(masks, said, (active[visited], paused[visited]) if sounds else (everything, ~everything), above, hinted)
    return _proposal(request, windows, visited, masks, verdicts, form)


def _check(network: Network, request: LessonRequest, windows: Windows, mask: Mask | None) -> None:
    size = (network.config.frame_height_px, network.config.frame_width_px)
    if windows.frames.shape[1:3] != size or windows.rate_hz != network.config.sound_rate_hz:
        seen = f"{windows.frames.shape[1]}x{windows.frames.shape[2]} at {windows.rate_hz} Hz"
        raise LessonRejected(
            f"lesson {request.id}: windows of {seen}, this model takes {size[0]}x{size[1]} at "
            f"{network.config.sound_rate_hz} Hz; it was given to another model: teach again"
        )
    if mask is not None and (mask.shape != size or np.count_nonzero(mask) < SMALLEST_PX):
        raise LessonRejected(
            f"the mask has {np.count_nonzero(mask)} pixels, {SMALLEST_PX} of {size[0]}x{size[1]} at least expected"
        )
    box = request.hint.box
    if box is not None and box[2] * box[3] * size[0] * size[1] < SMALLEST_PX:
        raise LessonRejected(
            f"the box {box} holds {box[2] * box[3] * size[0] * size[1]:.0f} pixels, {SMALLEST_PX} at least expected"
        )


def _masks(  # noqa: PLR0917
    request: LessonRequest,
    windows: Windows,
    visited: npt.NDArray[np.int64],
    said: Sounding,
    active: npt.NDArray[np.bool_] | None,
    above: float,
    drawn: Mask | None,
) -> list[Mask]:
    """The outline of the thing in every visited window."""
    frames = [windows.frames[frame] for frame in visited.tolist()]
    shape, last, hint = frames[0].shape[:2], len(frames) - 1, request.hint
    if windows.boxes is not None and hint.object is not None:
        return _boxed(frames, windows.boxes[visited])
    if drawn is not None:
        start, seed = last, drawn
    elif hint.box is not None:
        box = hint.box
        start, seed = last, outline(frames[last], _with_sounding(box_prior(shape, box), said.sounding[last], above))
    elif hint.point is not None:
        at = tuple(min(n - 1, int(f * n)) for f, n in zip(hint.point[::-1], said.embedding.shape[2:], strict=True))
        alike = np.einsum("dhw,d->hw", said.embedding[last], said.embedding[last][:, at[0], at[1]])
        start, seed = last, outline(frames[last], point_prior(shape, hint.point, to_frame(alike, shape)))
    else:
        return _found(frames, said, active, above)
    if np.count_nonzero(seed) < SMALLEST_PX:
        raise LessonRejected("nothing stands out at the place that was pointed at; draw a box or a mask around the thing")
    return follow(frames, start, seed)


def _with_sounding(prior: Floats, sounding: Floats, above: float) -> Floats:
    """Inside a box the head's opinion counts, where it has one there."""
    inside = prior > 0
    if (sounding[inside] > above).mean() < 0.1:
        return prior
    return np.where(inside, 0.5 * prior + 0.5 * sounding, 0.0).astype(np.float32)


def _boxed(frames: list[npt.NDArray[np.uint8]], boxes: npt.NDArray[np.float32]) -> list[Mask]:
    """An object that was on the wire has its box in every window in which it was marked."""
    masks = []
    for frame, (x, y, w, h) in zip(frames, boxes.tolist(), strict=True):
        masks.append(
            outline(frame, box_prior(frame.shape[:2], (x, y, w, h))) if w > 0 and h > 0 else np.zeros(frame.shape[:2], bool)
        )
    return masks


def _found(
    frames: list[npt.NDArray[np.uint8]], said: Sounding, active: npt.NDArray[np.bool_] | None, above: float
) -> list[Mask]:
    """Without a hint: what the sounding head marks most surely, or what comes nearest to a voice, followed from there."""
    sounding = np.ones(len(frames), bool) if active is None else active
    maps = {n: said.sounding[n] for n in np.flatnonzero(sounding).tolist() if _marks(said.sounding[n] > above)}
    if len(maps) < FEWEST:
        maps = {
            n: near
            for n in np.flatnonzero(sounding).tolist()
            if (near := _near_voice(said.voice[n], frames[n].shape[:2])) is not None
        }
    if len(maps) < FEWEST:
        raise LessonRejected(
            "nothing in the picture can be told to make this sound; give a box around it (--box x,y,w,h), or come nearer"
        )
    surest = max(
        maps, key=lambda n: float(maps[n][whole(maps[n] > 0.5, maps[n] > 0.5)].mean()) if (maps[n] > 0.5).any() else 0.0
    )
    seed = outline(frames[surest], maps[surest])
    if np.count_nonzero(seed) < SMALLEST_PX:
        raise LessonRejected("what seems to make this sound is too small to be learned; come nearer, or give a box around it")
    return follow(frames, surest, seed, maps)


def _marks(mask: Mask) -> bool:
    return int(np.count_nonzero(mask)) >= SMALLEST_PX


def _near_voice(voice: Floats, shape: tuple[int, int]) -> Floats | None:
    """Pixels that resemble a voice, as a prior; None where none stands out."""
    top = float(np.quantile(voice, 0.98))
    if top < VOICE_NEAR or top - float(np.median(voice)) < VOICE_APART:
        return None
    middle = 0.5 * (top + float(np.median(voice)))
    return to_frame((1 / (1 + np.exp(-(voice - middle) / 0.05))).astype(np.float32), shape)


def _judge(
    masks: list[Mask], said: Sounding, when: tuple[Frames, Frames], above: float, hinted: bool
) -> list[tuple[Reason | None, float]]:
    """Why each visited window is dropped, or None; and how well sound and sight agree. when: it sounds, it pauses."""
    verdicts: list[tuple[Reason | None, float]] = []
    for n, (mask, active, paused) in enumerate(zip(masks, *when, strict=True)):
        if active:
            verdicts.append(_verdict(mask, said.sounding[n], said.muted[n], above, hinted))
        else:
            verdicts.append(("silent" if paused else "unsure", 0.0))
    return verdicts


def _verdict(mask: Mask, sounding: Floats, muted: Floats, above: float, hinted: bool) -> tuple[Reason | None, float]:
    area = int(np.count_nonzero(mask))
    if area < SMALLEST_PX:
        return "not seen", 0.0
    marked, alone = sounding > above, muted > above
    inside, outside = np.count_nonzero(marked & mask) / area, np.count_nonzero(marked & ~mask) / area
    score = float(sounding[mask].mean())
    if _marks(marked & mask) and np.count_nonzero(marked & alone) > MUTED_SHARE * np.count_nonzero(marked | alone):
        return "sight alone", score
    # A person who points knows better than a network that has never met the thing; but what it marks elsewhere is heard there.
    if (outside > 0.5 and inside < 0.1) if hinted else (inside < 0.25 or outside > 1.0):
        return "disagree", score
    return None, score


def _proposal(  # noqa: PLR0917
    request: LessonRequest,
    windows: Windows,
    visited: npt.NDArray[np.int64],
    masks: list[Mask],
    verdicts: list[tuple[Reason | None, float]],
    form: tuple[int, int],
) -> Proposal:
    able = [n for n, (reason, _) in enumerate(verdicts) if reason is None]
    if len(able) < FEWEST:
        reasons: dict[str, int] = {}
        for reason, _ in verdicts:
            if reason is not None:
                reasons[reason] = reasons.get(reason, 0) + 1
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
        raise LessonRejected(
            f"only {len(able)} of {len(verdicts)} windows can be learned from ({why}); show the thing alone while it sounds, "
            "or give a box around it"
        )
    kept = set(_spread(able, KEPT))
    pauses = set(_spread([n for n, (reason, _) in enumerate(verdicts) if reason == "silent"], PAUSES))
    labels = np.zeros((len(windows), *windows.frames.shape[1:3]), bool)
    lines = [WindowVerdict(frame=frame, kept=False, reason="not looked at") for frame in range(len(windows))]
    for n, frame in enumerate(visited.tolist()):
        reason, score = verdicts[n]
        left_out = "" if n in kept else "enough"
        lines[frame] = WindowVerdict(frame=frame, kept=n in kept or n in pauses, reason=reason or left_out, score=score)
        if n in kept:
            labels[frame] = masks[n]
    note = f"{len(kept)} of {len(windows)} windows of {_seconds(windows):.0f} s" + f", {len(pauses)} pauses" * bool(pauses)
    record = ProposalRecord(name=request.name, windows=tuple(lines), note=note)
    return Proposal(exemplars_of(request, windows, record, labels, form), labels, record)


def exemplars_of(
    request: LessonRequest, windows: Windows, record: ProposalRecord, masks: npt.NDArray[np.bool_], form: tuple[int, int]
) -> tuple[Exemplar, ...]:
    """The windows that are kept. masks: bool (F, H, W), empty in a pause. form: samples of a window, and of its look-ahead."""
    return tuple(
        Exemplar(
            frame=windows.frames[line.frame],
            sound=windows.sound_of(line.frame, *form),
            marks=((request.name or UNKNOWN, masks[line.frame]),) if request.sounding and masks[line.frame].any() else (),
            source=request.id,
            wall_ns=request.asked_wall_ns,
            score=line.score,
        )
        for line in record.windows
        if line.kept and line.frame < len(windows)
    )


def _spread(several: list[int], most: int) -> list[int]:
    """At most so many of them, evenly."""
    return [several[n] for n in np.unique(np.linspace(0, len(several) - 1, min(most, len(several))).round().astype(int))]


def _seconds(windows: Windows) -> float:
    return len(windows.sound) / windows.rate_hz
