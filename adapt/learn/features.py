"""What of a picture and of a sound no adapter changes, computed once and kept: learning then repeats only what changes.

LoRA pairs lie behind the first stages of the eye, and in the ear behind its attention or, where a bundle has more of them
(`NetworkConfig.ear_pairs`), behind its encoder. For MobileNetV2 at 224 x 224 the part that is kept of a picture has 113
thousand numbers, 226 KB in half precision; of a sound 3,328 or 7,680.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cavs.adapt.model.conditioning import Heard
from cavs.adapt.model.neck import Lateral, Refine, Seen
from cavs.adapt.model.network import Network

AT_ONCE = 8
"""Pictures or sounds encoded together."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """The kept part of P pictures: maps of `VisualEncoder.early`, each (P, C, h, w), float16."""

    maps: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.maps[0])

    def of(self, index: Tensor) -> "Looks":
        """Those of `index`, in that order."""
        return Looks(tuple(level[index] for level in self.maps))


@torch.no_grad()
def fold_norms(network: Network) -> None:
    """Folds the batch norms of a network in evaluation mode into the convolutions before them: a sixth of a step's time."""
    for module in network.modules():
        pairs = {Lateral: (("project", "norm"),), Refine: (("depthwise", "norm"), ("mix", "norm_out"))}.get(type(module), ())
        for convolution, norm in pairs:
            setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
            setattr(module, norm, nn.Identity())


@torch.no_grad()
def look(network: Network, frames: npt.NDArray[np.uint8]) -> Looks:
    """frames: uint8 (P, H, W, 3)."""
    images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    parts = [tuple(level.half() for level in network.visual.early(part)) for part in torch.split(images, AT_ONCE)]
    return Looks(tuple(torch.cat(levels) for levels in zip(*parts, strict=True)))


def see(network: Network, looks: Looks) -> Seen:
    """The rest of the way, with the network's adapter."""
    dtype = next(network.visual.parameters()).dtype
    seen: Seen = network.neck(network.visual.late(tuple(level.to(dtype) for level in looks.maps)))
    return seen


@torch.no_grad()
def listen(network: Network, sounds: npt.NDArray[np.float32]) -> Tensor:
    """sounds: float32 (M, N). Gives what `hear` takes, float32 (M, T, E): what `Listener.early` makes of them."""
    waves = torch.from_numpy(np.ascontiguousarray(sounds))
    return torch.cat([network.listener.early(network.audio(part)) for part in torch.split(waves, AT_ONCE)])


def hear(network: Network, listened: Tensor) -> Heard:
    """The rest of the way, with the network's adapter."""
    return network.listener.late(listened)


def heard_rows(heard: Heard, index: Tensor) -> Heard:
    """The sounds of `index`, in that order."""
    return Heard(heard.tokens[index], heard.context[index], heard.voices[index])
