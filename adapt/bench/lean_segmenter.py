"""A segmenter of a tenth of a million weights behind the same frozen encoders, for comparing methods where time is short.

ATLAS in its smallest form: the pyramid summed at stride 8, its channels conditioned by the sound, pixels attending to the
tokens of the sound, two pointwise layers, the classifier. Every pointwise and dense layer can carry a LoRA pair.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.bench.network_segmenter import NetworkSegmenter, Unconditioned
from cavs.adapt.methods.classifier import GrowingClassifier
from cavs.adapt.methods.method import Inputs, Said
from cavs.adapt.model.conditioning import Conditioning
from cavs.adapt.model.lora import Adaptable, Dense, PointwiseConv, attach_lora
from cavs.adapt.model.network import Network

WIDTH = 64


class FoldedConv(PointwiseConv):
    """The same, with one product by W + B A instead of three: a fifth of a step's time here."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, folded(self), self.bias)


class FoldedDense(Dense):
    """The same, with one product by W + B A."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, folded(self), self.bias)


def folded(layer: Adaptable) -> Tensor:
    """The weight with what its pair adds, where it has one; A and B get their gradients through it."""
    if layer.lora_down is None or layer.lora_up is None:
        return layer.weight
    return layer.weight + (layer.lora_up @ layer.lora_down).reshape(layer.weight.shape)


class LeanNeck(nn.Module):
    """Four levels -> one map (B, WIDTH, H / 8, W / 8)."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)
        self.project = nn.ModuleList(FoldedConv(count, WIDTH) for count in channels)
        self.smooth = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        size = levels[1].shape[2:]
        first = F.avg_pool2d(levels[0], 2)
        parts = [
            of_size(project(norm(level)), size)
            for norm, project, level in zip(self.norms, self.project, (first, *levels[1:]), strict=True)
        ]
        joined = parts[0] + parts[1] + parts[2] + parts[3]
        return F.relu(joined + self.smooth(joined))


def of_size(x: Tensor, size: torch.Size) -> Tensor:
    """Enlarged where it is smaller; the same enlargement of what has the size already costs as much and changes nothing."""
    return x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


class LeanListener(nn.Module):
    """Tokens (B, T, width) -> tokens (B, T, WIDTH) and their context (B, WIDTH)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = FoldedDense(width, WIDTH)
        self.context = FoldedDense(WIDTH, WIDTH)

    def forward(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        tokens = F.relu(self.project(self.norm(encoded)))
        return tokens, self.context(tokens.mean(1))


class LeanDecoder(nn.Module):
    """Seen (B, WIDTH, h, w) and heard -> features of the same shape, and where the sound looks (B, h w)."""

    def __init__(self, *, conditioning: bool) -> None:
        super().__init__()
        self.condition: nn.Module = Conditioning(WIDTH, WIDTH) if conditioning else Unconditioned()
        self.query, self.key, self.value = FoldedConv(WIDTH, WIDTH), FoldedDense(WIDTH, WIDTH), FoldedDense(WIDTH, WIDTH)
        self.mix, self.out = FoldedConv(WIDTH, WIDTH), FoldedConv(WIDTH, WIDTH)

    def forward(self, seen: Tensor, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        x = self.condition(seen, context)
        query = self.query(x).flatten(2).transpose(1, 2)  # (B, h w, WIDTH)
        near = query @ self.key(tokens).transpose(1, 2) * WIDTH**-0.5
        heard = (near.softmax(2) @ self.value(tokens)).transpose(1, 2).reshape(x.shape)
        x = F.relu(x + self.mix(F.relu(x + heard)))
        return F.relu(self.out(x)), near.mean(2).softmax(1)


class LeanSegmenter(NetworkSegmenter):
    """Labels at an eighth of the frame's size. Of the network only the encoders are kept. seed: of all the rest."""

    label_stride = 8

    def __init__(self, network: Network, seed: int = 0, *, conditioning: bool = True, encoder_lora: bool = False) -> None:
        super().__init__(network, seed, conditioning=conditioning, encoder_lora=encoder_lora)
        torch.manual_seed(seed)
        neck, listener, decoder = (
            LeanNeck(network.visual.channels),
            LeanListener(network.audio.width),
            LeanDecoder(conditioning=conditioning),
        )
        self.neck, self.listener, self.decoder = neck, listener, decoder  # type: ignore[assignment]
        self.sounding, self.classifier = nn.Identity(), GrowingClassifier(WIDTH)
        attach_lora(nn.ModuleList([neck, listener, decoder]), network.config.lora_rank, seed)

    def forward(self, inputs: Inputs) -> Said:
        if not inputs.encoded:
            inputs = self.encoded(inputs)
        seen = self.neck(inputs.pictures)
        tokens, context = self.listener(inputs.sounds[0])
        features, attention = self.decoder(seen, tokens, context)
        looked_at = (seen.flatten(2) * attention[:, None]).sum(2)
        senses = {"audio": context, "visual": looked_at}
        return Said(self.classifier(features), (seen, features), senses, (attention,))
