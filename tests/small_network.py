"""A small network of the real kind for tests: 64x64 pixels, 0.32 s of sound, random weights that make things happen."""

import copy
import functools

import numpy as np
import torch
from torch import Tensor

from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.network import Network, build_network

SMALL = NetworkConfig(frame_height_px=64, frame_width_px=64, sound_samples=5120, class_capacity=6)
CLASSES = ("dog", "kettle", "drone")


def small_network(config: NetworkConfig = SMALL, seed: int = 0) -> Network:
    """In evaluation mode, knowing CLASSES; equal for equal seeds."""
    return copy.deepcopy(_made_once(config, seed))


@functools.cache
def _made_once(config: NetworkConfig, seed: int) -> Network:
    torch.manual_seed(seed)
    network = build_network(config)
    network.name_classes(CLASSES)
    return network.eval()


def pictures(count: int, config: NetworkConfig = SMALL, seed: int = 1) -> Tensor:
    """uint8 (count, 3, H, W): smooth random colours, so that neighbouring pixels resemble each other."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 8, 8)).astype(np.float32))
    size = (config.frame_height_px, config.frame_width_px)
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear").to(torch.uint8)


def sounds(count: int, config: NetworkConfig = SMALL, seed: int = 2) -> Tensor:
    """float32 (count, N): tones of different pitch in noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(config.sound_samples) / config.sound_rate_hz
    tones = np.stack([0.3 * np.sin(2 * np.pi * 300 * (k + 1) * time) for k in range(count)])
    return torch.from_numpy((tones + rng.normal(0, 0.02, tones.shape)).astype(np.float32))


def stir_lora(network: Network, spread: float = 0.1, seed: int = 3) -> None:
    """Puts values that matter into the LoRA pairs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("lora_down", "lora_up")):
                parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
