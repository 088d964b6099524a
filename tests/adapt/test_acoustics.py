"""Acoustics: levels are kept, nothing is added before a sound, noises are what they are called."""

import numpy as np
import pytest

from cavs.adapt.data.acoustics import NOISES, change_speed, colour, noise, overdrive
from cavs.adapt.data.ingredients import RATE_HZ, Samples


def tone(hz: float, seconds: float = 1.0) -> Samples:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


@pytest.mark.parametrize("seed", range(10))
def test_another_microphone_and_room_keep_the_level(seed: int) -> None:
    voice = noise("pink", RATE_HZ, np.random.default_rng(seed))
    coloured = colour(voice, np.random.default_rng(seed), 1.0)
    assert coloured.shape == voice.shape
    assert coloured.dtype == np.float32
    assert rms(coloured) == pytest.approx(rms(voice), rel=1e-4)
    assert np.abs(coloured - voice).max() > 0.01


def test_silence_stays_silence() -> None:
    assert not colour(np.zeros(1000, np.float32), np.random.default_rng(0), 1.0).any()


def test_a_room_answers_after_the_sound_and_not_round_the_corner() -> None:
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[RATE_HZ] = 1
    for seed in range(30):
        answer = colour(click, np.random.default_rng(seed), 1.0)
        assert np.square(answer[: RATE_HZ - 800]).sum() < 0.02


def test_speed_changes_length_and_pitch() -> None:
    slower = change_speed(tone(400), 2 * RATE_HZ)
    assert len(slower) == 2 * RATE_HZ
    assert int(np.abs(np.fft.rfft(slower)).argmax()) / 2 == pytest.approx(200, abs=1)


@pytest.mark.parametrize("kind", NOISES)
def test_noises_have_a_level_near_one_and_differ_by_generator(kind: str) -> None:
    levels = [rms(noise(kind, 2 * RATE_HZ, np.random.default_rng(seed))) for seed in range(8)]
    assert np.mean(levels) == pytest.approx(1.0, abs=0.35)
    one, two = (noise(kind, RATE_HZ, np.random.default_rng(seed)) for seed in (1, 2))
    assert (one != two).any()
    assert one.dtype == np.float32


def test_brown_noise_is_darker_than_pink_and_pink_than_white() -> None:
    def centre_hz(kind: str) -> float:
        power = np.abs(np.fft.rfft(noise(kind, RATE_HZ, np.random.default_rng(0)))) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centre_hz("brown") < 0.5 * centre_hz("pink") < 0.5 * centre_hz("white")


def test_noise_longer_than_its_sheet_goes_on() -> None:
    long = noise("white", 50 * RATE_HZ, np.random.default_rng(0))
    assert rms(long[-RATE_HZ:]) == pytest.approx(1.0, abs=0.1)


def test_overdrive_cuts_the_peaks() -> None:
    driven = overdrive(tone(100), np.random.default_rng(0))
    assert 0.3 <= np.abs(driven).max() <= 0.8
    assert np.mean(np.abs(driven) == np.abs(driven).max()) > 0.2
