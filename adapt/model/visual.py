"""Image -> pyramid of features at strides 4, 8, 16 and 32.

MobileNetV2 1.0 is the default. `timm:<name>` takes any feature extractor of timm; the papers use
`timm:pvt_v2_b5` and `timm:resnet50`.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.lora import PointwiseConv
from cavs.adapt.model.weights import load_weights, start_convolutions
from cavs.runtime.errors import ConfigError

STRIDES = (4, 8, 16, 32)
"""Strides of the four levels of every pyramid, finest first."""


class VisualEncoder(nn.Module):
    """Image (B, 3, H, W), RGB values 0..255 in any dtype -> four maps (B, C_i, H / s_i, W / s_i), s_i of STRIDES.

    channels: the C_i.
    """

    channels: tuple[int, ...]

    def early(self, image: Tensor) -> tuple[Tensor, ...]:
        """Image -> what the layers below the first LoRA pair make of it: the same for every adapter, so it can be kept."""
        return tuple(self(image))

    def late(self, early: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What `early` gave -> the four maps."""
        return early

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError


class SameConv(nn.Conv2d):
    """3x3 convolution with TensorFlow's SAME padding: at stride 2 an even input is padded after its end only.

    Symmetric padding gives the same sizes but samples every stride-2 layer one pixel off; the pretrained weights then
    load without an error and see badly.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, 3, stride, padding=1 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            before_h, before_w = (int(size) % 2 for size in x.shape[2:])  # int: constants in an exported graph
            x = F.pad(x, (before_w, 1, before_h, 1))
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Expand (1x1, ReLU6), filter per channel (3x3, ReLU6), project (1x1, linear), add the input where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int, adaptable: bool) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = nn.Conv2d(channels_in, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, stride, groups=inner)
        self.project = PointwiseConv(inner, channels_out) if adaptable else nn.Conv2d(inner, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class MobileNetV2(VisualEncoder):
    """MobileNetV2 1.0 (arXiv 1801.04381) up to block 17, batch normalisation folded into the convolutions.

    The projections from block 11 on can carry LoRA pairs. Below, where there are more pixels, a pair costs more time than
    the rest of the adapter together.
    """

    BLOCKS = (  # channels, stride, expansion; block 1 first
        *((16, 1, 1),),
        *((24, 2, 6), (24, 1, 6)),
        *((32, 2, 6), (32, 1, 6), (32, 1, 6)),
        *((64, 2, 6), (64, 1, 6), (64, 1, 6), (64, 1, 6)),
        *((96, 1, 6), (96, 1, 6), (96, 1, 6)),
        *((160, 2, 6), (160, 1, 6), (160, 1, 6)),
        *((320, 1, 6),),
    )
    TAPS = (3, 6, 13, 17)
    """The blocks whose outputs are the pyramid."""
    FIRST_ADAPTABLE = 11

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        stages: list[nn.Module] = [SameConv(3, 32, stride=2)]
        width = 32
        for index, (channels, stride, expansion) in enumerate(self.BLOCKS, start=1):
            stages.append(InvertedResidual(width, channels, stride, expansion, index >= self.FIRST_ADAPTABLE))
            width = channels
        self.features = nn.ModuleList(stages)
        self.channels = tuple(self.BLOCKS[tap - 1][0] for tap in self.TAPS)
        start_convolutions(self)
        if weights is not None:
            load_weights(self, weights, skip=("features.18.", "classifier."))

    def early(self, image: Tensor) -> tuple[Tensor, ...]:
        x = (image.float() / 127.5 - 1).to(next(self.parameters()).dtype)
        return self._run(F.relu6(self.features[0](x)), (), 1, self.FIRST_ADAPTABLE)

    def late(self, early: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self._run(early[-1], early[:-1], self.FIRST_ADAPTABLE, len(self.features))[:-1]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.late(self.early(image))

    def _run(self, x: Tensor, levels: tuple[Tensor, ...], first: int, end: int) -> tuple[Tensor, ...]:
        """The blocks from `first` up to `end`: the levels tapped so far, and what the last block gave."""
        for index in range(first, end):
            x = self.features[index](x)
            if index in self.TAPS:
                levels = (*levels, x)
        return (*levels, x)


class TimmEncoder(VisualEncoder):
    """A feature extractor of timm, with the mean and deviation it was trained with. It carries no LoRA pairs of its own."""

    def __init__(self, name: str, pretrained: bool, weights: Path | None = None) -> None:
        super().__init__()
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # a torchvision made for another torch raises RuntimeError
            raise ConfigError(f"visual encoder timm:{name}: cannot import timm ({error}); pip install timm") from error
        try:
            probe = timm.create_model(name, features_only=True, pretrained=False)
            levels = [probe.feature_info.reduction().index(stride) for stride in STRIDES]
            self.body = timm.create_model(name, features_only=True, pretrained=pretrained, out_indices=levels)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"visual encoder timm:{name}: {reason}; expected a timm model with features at strides 4, 8, 16, 32"
            ) from error
        self.channels = tuple(self.body.feature_info.channels())
        if weights is not None:
            load_weights(self.body, weights)
        config = probe.default_cfg
        self.register_buffer("mean", 255 * torch.tensor(config["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", 255 * torch.tensor(config["std"]).view(1, 3, 1, 1), persistent=False)

    mean: Tensor
    deviation: Tensor

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.body((image.float() - self.mean) / self.deviation))
