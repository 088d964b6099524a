"""What the network answers, in the terms of the graph contract: labels and confidence as bytes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from cavs.adapt.model.labelling import label_pixels
from cavs.adapt.model.network import Network
from cavs.runtime.engine import heard_labels

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """labels, confidence: uint8 (N, H, W). presence: float32 (N, K), of the sound alone.

    nearness: float32 (N, H / 8, W / 8), cosine to the row named. seen: uint8 alike, the row that is nearest by sight alone.
    """

    labels: Bytes
    confidence: Bytes
    nearness: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    seen: Bytes


@torch.inference_mode()
def answer(network: Network, frames: Bytes, sounds: npt.NDArray[np.float32]) -> Answer:
    """frames: (N, H, W, 3), one for each of sounds (N, samples); or one frame for all sounds. In evaluation mode only.

    What is not marked because nothing is heard (`Network.least_heard`) has a confidence of 0.
    """
    if network.training:
        raise ValueError("the network is in training mode: call eval() first")
    device = network.thresholds.device
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2)
    seen = network.encode_visual(images)
    heard = network.encode_audio(torch.from_numpy(sounds).to(device))
    rows = torch.zeros(len(sounds), dtype=torch.int64, device=device) if len(frames) == 1 else None
    out = network.fuse(seen, heard, rows=rows)
    label, probability, nearness = label_pixels(network, out, network.thresholds, rows)
    presence = (torch.sigmoid(out.presence) * network.classes.used).cpu().numpy()
    marked = label.to(torch.uint8).cpu().numpy()
    labels = np.stack([heard_labels(one, by, network.least_heard) for one, by in zip(marked, presence, strict=True)])
    confidence = torch.round(255 * probability).to(torch.uint8).cpu().numpy()
    return Answer(
        labels=labels,
        confidence=np.where(labels == marked, confidence, np.uint8(0)),
        nearness=nearness.float().cpu().numpy(),
        presence=presence,
        seen=(out.class_logits if rows is None else out.class_logits[rows]).argmax(1).to(torch.uint8).cpu().numpy(),
    )
