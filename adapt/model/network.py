"""The network: which pixels of a picture make the sound that is heard with it, and what they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cavs.adapt.model.audio import AudioEncoder, Mn04, Vggish
from cavs.adapt.model.conditioning import Heard, Listener
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.decoder import SoundingDecoder
from cavs.adapt.model.heads import ClassTable, Matching
from cavs.adapt.model.lora import attach_lora, load_lora, lora_tensors
from cavs.adapt.model.neck import Neck, Seen, enlarge
from cavs.adapt.model.visual import MobileNetV2, TimmEncoder, VisualEncoder
from cavs.runtime.errors import AdapterRejected

SOUNDING, NEAR = 0.5, 0.3
"""Thresholds before calibration: probability of sounding, cosine to the nearest class."""


@dataclass(frozen=True, slots=True, eq=False)
class Perception:
    """What the network makes of P pairs of an image and a sound, the images being B.

    sounding:     (P, 1, H / 4, W / 4), logit that the pixel sounds now; of no class in particular.
    embedding:    (B, D, H / 8, W / 8), unit vectors.
    class_logits: (B, K, H / 8, W / 8), scaled cosine to each row of the table; unused rows are masked. Of the picture alone.
    named_logits: (P, K, H / 8, W / 8), the same weighed by what is heard: the class of a pixel, given that it sounds.
    presence:     (P, K), logit that the class sounds now, seen or not; unused rows are masked.
    heard:        tokens, context and voices of the sounds.
    """

    sounding: Tensor
    embedding: Tensor
    class_logits: Tensor
    named_logits: Tensor
    presence: Tensor
    heard: Heard


class Network(nn.Module):
    """Eyes, ears and the head that joins them. Made by `build_network`.

    class_names[k] is the class of row k of the table; rows are given out in order.
    thresholds: (2,), probability above which a pixel sounds, cosine above which a class is near enough.
    least_heard: what `answer` asks of the class heard best before it marks by name, as a stream does; 0, nothing, as the graph.
    """

    def __init__(self, config: NetworkConfig, visual: VisualEncoder, audio: AudioEncoder) -> None:
        super().__init__()
        self.config = config
        self.class_names: tuple[str, ...] = ()
        self.least_heard = 0.0
        self.visual = visual
        self.audio = audio
        self.neck = Neck(config, visual.channels)
        self.listener = Listener(config, audio.width, audio.groups)
        self.classes = ClassTable(config)
        self.matching = Matching()
        self.decoder = SoundingDecoder(config)
        self.register_buffer("thresholds", torch.tensor([SOUNDING, NEAR]))

    thresholds: Tensor

    def name_classes(self, names: Sequence[str]) -> None:
        """Gives the first rows of the table to these classes, in this order. Raises ValueError if they do not fit."""
        if len(set(names)) != len(names) or len(names) > self.config.class_capacity:
            raise ValueError(f"{len(names)} classes: expected up to {self.config.class_capacity} different names")
        self.class_names = tuple(names)
        self.classes.used.zero_()
        self.classes.used[: len(names)] = 1

    def encode_visual(self, images: Tensor) -> Seen:
        """images: (B, 3, H, W), RGB 0..255, uint8 or float."""
        seen: Seen = self.neck(self.visual(images))
        return seen

    def encode_audio(self, waves: Tensor) -> Heard:
        """waves: (B, N) in [-1, 1]."""
        heard: Heard = self.listener(self.audio(waves))
        return heard

    def fuse(self, seen: Seen, heard: Heard, rows: Tensor | None = None, used: Tensor | None = None) -> Perception:
        """Pairs image rows[p] with sound p; without `rows`, image p with sound p.

        used: (K,), takes the place of the table's own: leaving out rows in training teaches the network to mark what it
        cannot name.
        """
        table, used = self.classes.unit_rows(), self.classes.used if used is None else used
        classes = self.matching.pixels(seen.embedding, table, used)
        presence = self.matching.presence(heard.voices, table, used)
        paired, shown = seen, classes
        if rows is not None:
            paired, shown = seen.rows(rows), classes[rows]
        evidence = self.matching.evidence(shown, presence, paired.embedding, heard.voices)
        sounding = self.decoder(paired, heard, evidence.maps())
        sounding = sounding + self.matching.match_gain * enlarge(evidence.match)
        named = self.matching.named(shown, presence)
        return Perception(sounding, seen.embedding, classes, named, presence, heard)

    def forward(self, images: Tensor, waves: Tensor) -> Perception:
        return self.fuse(self.encode_visual(images), self.encode_audio(waves))


def build_network(
    config: NetworkConfig, visual_weights: Path | None = None, audio_weights: Path | None = None, pretrained: bool = False
) -> Network:
    """Makes a network, with random weights where no file is given. It carries LoRA pairs that change nothing yet.

    pretrained: for `timm:<name>`, whether timm may fetch its own weights.
    Raises ConfigError or AdaptError if an encoder cannot be made or a weight file does not fit.
    """
    name = config.visual.removeprefix("timm:")
    visual: VisualEncoder
    visual = MobileNetV2(visual_weights) if name == config.visual else TimmEncoder(name, pretrained, visual_weights)
    encoder = Mn04 if config.audio == "mn04" else Vggish
    network = Network(config, visual, encoder(config.sound_samples, audio_weights))
    attach_lora(network, config.lora_rank)
    return network


def adapter_tensors(network: Network) -> dict[str, npt.NDArray[np.float32]]:
    """The adapter under its contract names: LoRA pairs, class table, used rows, thresholds."""
    arrays = lora_tensors(network)
    for name, tensor in (
        ("classes.table", network.classes.unit_rows()),
        ("classes.used", network.classes.used),
        ("thresholds", network.thresholds),
    ):
        arrays[name] = tensor.detach().cpu().numpy().astype(np.float32)
    return arrays


@torch.no_grad()
def load_adapter(network: Network, arrays: Mapping[str, npt.NDArray[np.float32]], class_names: Sequence[str]) -> None:
    """Puts an adapter into a network. Raises AdapterRejected, having changed nothing, if names or shapes do not fit."""
    targets = {"classes.table": network.classes.table, "classes.used": network.classes.used, "thresholds": network.thresholds}
    for name, target in targets.items():
        if name not in arrays or arrays[name].shape != tuple(target.shape):
            seen = arrays[name].shape if name in arrays else "missing"
            raise AdapterRejected(f"{name}: {seen}, the network expects {tuple(target.shape)}")
    load_lora(network, arrays)
    for name, target in targets.items():
        target.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))
    network.class_names = tuple(class_names)
