"""What a room, a microphone and the world add to a recording: tone, echo, speed, noise, clipping. float32 mono."""

from functools import cache

import numpy as np
import numpy.typing as npt

from cavs.adapt.data.ingredients import RATE_HZ, Samples

ECHO_SAMPLES = 8192
"""Length of a room's answer: half a second."""
ROOMS = 24
_SHEET_SAMPLES = 20 * RATE_HZ
NOISES = ("white", "pink", "brown", "wind", "hum")

Spectrum = npt.NDArray[np.complex64]


def colour(samples: Samples, rng: np.random.Generator, strength: float) -> Samples:
    """The sound through a random microphone and a random room, at its old level."""
    length = len(samples)
    n = _fft_length(length + ECHO_SAMPLES)
    response = _tone_curve(rng, n, strength).astype(np.complex64)
    if rng.random() < 0.35 * strength:
        response *= 1 + np.float32(rng.uniform(0.15, 0.9)) * _room(int(rng.integers(ROOMS)), n)
    if rng.random() < 0.5:
        response = -response
    coloured: Samples = np.fft.irfft(np.fft.rfft(samples, n) * response, n)[:length].astype(np.float32)
    before, after = float(np.dot(samples, samples)), float(np.dot(coloured, coloured))
    return coloured * np.float32(np.sqrt(before / after)) if after > 0 else samples


def _tone_curve(rng: np.random.Generator, n: int, strength: float) -> Samples:
    """Gain per frequency: a few decibels up and down, and now and then a narrow band such as a telephone's."""
    frequency_hz = _frequencies_hz(n)
    knots_hz = np.geomspace(60, RATE_HZ / 2, 7)
    gain_db = np.interp(frequency_hz, knots_hz, rng.normal(0, 3.5 * strength, len(knots_hz)))
    if rng.random() < 0.12 * strength:
        low_hz, high_hz = rng.uniform(100, 500), rng.uniform(2500, 7000)
        octaves = np.maximum(np.log2(low_hz / frequency_hz), 0) + np.maximum(np.log2(frequency_hz / high_hz), 0)
        gain_db -= 18 * octaves
    return np.asarray(10 ** (gain_db / 20), np.float32)


@cache
def _frequencies_hz(n: int) -> npt.NDArray[np.float64]:
    return np.asarray(np.maximum(np.fft.rfftfreq(n, 1 / RATE_HZ), 1.0), np.float64)


def _fft_length(at_least: int) -> int:
    """The next 2^a, 3 * 2^a or 5 * 2^a: quick to transform."""
    return min(factor << max(0, int(np.ceil(np.log2(at_least / factor)))) for factor in (1, 3, 5))


@cache
def _room(number: int, n: int) -> Spectrum:
    """Spectrum of a room's echo (without the direct sound): noise that dies away in 0.1 to 0.6 s."""
    rng = np.random.default_rng(number)
    time_s = np.arange(ECHO_SAMPLES) / RATE_HZ
    decay_s = rng.uniform(0.1, 0.6)
    echo = rng.normal(0, 1, ECHO_SAMPLES) * 10 ** (-3 * time_s / decay_s)
    echo[: int(rng.uniform(0.002, 0.02) * RATE_HZ)] = 0
    echo = np.convolve(echo, [0.5, 0.35, 0.15])[:ECHO_SAMPLES]  # walls swallow the high part
    spectrum: Spectrum = np.fft.rfft(echo / np.sqrt(np.square(echo).sum()), n).astype(np.complex64)
    return spectrum


def change_speed(samples: Samples, length: int) -> Samples:
    """The sound played so that it lasts `length` samples; pitch moves with it."""
    if len(samples) == length:
        return samples
    at = np.linspace(0, len(samples) - 1, length)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def noise(kind: str, length: int, rng: np.random.Generator) -> Samples:
    """Noise without a source in the picture, RMS near 1: one of NOISES."""
    if kind == "hum":
        return _hum(length, rng)
    sheet = _noise_sheet("brown" if kind == "wind" else kind)
    at = (int(rng.integers(len(sheet))) + np.arange(length)) % len(sheet)
    out = np.asarray(sheet[at], np.float64)
    if kind == "wind":
        gusts = np.clip(rng.normal(0.6, 0.5, max(3, length // RATE_HZ * 3)), 0.05, 2.0)
        out = out * np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(gusts)), gusts)
    return np.asarray(out, np.float32)


def _hum(length: int, rng: np.random.Generator) -> Samples:
    mains_hz = float(rng.choice([50.0, 60.0])) * rng.uniform(0.998, 1.002)
    time_s = np.arange(length) / RATE_HZ
    out = np.zeros(length)
    for harmonic in (1, 2, 3, 4, 6, 10):
        out += rng.uniform(0, 1) / harmonic * np.sin(2 * np.pi * mains_hz * harmonic * time_s + rng.uniform(0, 6.28))
    return np.asarray(out / (np.sqrt(np.square(out).mean()) + 1e-9), np.float32)


@cache
def _noise_sheet(kind: str) -> Samples:
    """20 s of white, pink or brown noise that closes on itself; the same in every process."""
    rng = np.random.default_rng(sum(kind.encode()))
    spectrum = np.fft.rfft(rng.normal(0, 1, _SHEET_SAMPLES))
    frequency_hz = np.maximum(np.fft.rfftfreq(_SHEET_SAMPLES, 1 / RATE_HZ), 20.0)
    shaped = np.fft.irfft(spectrum * frequency_hz ** {"white": 0.0, "pink": -0.5, "brown": -1.0}[kind], _SHEET_SAMPLES)
    return np.asarray(shaped / shaped.std(), np.float32)


def overdrive(samples: Samples, rng: np.random.Generator) -> Samples:
    """The sound cut off at a part of its peak, as by a microphone that is too sensitive."""
    peak = float(np.abs(samples).max())
    ceiling = peak * rng.uniform(0.3, 0.8)
    return np.clip(samples, -ceiling, ceiling)
