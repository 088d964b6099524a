"""What the network makes of each window of a lesson: where it sounds, with the sound and without it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from cavs.adapt.data.ingredients import BLOCK, RATE_HZ, Recording
from cavs.adapt.data.sound import HOLD_BLOCKS
from cavs.adapt.learn.features import AT_ONCE, heard_rows, look, see
from cavs.adapt.learn.features import hear as hear_kept
from cavs.adapt.learn.features import listen as listen_kept
from cavs.adapt.learn.lesson_loss import rows_of, said_of
from cavs.adapt.model.neck import enlarge
from cavs.adapt.model.network import Network
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.lesson_windows import Windows

SILENCE_DBFS = -55.0
"""A lesson whose loudest 20 ms are below this holds no sound: a microphone's own noise lies there."""

STEADY_DB = 6.0
"""A sound whose loud and quiet blocks are nearer than this has no pauses."""
SURE_DB = 8.0
"""Blocks this far below the loudest may be of something else that is heard: neither the thing nor its pause."""

Floats = npt.NDArray[np.float32]
Blocks = npt.NDArray[np.bool_]
Frames = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sounding:
    """Of F windows.

    sounding: (F, H, W), probability of sounding with the window's sound; muted: with silence in its place.
    voice:    (F, H / 8, W / 8), cosine between each pixel and the nearest voice.
    embedding: (F, D, H / 8, W / 8), unit vectors.
    """

    sounding: Floats
    muted: Floats
    voice: Floats
    embedding: Floats


@torch.inference_mode()
def sounding_of(network: Network, frames: npt.NDArray[np.uint8], sounds: Floats) -> Sounding:
    """frames: uint8 (F, H, W, 3); sounds: float32 (F, N). With the network's adapter."""
    rows = rows_of(network)
    silence = hear_kept(network, listen_kept(network, np.zeros((1, sounds.shape[1]), np.float32)))
    parts = []
    for first in range(0, len(frames), AT_ONCE):
        seen = see(network, look(network, frames[first : first + AT_ONCE]))
        heard = hear_kept(network, listen_kept(network, sounds[first : first + AT_ONCE]))
        quiet = heard_rows(silence, torch.zeros(len(seen.embedding), dtype=torch.int64))
        said, muted = (said_of(network, seen, what, 1, rows).sounding for what in (heard, quiet))
        voice = (seen.embedding.flatten(2).transpose(1, 2) @ heard.voices.transpose(1, 2)).amax(2)
        maps = (torch.sigmoid(enlarge(logit[:, None], 4))[:, 0] for logit in (said, muted))
        parts.append((*maps, voice.reshape(-1, *seen.embedding.shape[2:]), seen.embedding))
    return Sounding(*(torch.cat(tensors).float().numpy() for tensors in zip(*parts, strict=True)))


def _loud(heard: Recording) -> tuple[Blocks, Blocks]:
    """Blocks in which what is taught surely sounds, and those in which it may: in the upper half of the range, in dB, above a
    room's noise. Of a steady sound both are all.
    """
    level_db = 20 * np.log10(np.maximum(heard.envelope, 1e-7))
    top, rest = np.percentile(level_db, (95, 10))
    if top - rest <= STEADY_DB:
        return heard.loud, heard.loud
    may = level_db > rest + (top - rest) / 2
    return may & (level_db > top - SURE_DB), may


def sounding_frames(windows: Windows) -> tuple[Frames, Frames]:
    """(F,), (F,): whether what is taught surely sounds at each frame, and whether it surely pauses; neither between them.

    Sounding is meant as in docs/architecture.md: now, or a moment ago. In a lesson of silence all is a pause.
    """
    nothing, always = np.zeros(len(windows), bool), np.ones(len(windows), bool)
    if len(windows.sound) < BLOCK or windows.rate_hz != RATE_HZ:
        return nothing, always
    heard = Recording("lesson", "lesson", "lesson", windows.sound)
    if heard.envelope.max() < 10 ** (SILENCE_DBFS / 20):
        return nothing, always
    ends = ((windows.t_ns - windows.sound_start_ns) * RATE_HZ // (NS_PER_S * BLOCK)).tolist()
    sure, may = (
        np.array([bool(loud[max(0, end - HOLD_BLOCKS) : max(0, end) + 1].any()) for end in ends]) for loud in _loud(heard)
    )
    if may.all():  # no pause: what swells and fades, such as a song, and not something else in between
        return may, ~may
    return sure, ~may


def to_frame(coarse: Floats, shape: tuple[int, int]) -> Floats:
    """A map at stride 8 at the size of the frame."""
    large = F.interpolate(torch.from_numpy(coarse)[None, None], shape, mode="bilinear", align_corners=False)
    enlarged: Floats = large[0, 0].numpy()
    return enlarged
