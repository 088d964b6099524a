"""Small lessons for tests: a bundle that is only described, and a bright thing that hums while it crosses the picture."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.network import Network, adapter_tensors
from cavs.export.onnx_graph import slots_of
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, make_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.manifest import BundleFields, BundleManifest, ClassRow, FrameSpec, SoundSpec
from tests.small_network import SMALL, small_network

NAME = "whistle"
RATE_HZ = 16_000


def described_bundle(network: Network) -> Bundle:
    """What an adapter is checked against, without a graph: nothing here runs one."""
    config = network.config
    fields: dict[str, Any] = {
        "name": "described",
        "frame": FrameSpec(height_px=config.frame_height_px, width_px=config.frame_width_px),
        "sound": SoundSpec(rate_hz=config.sound_rate_hz, samples=config.sound_samples),
        "adapter": slots_of(network),
        "classes": tuple(ClassRow(row, name) for row, name in enumerate(network.class_names)),
    }
    stated = BundleFields(**fields)
    manifest = BundleManifest(
        schema=1,
        id="0" * 64,
        files=(),
        inputs=contract.graph_inputs(stated),
        outputs=contract.graph_outputs(stated),
        **fields,
    )
    return Bundle(Path("described"), manifest.model_copy(update={"id": manifest.content_id()}))


def knowing(*names: str, config: NetworkConfig = SMALL) -> tuple[Network, Bundle, Adapter]:
    """A small network that knows these classes, its bundle and its adapter."""
    network = small_network(config)
    network.name_classes(names)
    bundle = described_bundle(network)
    classes = tuple(enumerate(names))
    return network, bundle, make_adapter(adapter_tensors(network), bundle=bundle, classes=classes, method="test")


def hum(samples: int, pitch_hz: float = 900.0, start: int = 0) -> npt.NDArray[np.float32]:
    time = (start + np.arange(samples)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time) * (1 + 0.5 * np.sin(2 * np.pi * 7 * time))).astype(np.float32)


def crossing(count: int, size: int = SMALL.frame_height_px) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A bright ellipse on a dark, grainy ground: frames (F, H, W, 3) and its masks (F, H, W)."""
    rng = np.random.default_rng(4)
    ground = cv2.resize(rng.integers(20, 90, (8, 8, 3), np.uint8), (size, size))
    frames, masks = [], []
    for number in range(count):
        mask = np.zeros((size, size), np.uint8)
        x = int(size * (0.35 + 0.3 * number / max(1, count - 1)))
        cv2.ellipse(mask, (x, size // 2), (size // 5, size // 7), 15, 0, 360, 1, -1)
        frame = ground.copy()
        frame[mask > 0] = (230, 200, 40)
        noise = rng.integers(-6, 7, frame.shape)
        frames.append(np.clip(frame.astype(int) + noise, 0, 255).astype(np.uint8))
        masks.append(mask > 0)
    return np.stack(frames), np.stack(masks)


def exemplars(count: int = 6, name: str = NAME, source: str = "lesson") -> tuple[Exemplar, ...]:
    frames, masks = crossing(count)
    sound = hum(SMALL.sound_samples)
    return tuple(Exemplar(frames[n], sound, ((name, masks[n]),), source, n, 0.9) for n in range(count))
