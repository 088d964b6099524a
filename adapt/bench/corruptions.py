"""The same clips in other conditions: domains for domain-incremental learning (ATLAS, arXiv 2603.08967; which it takes is not
known, so these four are our reading). A clip always gets the same corruption: its random numbers come from its name.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from cavs.adapt.data.clip_set import LabelledClip, Pixels, Samples

NIGHT_GAMMA, NIGHT_GAIN, NIGHT_NOISE = 1.6, 0.35, 6.0
"""Exponent and factor of the light that is left, and grey levels of sensor noise in it."""
BLUR_SHARE = 0.02
"""Standard deviation of the blur, as a share of the picture's width."""
NOISE_SNR_DB = 5.0
REVERB_S, REVERB_SHARE = 0.5, 0.6
"""Time in which the echo falls by 60 dB, and its energy as a share of the direct sound's."""

Corruption = Callable[[LabelledClip, np.random.Generator], LabelledClip]


def night(clip: LabelledClip, rng: np.random.Generator) -> LabelledClip:
    """Little light, and the noise of a sensor that makes the most of it."""
    light = NIGHT_GAIN * 255 * (clip.frames / 255.0) ** NIGHT_GAMMA
    return replace(clip, frames=_grey_levels(light + rng.normal(0, NIGHT_NOISE, light.shape)))


def blur(clip: LabelledClip, rng: np.random.Generator) -> LabelledClip:
    """Out of focus."""
    sigma = BLUR_SHARE * clip.frames.shape[2]
    return replace(clip, frames=np.stack([np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma)) for frame in clip.frames]))


def noise(clip: LabelledClip, rng: np.random.Generator) -> LabelledClip:
    """White noise under the sound, `NOISE_SNR_DB` below it over the whole clip."""
    level = float(np.sqrt(np.mean(clip.samples**2))) * 10 ** (-NOISE_SNR_DB / 20)
    return replace(clip, samples=_sound(clip.samples + rng.normal(0, level, clip.samples.shape)))


def reverb(clip: LabelledClip, rng: np.random.Generator) -> LabelledClip:
    """A large bare room, the loudness as before."""
    time_s = np.arange(1, round(REVERB_S * clip.rate_hz) + 1) / clip.rate_hz
    echo = rng.normal(size=len(time_s)) * 10 ** (-3 * time_s / REVERB_S)
    answer = np.concatenate([[1.0], echo * np.sqrt(REVERB_SHARE / (echo @ echo))])
    length = len(clip.samples)
    n = length + len(answer) - 1
    heard = np.fft.irfft(np.fft.rfft(clip.samples, n) * np.fft.rfft(answer, n), n)[:length]
    before, after = float(np.mean(clip.samples**2)), float(np.mean(heard**2))
    return replace(clip, samples=_sound(heard * np.sqrt(before / after) if after > 0 else heard))


def none(clip: LabelledClip, rng: np.random.Generator) -> LabelledClip:
    """As it was recorded."""
    return clip


CORRUPTIONS: dict[str, Corruption] = {"clean": none, "night": night, "blur": blur, "noise": noise, "reverb": reverb}
"""By domain, in the order they are learned."""


def corrupt(clip: LabelledClip, domain: str) -> LabelledClip:
    """The clip in a domain; masks stay as they are."""
    seed = int.from_bytes(hashlib.sha256(f"{domain}/{clip.split}/{clip.id}".encode()).digest()[:8], "big")
    return CORRUPTIONS[domain](clip, np.random.default_rng(seed))


def _grey_levels(light: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Pixels:
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _sound(samples: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Samples:
    return samples.astype(np.float32)
