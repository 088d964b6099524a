"""Waveform -> tokens. EfficientAT mn04 is the default; VGGish is the papers' choice."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.mel import HOP, EfficientAtMel, VggishMel
from cavs.adapt.model.weights import load_weights, start_convolutions
from cavs.runtime.errors import ConfigError


class AudioEncoder(nn.Module):
    """Sound (B, N) at 16 kHz in [-1, 1] -> tokens (B, T, width), oldest first within each group.

    groups: how many tokens each group has; the groups follow each other and differ in what their numbers mean.
    """

    width: int
    groups: tuple[int, ...]

    def forward(self, wave: Tensor) -> Tensor:
        raise NotImplementedError


class SqueezeExcite(nn.Module):
    """Weighs the channels by what the whole window holds."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, squeezed)
        self.expand = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean(dim=(2, 3))))))
        return x * gate[:, :, None, None]


class BlockForm(NamedTuple):
    """The numbers of one block; `squeezed` 0 leaves squeeze-and-excite out."""

    inner: int
    channels: int
    kernel: int
    stride: int
    squeezed: int
    hard_swish: bool


class MobileBlock(nn.Module):
    """MobileNetV3's block: expand, filter per channel, squeeze and excite, project, add the input where shapes allow."""

    def __init__(self, channels_in: int, form: BlockForm) -> None:
        super().__init__()
        inner, channels_out, kernel, stride, squeezed, hard_swish = form
        self.expand = nn.Conv2d(channels_in, inner, 1) if inner != channels_in else None
        self.depthwise = nn.Conv2d(inner, inner, kernel, stride, padding=kernel // 2, groups=inner)
        self.se = SqueezeExcite(inner, squeezed) if squeezed else None
        self.project = nn.Conv2d(inner, channels_out, 1)
        self.activation = nn.Hardswish() if hard_swish else nn.ReLU()
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else self.activation(self.expand(x))
        y = self.activation(self.depthwise(y))
        y = self.project(y if self.se is None else self.se(y))
        return x + y if self.residual else y


class Mn04(AudioEncoder):
    """EfficientAT mn04 (MIT licence, github.com/fschmid56/EfficientAT), batch normalisation folded into the convolutions.

    Two groups of tokens: block 12, one each 160 ms with its 8 frequency rows kept apart, which says what sounds when;
    and the last convolution, one each 320 ms averaged over frequency, which says what it is. The squeeze-and-excite means
    run over the whole window, so every token knows something of all of it.
    """

    BLOCKS = (  # block 1 first
        BlockForm(8, 8, 3, 1, 0, False),
        BlockForm(24, 16, 3, 2, 0, False),
        BlockForm(32, 16, 3, 1, 0, False),
        BlockForm(32, 16, 5, 2, 8, False),
        BlockForm(48, 16, 5, 1, 16, False),
        BlockForm(48, 16, 5, 1, 16, False),
        BlockForm(96, 32, 3, 2, 0, True),
        BlockForm(80, 32, 3, 1, 0, True),
        BlockForm(72, 32, 3, 1, 0, True),
        BlockForm(72, 32, 3, 1, 0, True),
        BlockForm(192, 48, 3, 1, 48, True),
        BlockForm(272, 48, 3, 1, 72, True),
        BlockForm(272, 64, 5, 2, 72, True),
        BlockForm(384, 64, 5, 1, 96, True),
        BlockForm(384, 64, 5, 1, 96, True),
    )
    WHEN_BLOCK = 12
    """The block at stride 16: 48 channels x 8 frequency rows."""
    width = 384
    MIN_SAMPLES = 16 * HOP

    def __init__(self, samples: int, weights: Path | None = None) -> None:
        super().__init__()
        if samples < self.MIN_SAMPLES or samples % HOP:
            raise ConfigError(f"sound of {samples} samples: mn04 takes a multiple of {HOP}, at least {self.MIN_SAMPLES}")
        frames = samples // HOP
        self.groups = (-(-frames // 16), -(-frames // 32))
        stages: list[nn.Module] = [nn.Conv2d(1, 8, 3, 2, padding=1)]
        width = 8
        for form in self.BLOCKS:
            stages.append(MobileBlock(width, form))
            width = form.channels
        stages.append(nn.Conv2d(width, self.width, 1))
        self.features = nn.ModuleList(stages)
        start_convolutions(self)
        if weights is not None:
            load_weights(self, weights, skip=("classifier.", "frontend."))
        self.mel = EfficientAtMel()

    def maps(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel (B, 1, 128, T) -> block 12 (B, 48, 8, T / 16) and the last convolution (B, 384, 4, T / 32)."""
        x = F.hardswish(self.features[0](mel))
        when = x
        for index, block in enumerate(self.features[1:-1], start=1):
            x = block(x)
            if index == self.WHEN_BLOCK:
                when = x
        return when, F.hardswish(self.features[-1](x))

    def forward(self, wave: Tensor) -> Tensor:
        when, what = self.maps(self.mel(wave.float()).to(next(self.parameters()).dtype))
        return torch.cat([when.flatten(1, 2).transpose(1, 2), what.mean(dim=2).transpose(1, 2)], dim=1)


class Vggish(AudioEncoder):
    """VGGish (arXiv 1609.09430): one 128-d token for each 0.96 s, ReLU after every layer including the last.

    The names are those of the widely used PyTorch port, so that its weight file loads.
    """

    width = 128

    def __init__(self, samples: int, weights: Path | None = None) -> None:
        super().__init__()
        if VggishMel.patches(samples) < 1:
            raise ConfigError(f"sound of {samples} samples: VGGish takes at least 15600 (one patch of 0.96 s)")
        self.groups = (VggishMel.patches(samples),)
        layers: list[nn.Module] = []
        width = 1
        for channels, convolutions in ((64, 1), (128, 1), (256, 2), (512, 2)):
            for _ in range(convolutions):
                layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
                width = channels
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            *(nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128), nn.ReLU())
        )
        if weights is not None:
            load_weights(self, weights)
        self.mel = VggishMel()

    def forward(self, wave: Tensor) -> Tensor:
        patches = self.mel(wave.float()).to(next(self.parameters()).dtype)
        maps = self.features(patches.flatten(0, 1).unsqueeze(1))
        tokens: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))  # the port's weights expect channels last
        return tokens.reshape(-1, patches.shape[1], self.width)
