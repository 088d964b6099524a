"""Waveform -> log-mel picture, as matrix products with constants, so that every engine computes what training computed.

No FFT operator is used: few engines have one. A window that is symmetric about its centre splits each frame into an even
and an odd half, which need only the cosines and only the sines: half the multiplications of a plain DFT matrix.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE_HZ = 16_000
WINDOW = 400
"""25 ms."""
HOP = 160
"""10 ms."""
DFT = 512
"""Length of the transform; its bins are 31.25 Hz apart."""

Matrix = npt.NDArray[np.float64]


class Spectrum(nn.Module):
    """Frames (B, T, 400) -> power (B, T, bins) of a windowed 512-point DFT, bins 0 .. `bins` - 1."""

    def __init__(self, window: Matrix, bins: int) -> None:
        super().__init__()
        half = WINDOW // 2
        if not np.allclose(window, window[::-1]):
            raise ValueError("the window must be symmetric about its centre")
        time = np.arange(half) - (WINDOW - 1) / 2
        phase = 2 * np.pi * np.outer(time, np.arange(bins)) / DFT
        self.cosines = _constant(self, "cosines", window[:half, None] * np.cos(phase))
        self.sines = _constant(self, "sines", window[:half, None] * np.sin(phase))

    cosines: Tensor
    sines: Tensor

    def forward(self, frames: Tensor) -> Tensor:
        half = WINDOW // 2
        first, second = frames[..., :half], frames[..., half:].flip(-1)
        real = (first + second) @ self.cosines
        imaginary = (first - second) @ self.sines
        return real * real + imaginary * imaginary


def _constant(module: nn.Module, name: str, values: Matrix) -> Tensor:
    tensor = torch.from_numpy(values.astype(np.float32))
    module.register_buffer(name, tensor, persistent=False)
    return tensor


def frames_of(wave: Tensor, before: int, count: int) -> Tensor:
    """Cuts (B, N) into (B, count, 400) frames 160 samples apart, the first `before` samples before the sound's start.

    What lies outside the sound is its mirror image. Two reshapes and a concatenation: no gather, no convolution.
    """
    after = (count - 1) * HOP + WINDOW - before - wave.shape[1]
    wave = F.pad(wave, (before, max(after, 0)), mode="reflect")
    rows = F.pad(wave, (0, (count + 2) * HOP - wave.shape[1])).reshape(-1, count + 2, HOP)
    return torch.cat([rows[:, :count], rows[:, 1 : count + 1], rows[:, 2 : count + 2, : WINDOW - 2 * HOP]], dim=2)


def triangles(edges: Matrix, points: Matrix) -> Matrix:
    """Filterbank (bins, bands): band b rises from edges[b] to 1 at edges[b + 1] and falls to 0 at edges[b + 2]."""
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (points[:, None] - left) / (centre - left)
    falling = (right - points[:, None]) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling))


class MelFrontEnd(nn.Module):
    """Sound -> log-mel picture, in float32 also under autocast: power spans more than half precision holds."""

    def forward(self, wave: Tensor) -> Tensor:
        device = wave.device.type
        if not torch.is_autocast_enabled(device):
            return self.picture(wave)
        with torch.autocast(device, enabled=False):
            return self.picture(wave.float())

    def picture(self, wave: Tensor) -> Tensor:
        """(B, N) -> the picture, in the precision of `wave`."""
        raise NotImplementedError


class EfficientAtMel(MelFrontEnd):
    """The log-mel picture (B, 1, 128, T) that EfficientAT was trained on, from 16 kHz sound (B, N), T = N / 160.

    The network was trained on 32 kHz sound, 800-sample windows and 1024-point transforms. At 16 kHz the same window of 25 ms
    holds 400 samples and the same bins come from 512 points. Pre-emphasis (1 - 0.97 z^-1 at 32 kHz) becomes a gain per bin,
    and sums of half as many samples a factor of 2. Bands above 8 kHz stay at the floor, as for any 16 kHz recording.
    """

    TRAINED_RATE_HZ = 32_000
    BANDS = 128
    UPPER_HZ = 15_000.0
    PRE_EMPHASIS = 0.97
    FLOOR = 1e-5

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = Spectrum(self._window(), DFT // 2 + 1)
        bank = self._filterbank()
        self.bands_heard = int(np.flatnonzero(bank.any(axis=0)).max()) + 1
        self.bank = _constant(self, "bank", bank[:, : self.bands_heard])

    bank: Tensor

    @staticmethod
    def _window() -> Matrix:
        trained = 2 * np.arange(WINDOW) + 0.5  # where our samples lie between those of the 800-sample window
        return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * trained / 799))

    @classmethod
    def _filterbank(cls) -> Matrix:
        frequency = np.arange(DFT // 2 + 1) * (RATE_HZ / DFT)
        mel = 1127 * np.log1p(frequency / 700)
        edges = np.linspace(0, 1127 * math.log1p(cls.UPPER_HZ / 700), cls.BANDS + 2)
        omega = 2 * np.pi * frequency / cls.TRAINED_RATE_HZ
        emphasis = np.abs(1 - cls.PRE_EMPHASIS * np.exp(-1j * omega)) ** 2
        emphasis[-1] = 0  # what our half rate shows at its very end, 32 kHz sound that came from it has lost
        rates = (cls.TRAINED_RATE_HZ / RATE_HZ) ** 2
        return np.asarray(triangles(edges, mel) * (emphasis * rates)[:, None])

    def picture(self, wave: Tensor) -> Tensor:
        frames = frames_of(wave, before=WINDOW // 2, count=wave.shape[1] // HOP)
        mel = F.pad(self.spectrum(frames) @ self.bank, (0, self.BANDS - self.bands_heard))
        return ((torch.log(mel + self.FLOOR) + 4.5) / 5).transpose(1, 2).unsqueeze(1)


class VggishMel(MelFrontEnd):
    """The log-mel patches of VGGish: 16 kHz sound (B, N) -> (B, P, 96, 64), the newest P whole patches of 0.96 s."""

    BANDS = 64
    FRAMES = 96
    LOWER_HZ, UPPER_HZ = 125.0, 7500.0
    OFFSET = 0.01

    def __init__(self) -> None:
        super().__init__()
        # VGGish takes a periodic Hann window: not symmetric about the frame's centre, so no halves as in Spectrum.
        self.dft = _constant(self, "dft", self._dft())
        self.bank = _constant(self, "bank", self._filterbank())

    dft: Tensor
    bank: Tensor

    @staticmethod
    def _dft() -> Matrix:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
        phase = 2 * np.pi * np.outer(np.arange(WINDOW), np.arange(DFT // 2 + 1)) / DFT
        return np.concatenate([window[:, None] * np.cos(phase), window[:, None] * np.sin(phase)], axis=1)

    @classmethod
    def _filterbank(cls) -> Matrix:
        mel = 1127 * np.log1p(np.arange(DFT // 2 + 1) * RATE_HZ / DFT / 700)
        mel[0] = -np.inf  # VGGish gives the constant bin no weight
        low, high = (1127 * math.log1p(hz / 700) for hz in (cls.LOWER_HZ, cls.UPPER_HZ))
        return np.nan_to_num(triangles(np.linspace(low, high, cls.BANDS + 2), mel), neginf=0)

    @classmethod
    def patches(cls, samples: int) -> int:
        """How many whole patches a sound of that many samples holds."""
        return (1 + (samples - WINDOW) // HOP) // cls.FRAMES

    def picture(self, wave: Tensor) -> Tensor:
        patches = self.patches(wave.shape[1])
        samples = (patches * self.FRAMES - 1) * HOP + WINDOW
        frames = frames_of(wave[:, wave.shape[1] - samples :], before=0, count=patches * self.FRAMES)
        real, imaginary = (frames @ self.dft).chunk(2, dim=-1)
        magnitude = torch.sqrt(real * real + imaginary * imaginary)
        return torch.log(magnitude @ self.bank + self.OFFSET).reshape(-1, patches, self.FRAMES, self.BANDS)
