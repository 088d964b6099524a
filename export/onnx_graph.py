"""The network as one ONNX graph that keeps the graph contract: bytes in, bytes out, the adapter as inputs."""

import copy
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from cavs.adapt.model.labelling import label_pixels
from cavs.adapt.model.lora import DOWN, UP, adapted_layers
from cavs.adapt.model.network import Network, Perception
from cavs.export.tidy import tidy
from cavs.runtime import contract
from cavs.runtime.manifest import AdapterSlots

OPSET = 17
"""Read by ONNX Runtime 1.17 and newer, TensorRT 10.3 to 11 and TensorRT for RTX."""

Precision = Literal["fp32", "fp16"]


def slots_of(network: Network) -> AdapterSlots:
    """The adapter slots of a network that carries LoRA pairs."""
    layers = {name: (layer.weight.shape[1], layer.weight.shape[0]) for name, layer in adapted_layers(network).items()}
    config = network.config
    return contract.adapter_slots(
        layers, rank=config.lora_rank, class_capacity=config.class_capacity, embedding=config.embedding_width
    )


class ServingForm(nn.Module):
    """The network as it is served: (frame, sound, adapter tensors in slot order) -> (labels, confidence, presence).

    Takes a copy of the network whose adapter tensors are no parameters any more: each call puts its own in their place.

    half: convolutions and attention in half precision. The spectrum and all comparisons with the class table stay float32:
    power spans more than half precision holds, and a class is decided in the last digits of a cosine.
    """

    def __init__(self, network: Network, half: bool = False) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.lora_dtype = torch.float16 if half else torch.float32
        self.slots = [slot.name for slot in slots_of(network).slots]
        if half:
            _halve(self.network)
        for name in self.slots:
            delattr(*self._place(name))

    def forward(self, frame: Tensor, sound: Tensor, *adapter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(self.slots, adapter, strict=True))
        for name, tensor in given.items():
            setattr(*self._place(name), tensor.to(self.lora_dtype) if name.startswith(contract.LORA_PREFIX) else tensor)
        image = frame.float().permute(0, 3, 1, 2)  # cast first: TensorRT transposes no bytes
        seen: Perception = self.network(image, sound)
        label, probability, _ = label_pixels(self.network, seen, given[contract.THRESHOLDS])
        confidence = torch.round(255 * probability)
        # A value that is no number must show; comparisons, max and bytes hide it, so it is carried into the presence.
        trace = 0.0 * (seen.sounding.mean() + seen.embedding.mean() + seen.presence.mean())
        presence = torch.sigmoid(seen.presence) * given[contract.CLASS_USED] + trace.float()
        return label.to(torch.uint8), confidence.to(torch.uint8), presence

    def _place(self, slot: str) -> tuple[nn.Module, str]:
        """The module and the attribute that a slot's tensor is."""
        if slot.startswith(contract.LORA_PREFIX):
            layer, _, side = slot.removeprefix(contract.LORA_PREFIX).rpartition(".")
            return self.network.get_submodule(layer), DOWN if f".{side}" == contract.LORA_DOWN else UP
        layer, _, attribute = slot.rpartition(".")
        return self.network.get_submodule(layer), attribute


def _halve(network: Network) -> None:
    convolutions = [part for name, part in network.audio.named_children() if name != "mel"]
    for part in (network.visual, network.neck, network.listener, network.decoder, *convolutions):
        part.half()


def write_graph(network: Network, path: Path, precision: Precision = "fp32") -> None:
    """Writes the graph of a network in evaluation mode that carries LoRA pairs.

    The tensors it is traced with are random: pairs of equal zeros would be merged into one, and the graph would quietly
    compute with the wrong adapter.
    """
    form = ServingForm(network, half=precision == "fp16")
    config = network.config
    generator = torch.Generator().manual_seed(0)
    frame = torch.randint(0, 256, (1, config.frame_height_px, config.frame_width_px, 3), generator=generator).to(torch.uint8)
    sound = 0.1 * torch.randn(1, config.sound_samples, generator=generator)
    adapter = [torch.rand(slot.shape, generator=generator) for slot in slots_of(network).slots]
    with torch.no_grad(), warnings.catch_warnings():
        # Sizes are constants of this graph on purpose, and the exporter that writes opset 17 says that it is the older one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            form,
            (frame, sound, *adapter),
            path,
            input_names=[contract.FRAME, contract.SOUND, *form.slots],
            output_names=[contract.LABELS, contract.CONFIDENCE, contract.PRESENCE],
            opset_version=OPSET,
            dynamo=False,
        )
    tidy(path, OPSET)
