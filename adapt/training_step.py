"""One step's batch, and what the network loses on it."""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cavs.adapt.losses import IGNORED, class_loss, dice_loss, presence_loss, sounding_loss
from cavs.adapt.model.conditioning import Heard
from cavs.adapt.model.network import Network
from cavs.adapt.train_config import TrainConfig

SHOWN_SHARE = 0.5  # a cell of the grid shows a class when this share of it is that class


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B scenes, M sounds and the P pairs of them that are learned from. K counts the rows in use.

    frames:  uint8 (B, 3, H, W)
    visible: float16 (B, K, H / 4, W / 4), share of each cell that shows class k
    waves:   float32 (M, N)
    heard:   float32 (M, K), 1 where class k sounds now
    scene, sound: int64 (P,), the two sides of each pair
    used:    float32 (K,), 0 for rows that are hidden from the table in this step
    """

    frames: Tensor
    visible: Tensor
    waves: Tensor
    heard: Tensor
    scene: Tensor
    sound: Tensor
    used: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def pin_memory(self) -> "Batch":
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))


class TrainingStep(nn.Module):
    """The network with its losses: what DistributedDataParallel wraps, so that one forward reaches every weight."""

    def __init__(self, network: Network, config: TrainConfig) -> None:
        super().__init__()
        self.network = network
        self.mute = config.mute
        self.weights = config.loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms, each a scalar; their sum is what is minimised."""
        network = self.network
        visible = batch.visible.float()
        seen = network.encode_visual(batch.frames)
        waves = torch.zeros_like(batch.waves) if self.mute else batch.waves
        heard = network.encode_audio(waves)
        used = batch.used
        paired = Heard(heard.tokens[batch.sound], heard.context[batch.sound], heard.voices[batch.sound])
        out = network.fuse(seen, paired, rows=batch.scene, used=used)
        truth = torch.einsum("pk,pkhw->phw", batch.heard[batch.sound], visible[batch.scene]).clamp(0, 1)
        logit = out.sounding[:, 0].float()
        shown = _rows_shown(visible, used)
        named = torch.where(F.avg_pool2d(truth, 2) > SHOWN_SHARE, shown[batch.scene], IGNORED)
        presence = network.matching.presence(heard.voices, network.classes.unit_rows(), used).float()
        terms = {
            "sounding": self.weights.sounding * sounding_loss(logit, truth, self.weights),
            "dice": self.weights.dice * dice_loss(logit, truth),
            "classes": self.weights.classes * class_loss(out.class_logits.float(), shown),
            "named": self.weights.named * class_loss(out.named_logits.float(), named),
        }
        if not self.mute:
            terms["presence"] = self.weights.presence * presence_loss(presence, batch.heard, used)
        return terms


def _rows_shown(visible: Tensor, used: Tensor) -> Tensor:
    """Row of the class in each cell at half the grid, (B, h / 2, w / 2); IGNORED where none or a hidden one is shown."""
    share, row = F.avg_pool2d(visible, 2).max(dim=1)
    return torch.where((share > SHOWN_SHARE) & (used[row] > 0), row, IGNORED)
