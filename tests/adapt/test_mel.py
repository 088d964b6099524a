"""The log-mel front ends: the same numbers as a Fourier transform gives, and as the networks were trained on."""

import numpy as np
import numpy.typing as npt
import pytest
import soxr
import torch

from cavs.adapt.model.mel import DFT, HOP, WINDOW, EfficientAtMel, Spectrum, VggishMel, frames_of

Wave = npt.NDArray[np.float64]
RATE_HZ = 16_000


def tones(rate_hz: int, seconds: float = 1.0) -> Wave:
    """Six tones below 6 kHz that come and go: the same sound at every rate."""
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    return np.asarray(sum(0.1 * np.sin(2 * np.pi * hz * time + hz) for hz in (110, 440, 1000, 2300, 4100, 5900)) * swell)


def published_mel(wave_32k: Wave) -> Wave:
    """The front end of EfficientAT as its authors define it, at its own rate of 32 kHz."""
    y = np.pad(wave_32k[1:] - 0.97 * wave_32k[:-1], 512, mode="reflect")
    window = np.zeros(1024)
    window[112:912] = np.hanning(800)
    frames = np.stack([y[320 * t : 320 * t + 1024] * window for t in range(1 + (len(wave_32k) - 1) // 320)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = 1127 * np.log1p(np.arange(513) * 31.25 / 700)
    edges = np.linspace(0, 1127 * np.log1p(15_000 / 700), 130)
    rising = (mel[:, None] - edges[:-2]) / (edges[1] - edges[0])
    bank = np.maximum(0, np.minimum(rising, 2 - rising))
    return np.asarray((np.log(power @ bank + 1e-5).T + 4.5) / 5)


@torch.inference_mode()
def test_the_halved_transform_equals_a_fourier_transform() -> None:
    window = np.hanning(WINDOW)
    frames = np.random.default_rng(0).normal(0, 0.1, (1, 5, WINDOW))
    expected = np.abs(np.fft.rfft(frames * window, DFT)) ** 2
    seen = Spectrum(window, DFT // 2 + 1)(torch.from_numpy(frames.astype(np.float32)))
    np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-4)


def test_a_window_without_symmetry_is_refused() -> None:
    with pytest.raises(ValueError, match="symmetric"):
        Spectrum(np.hanning(WINDOW + 1)[:-1], 4)


def test_frames_start_every_10_ms_and_mirror_what_lies_outside() -> None:
    wave = torch.arange(1600.0)[None]
    frames = frames_of(wave, before=200, count=10)
    mirrored = np.pad(wave.numpy()[0], (200, 40), mode="reflect")
    for index in range(10):
        np.testing.assert_array_equal(frames[0, index], mirrored[index * HOP : index * HOP + WINDOW])


@torch.inference_mode()
def test_16_khz_sound_gives_the_picture_that_32_khz_sound_gave_in_training() -> None:
    wave = tones(RATE_HZ) + np.random.default_rng(0).normal(0, 0.01, RATE_HZ)
    expected = published_mel(soxr.resample(wave, RATE_HZ, 32_000, "VHQ"))
    seen = EfficientAtMel()(torch.from_numpy(wave.astype(np.float32))[None])[0, 0].numpy()
    assert seen.shape == expected.shape == (128, 100)
    kept = slice(0, 98)  # bands below 7 kHz, where the resampler passes everything
    difference = np.abs(seen - expected)[kept, 2:-2]  # the first and last frames mirror the sound, not its emphasis
    assert difference.mean() < 0.02
    assert np.quantile(difference, 0.99) < 0.15


@torch.inference_mode()
def test_silence_and_what_lies_above_8_khz_are_at_the_floor() -> None:
    floor = (np.log(1e-5) + 4.5) / 5
    silence = EfficientAtMel()(torch.zeros(1, 4800))
    np.testing.assert_allclose(silence, floor, atol=1e-6)
    loud = EfficientAtMel()(torch.from_numpy(tones(RATE_HZ).astype(np.float32))[None])
    np.testing.assert_allclose(loud[0, 0, 106:], floor, atol=1e-6)


@torch.inference_mode()
def test_vggish_patches_are_the_newest_and_equal_a_fourier_transform() -> None:
    wave = tones(RATE_HZ, 2.0)
    newest = wave[-(191 * 160 + 400) :]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([newest[160 * t : 160 * t + 400] * window for t in range(192)])
    mel = 1127 * np.log1p(np.arange(257) * 31.25 / 700)
    edges = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)
    rising = (mel[:, None] - edges[:-2]) / (edges[1] - edges[0])
    bank = np.maximum(0, np.minimum(rising, 2 - rising))
    expected = np.log(np.abs(np.fft.rfft(frames, 512)) @ bank + 0.01).reshape(2, 96, 64)
    seen = VggishMel()(torch.from_numpy(wave.astype(np.float32))[None])[0]
    np.testing.assert_allclose(seen, expected, atol=2e-3)


@pytest.mark.parametrize("front_end", [EfficientAtMel, VggishMel])
def test_under_autocast_the_picture_is_the_same_to_the_last_bit(front_end: type[EfficientAtMel] | type[VggishMel]) -> None:
    mel = front_end()
    wave = torch.from_numpy(tones(RATE_HZ, 2.0).astype(np.float32))[None]
    plain = mel(wave)
    with torch.autocast("cpu", torch.bfloat16):
        assert (wave @ wave.T).dtype == torch.bfloat16  # a product of ours would have been rounded
        mixed = mel(wave)
        assert (wave @ wave.T).dtype == torch.bfloat16  # and what follows is as it was
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)
