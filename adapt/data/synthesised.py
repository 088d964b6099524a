"""What the drawn things sound like, and the sounds around them, made from oscillators and noise.

Every sound is drawn afresh: pitch, pace, timbre, room and colour vary widely, the kind stays recognisable.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from scipy import signal

Rng = np.random.Generator
Samples = npt.NDArray[np.float32]
Wave = npt.NDArray[np.float64]

PEAK = 0.7
"""Largest absolute sample of every sound: whoever mixes it chooses the gain."""


def synthesise(name: str, rng: Rng, seconds: float, rate_hz: int) -> Samples:
    """One sound of a class, float32 (N,), mono, peak 0.7."""
    if name not in VOICES:
        raise ValueError(f"no synthesised class {name!r}; known: {', '.join(VOICES)}")
    return _finished(VOICES[name](rng, round(seconds * rate_hz), rate_hz), rng, rate_hz)


def synthesise_surroundings(kind: str, rng: Rng, seconds: float, rate_hz: int) -> Samples:
    """Ambience or a source that is never in the picture, float32 (N,), mono, peak 0.7."""
    if kind not in SURROUNDINGS:
        raise ValueError(f"no surroundings {kind!r}; known: {', '.join(SURROUNDINGS)}")
    return _finished(SURROUNDINGS[kind](rng, round(seconds * rate_hz), rate_hz), rng, rate_hz)


def _finished(wave: Wave, rng: Rng, rate_hz: int) -> Samples:
    """A random tone colour, a small room, short fades, the common peak."""
    tilt = rng.uniform(-0.35, 0.35)
    coloured = signal.lfilter([1.0, tilt], [1.0], wave)
    if rng.random() < 0.6:
        length = round(rng.uniform(0.08, 0.35) * rate_hz)
        tail = rng.standard_normal(length) * np.exp(-6.0 * np.arange(length) / length)
        tail *= rng.uniform(0.05, 0.25) / np.sqrt(np.square(tail).sum())
        tail[0] += 1
        coloured = signal.fftconvolve(coloured, tail)[: len(wave)]
    fade = min(round(0.005 * rate_hz), len(wave) // 2)
    if fade:
        coloured[:fade] *= np.linspace(0, 1, fade)
        coloured[-fade:] *= np.linspace(1, 0, fade)
    finished: Samples = (coloured * (PEAK / max(float(np.abs(coloured).max()), 1e-9))).astype(np.float32)
    return finished


def _drift(rng: Rng, count: int, rate_hz: int, slowness_s: float) -> Wave:
    """Smooth random wandering, standard deviation about 1, (count,)."""
    knots = max(4, int(count / rate_hz / slowness_s) + 4)
    points = rng.standard_normal(knots).astype(np.float32)[None]
    wander: Wave = cv2.resize(points, (count, 1), interpolation=cv2.INTER_CUBIC)[0].astype(np.float64)
    return wander


def _phase(frequency_hz: Wave, rate_hz: int) -> Wave:
    phase: Wave = 2 * np.pi * np.cumsum(frequency_hz) / rate_hz
    return phase


def _band(rng: Rng, count: int, rate_hz: int, low_hz: float, high_hz: float) -> Wave:
    """Noise between two frequencies, standard deviation 1, (count,)."""
    top = min(high_hz, 0.49 * rate_hz)
    sections = signal.butter(2, [max(low_hz, 10.0), top], "bandpass", fs=rate_hz, output="sos")
    noise: Wave = signal.sosfilt(sections, rng.standard_normal(count))
    return noise / max(float(noise.std()), 1e-9)


def _at(track: Wave, start: int, piece: Wave) -> None:
    """Adds a piece where it begins, cut off at the end of the track."""
    room = track[start : start + len(piece)]
    room += piece[: len(room)]


def _kettle(rng: Rng, count: int, rate_hz: int) -> Wave:
    """Simmering that turns into a whistle of one or two close tones and hiss."""
    t = np.arange(count) / rate_hz
    top_hz, onset_s = rng.uniform(1500, 3300), rng.uniform(0.15, 1.2)
    rise = 1 - np.exp(-t / onset_s)
    pitch = top_hz * (1 - rng.uniform(0.2, 0.55) * (1 - rise)) * (1 + 0.006 * _drift(rng, count, rate_hz, 0.15))
    flutter = 1 + rng.uniform(0.05, 0.3) * np.sin(2 * np.pi * rng.uniform(5, 18) * t + 1.5 * _drift(rng, count, rate_hz, 0.3))
    phase = _phase(pitch, rate_hz)
    whistle = np.sin(phase) + rng.uniform(0.1, 0.5) * np.sin(phase * rng.uniform(1.08, 1.3)) + 0.12 * np.sin(2 * phase)
    steam = _band(rng, count, rate_hz, top_hz * 0.8, 7800) * rng.uniform(0.1, 0.35)
    simmer = _band(rng, count, rate_hz, 120, 900) * (1 + 0.6 * _drift(rng, count, rate_hz, 0.05)) * rng.uniform(0.05, 0.15)
    return (whistle + steam) * flutter * (0.25 + 0.75 * rise) + simmer


def _hand_bell(rng: Rng, count: int, rate_hz: int) -> Wave:
    """Strikes of one bell: inharmonic partials that beat, the high ones fading first."""
    pitch_hz = float(np.exp(rng.uniform(np.log(520), np.log(1900))))
    ratios = np.array([0.5, 1.0, 1.19, 1.56, 2.0, 2.51, 2.66, 3.01, 4.1]) * (1 + 0.012 * rng.standard_normal(9))
    ratios = ratios[ratios * pitch_hz < 0.47 * rate_hz]
    levels = rng.uniform(0.3, 1.0, len(ratios)) / (1 + 0.35 * np.arange(len(ratios)))
    decay_s = rng.uniform(0.35, 1.3) / ratios**0.6
    t = np.arange(min(count, 3 * rate_hz)) / rate_hz
    strike = _band(rng, len(t), rate_hz, 2500, 7500) * np.exp(-t / 0.006) * 0.7
    for ratio, level, decay in zip(ratios, levels, decay_s, strict=True):
        beat = 1 + 0.3 * np.cos(2 * np.pi * rng.uniform(0.5, 6) * t)
        strike += level * beat * np.sin(2 * np.pi * ratio * pitch_hz * t + rng.uniform(0, 6.28)) * np.exp(-t / decay)
    pace_s = rng.uniform(0.28, 0.95)
    track, start_s = np.zeros(count), rng.uniform(0, 0.1)
    while start_s * rate_hz < count:
        _at(track, round(start_s * rate_hz), strike * rng.uniform(0.45, 1.0))
        start_s += pace_s * rng.uniform(0.85, 1.2) * (2.0 if rng.random() < 0.1 else 1.0)
    return track


def _drone(rng: Rng, count: int, rate_hz: int) -> Wave:
    """Four rotors close in pitch: a beating buzz with wash of air."""
    pitch_hz = rng.uniform(95, 260)
    throttle = 1 + 0.05 * _drift(rng, count, rate_hz, 0.5)
    partials = np.arange(1, max(2, min(26, int(0.36 * rate_hz / pitch_hz))))
    levels = rng.uniform(0.4, 1.0, len(partials)) / partials ** rng.uniform(0.6, 1.1)
    turn = np.linspace(0, 1, 1024, endpoint=False)
    blade = levels @ np.sin(2 * np.pi * partials[:, None] * turn + rng.uniform(0, 6.28, len(partials))[:, None])
    buzz = np.zeros(count)
    for _ in range(4):
        wobble = 1 + 0.006 * _drift(rng, count, rate_hz, 0.12)
        phase = _phase(pitch_hz * rng.uniform(0.96, 1.05) * throttle * wobble, rate_hz)
        buzz += np.interp(phase / (2 * np.pi) + rng.random(), turn, blade, period=1.0)
    whine = 0.4 * np.sin(_phase(pitch_hz * rng.uniform(11, 17) * throttle, rate_hz))
    wash = _band(rng, count, rate_hz, 700, 5500) * (1 + 0.35 * np.sin(phase)) * rng.uniform(0.25, 0.7)
    return np.asarray((buzz / buzz.std() + whine + wash) * (1 + 0.1 * _drift(rng, count, rate_hz, 0.3)))


def _toy_robot(rng: Rng, count: int, rate_hz: int) -> Wave:
    """Beeps, sweeps and warbles in short phrases over a faint motor."""
    track, start_s = np.zeros(count), rng.uniform(0, 0.1)
    centre_hz = rng.uniform(420, 1300)
    edge = rng.uniform(0.0, 1.0)
    while start_s * rate_hz < count:
        kind, length_s = rng.integers(4), rng.uniform(0.05, 0.22)
        t = np.arange(round(length_s * rate_hz)) / rate_hz
        along = t / length_s
        start_hz = centre_hz * 2 ** rng.uniform(-0.8, 0.9)
        if kind == 0:
            pitch = np.full(len(t), start_hz)
        elif kind == 1:
            pitch = start_hz * 2 ** (along * rng.uniform(-1.2, 1.2))
        elif kind == 2:
            pitch = start_hz * (1 + 0.25 * np.sin(2 * np.pi * rng.uniform(18, 45) * t))
        else:
            pitch = start_hz * 2 ** (np.floor(along * 4) * rng.choice((-1, 1)) * rng.choice((3, 4, 5)) / 12)
        wave = np.sin(_phase(pitch, rate_hz) + edge * np.sin(_phase(pitch * 2, rate_hz)))
        beep = (1 - edge) * wave + edge * np.tanh(3 * wave)
        shape = np.minimum(1, np.minimum(along, 1 - along) * length_s / 0.006)
        _at(track, round(start_s * rate_hz), beep * shape * rng.uniform(0.6, 1.0))
        start_s += length_s + (rng.uniform(0.01, 0.08) if rng.random() < 0.8 else rng.uniform(0.15, 0.4))
    motor = _band(rng, count, rate_hz, 180, 1500) * (
        1 + np.sign(np.sin(2 * np.pi * rng.uniform(12, 30) * np.arange(count) / rate_hz))
    )
    return np.asarray(track + motor * rng.uniform(0.005, 0.03))


def _toy_frog(rng: Rng, count: int, rate_hz: int) -> Wave:
    """Croaks: trains of clicks through two resonances, often in two parts."""
    track, start_s = np.zeros(count), rng.uniform(0, 0.15)
    body_hz, throat_hz = rng.uniform(380, 850), rng.uniform(1100, 2300)
    rate = rng.uniform(32, 85)
    double = rng.random() < 0.6
    pause_s = rng.uniform(0.12, 0.5)
    while start_s * rate_hz < count:
        for part in range(2 if double else 1):
            length_s = rng.uniform(0.1, 0.2) if double else rng.uniform(0.2, 0.55)
            count_part, higher = round(length_s * rate_hz), 1 + 0.25 * part
            croak = _croak(rng, count_part, rate_hz, clicks_hz=rate * higher, body_hz=body_hz * higher, throat_hz=throat_hz)
            _at(track, round(start_s * rate_hz), croak * rng.uniform(0.7, 1.0))
            start_s += length_s + 0.03
        start_s += pause_s * rng.uniform(0.6, 1.6)
    return track


def _croak(rng: Rng, count: int, rate_hz: int, *, clicks_hz: float, body_hz: float, throat_hz: float) -> Wave:
    along = np.arange(count) / count
    pace = clicks_hz * (1 + 0.35 * np.sin(np.pi * along) * rng.uniform(-0.5, 1))
    ticks = np.diff(np.floor(_phase(pace, rate_hz) / (2 * np.pi)), prepend=0.0) > 0
    clicks = ticks * rng.uniform(0.6, 1.0, count)
    croak = np.zeros(count)
    for centre_hz, level in ((body_hz, 1.0), (throat_hz, 0.7), (throat_hz * 1.7, 0.25)):
        b, a = signal.iirpeak(min(centre_hz * rng.uniform(0.97, 1.03), 0.45 * rate_hz), 6.0, fs=rate_hz)
        croak += level * signal.lfilter(b, a, clicks) * np.sqrt(centre_hz)
    return np.asarray(croak * np.sin(np.pi * along) ** 0.6)


def _room(rng: Rng, count: int, rate_hz: int) -> Wave:
    low = _band(rng, count, rate_hz, 20, rng.uniform(150, 500))
    return low + rng.uniform(0.05, 0.3) * rng.standard_normal(count) * (1 + 0.2 * _drift(rng, count, rate_hz, 0.5))


def _hum(rng: Rng, count: int, rate_hz: int) -> Wave:
    phase = 2 * np.pi * rng.choice((50.0, 60.0)) * np.arange(count) / rate_hz
    hum = sum(rng.uniform(0.1, 1) / k * np.sin(k * phase + rng.uniform(0, 6.28)) for k in range(1, 9))
    return np.asarray(hum + 0.2 * _room(rng, count, rate_hz))


def _wind(rng: Rng, count: int, rate_hz: int) -> Wave:
    gusts = np.exp(0.8 * _drift(rng, count, rate_hz, 0.7))
    howl = _band(rng, count, rate_hz, 250, 700) * np.clip(_drift(rng, count, rate_hz, 0.9), 0, None)
    return (_band(rng, count, rate_hz, 30, 400) + 0.5 * howl) * gusts


def _rain(rng: Rng, count: int, rate_hz: int) -> Wave:
    drops = (rng.random(count) < rng.uniform(60, 400) / rate_hz) * rng.exponential(1.0, count)
    b, a = signal.iirpeak(rng.uniform(1800, 4200), 3.0, fs=rate_hz)
    return np.asarray(_band(rng, count, rate_hz, 900, 7500) + 6 * signal.lfilter(b, a, drops) * rng.uniform(1, 4))


def _siren(rng: Rng, count: int, rate_hz: int) -> Wave:
    t = np.arange(count) / rate_hz
    swing = np.sin(2 * np.pi * rng.uniform(0.25, 1.4) * t + rng.uniform(0, 6.28))
    two_tone = rng.random() < 0.5
    pitch = rng.uniform(480, 800) * (1 + rng.uniform(0.15, 0.4) * (np.sign(swing) if two_tone else swing))
    phase = _phase(pitch, rate_hz)
    horn = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.3 * np.sin(3 * phase)
    return np.asarray(horn * np.exp(-np.square((t - rng.uniform(0, t[-1] + 0.01)) / (0.5 * t[-1] + 0.3))))


def _engine(rng: Rng, count: int, rate_hz: int) -> Wave:
    t = np.arange(count) / rate_hz
    passing = (t - rng.uniform(0.2, 0.8) * t[-1]) / rng.uniform(0.4, 1.2)
    phase = _phase(rng.uniform(28, 75) * (1 - 0.06 * np.tanh(passing)) * (1 + 0.02 * _drift(rng, count, rate_hz, 0.3)), rate_hz)
    growl = sum(rng.uniform(0.3, 1) / np.sqrt(k) * np.sin(k * phase + rng.uniform(0, 6.28)) for k in range(1, 20))
    return np.asarray((growl + 1.2 * _band(rng, count, rate_hz, 80, 1200)) / (0.3 + passing**2))


def _footsteps(rng: Rng, count: int, rate_hz: int) -> Wave:
    track, start_s, pace_s = np.zeros(count), rng.uniform(0, 0.3), rng.uniform(0.4, 0.75)
    t = np.arange(round(0.15 * rate_hz)) / rate_hz
    while start_s * rate_hz < count:
        heel = _band(rng, len(t), rate_hz, 90, rng.uniform(400, 2500)) * np.exp(-t / rng.uniform(0.012, 0.04))
        _at(track, round(start_s * rate_hz), heel * rng.uniform(0.5, 1))
        start_s += pace_s * rng.uniform(0.92, 1.08)
    return track + 0.01 * rng.standard_normal(count)


Voice = Callable[[Rng, int, int], Wave]

VOICES: dict[str, Voice] = {
    "kettle": _kettle,
    "hand_bell": _hand_bell,
    "drone": _drone,
    "toy_robot": _toy_robot,
    "toy_frog": _toy_frog,
}
"""Class name -> its sound."""

SURROUNDINGS: dict[str, Voice] = {
    "room": _room,
    "hum": _hum,
    "wind": _wind,
    "rain": _rain,
    "siren": _siren,
    "engine": _engine,
    "footsteps": _footsteps,
}
"""Sounds that no object in the picture makes."""
