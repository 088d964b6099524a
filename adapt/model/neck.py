"""What is seen, before anything is heard: a pyramid of equal statistics and an embedding of every pixel."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import PointwiseConv


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen in B images: four maps (B, C_i, H / s_i, W / s_i) and the embedding of every pixel at stride 8.

    embedding: (B, D, H / 8, W / 8), unit vectors in the space of the class table, always float32.
    """

    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor
    embedding: Tensor

    def rows(self, index: Tensor) -> "Seen":
        """The images of `index` (int64), in that order; an image may appear more than once, or never."""
        return Seen(*(x[index] for x in (self.stride4, self.stride8, self.stride16, self.stride32, self.embedding)))


class Lateral(nn.Module):
    """Brings a level of the encoder to the head's width and normalises it: encoder outputs reach into the tens."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        level: Tensor = self.norm(self.project(x))
        return level


class Refine(nn.Module):
    """Filters each channel over 3x3 pixels, mixes the channels, adds the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_out = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.depthwise(x)))
        return F.relu(x + self.norm_out(self.mix(y)))


def enlarge(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear enlargement of a map."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


class Neck(nn.Module):
    """Encoder pyramid -> Seen: levels joined from coarse to fine down to stride 8, where every pixel gets its embedding.

    Classes are seen without sound: a silent dog is a dog. What sounds is decided after this.
    """

    def __init__(self, config: NetworkConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        c4, c8, c16, c32 = channels
        self.lateral4 = Lateral(c4, config.stride4)
        self.lateral8 = Lateral(c8, config.stride8)
        self.lateral16 = Lateral(c16, config.stride16)
        self.lateral32 = Lateral(c32, config.stride32)
        self.down16 = nn.Conv2d(config.stride32, config.stride16, 1)
        self.down8 = nn.Conv2d(config.stride16, config.stride8, 1)
        self.refine16 = nn.Sequential(Refine(config.stride16), Refine(config.stride16))
        self.refine8 = nn.Sequential(Refine(config.stride8), Refine(config.stride8))
        self.embed = PointwiseConv(config.stride8, config.embedding_width)

    def forward(self, levels: tuple[Tensor, ...]) -> Seen:
        level4, level8, level16, level32 = levels
        stride32 = F.relu(self.lateral32(level32))
        stride16 = self.refine16(F.relu(self.lateral16(level16) + enlarge(self.down16(stride32))))
        stride8 = self.refine8(F.relu(self.lateral8(level8) + enlarge(self.down8(stride16))))
        embedding = F.normalize(self.embed(stride8).float(), dim=1)
        return Seen(F.relu(self.lateral4(level4)), stride8, stride16, stride32, embedding)
