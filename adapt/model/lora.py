"""Low-rank adaptation: layers that can carry a LoRA pair, and the adapter as named arrays.

A layer with a pair (A, B) gives `layer(x) + B A x`. A starts random and B at zero, so attaching changes nothing; the usual
scale alpha / rank is part of B. The graph takes the same tensors as inputs, `lora.<layer>.A` (R, in) and `lora.<layer>.B`
(out, R).
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.runtime.errors import AdapterRejected

DOWN, UP = "lora_down", "lora_up"
"""Names of the two parameters in the layer that carries them: A and B."""


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution that can carry a LoRA pair."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, kernel_size=1, bias=bias)
        self.register_parameter(DOWN, None)
        self.register_parameter(UP, None)

    lora_down: Tensor | None
    lora_up: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.lora_down is None or self.lora_up is None:
            return y
        # As matrix products on flattened pixels: engines take these with run-time factors, and ONNX Runtime at less overhead.
        return y + (self.lora_up @ (self.lora_down @ x.flatten(2))).reshape(y.shape)


class Dense(nn.Linear):
    """A linear layer that can carry a LoRA pair."""

    def __init__(self, width_in: int, width_out: int, bias: bool = True) -> None:
        super().__init__(width_in, width_out, bias=bias)
        self.register_parameter(DOWN, None)
        self.register_parameter(UP, None)

    lora_down: Tensor | None
    lora_up: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.lora_down is None or self.lora_up is None:
            return y
        return y + F.linear(F.linear(x, self.lora_down), self.lora_up)


Adaptable = PointwiseConv | Dense


def adaptable_layers(network: nn.Module) -> Iterator[tuple[str, Adaptable]]:
    """Every layer that can carry a pair, by its path in the network, in the network's order."""
    for name, module in network.named_modules():
        if isinstance(module, (PointwiseConv, Dense)):
            yield name, module


def adapted_layers(network: nn.Module) -> dict[str, Adaptable]:
    """The layers that carry a pair now."""
    return {name: layer for name, layer in adaptable_layers(network) if layer.lora_down is not None}


def attach_lora(network: nn.Module, rank: int, seed: int = 0) -> list[nn.Parameter]:
    """Gives every adaptable layer a fresh pair (a pair already there is replaced) and returns the new parameters.

    The output of the network does not change. Which parameters train is the caller's choice.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for _, layer in adaptable_layers(network):
        out, inp = layer.weight.shape[:2]
        down = nn.Parameter((torch.rand(rank, inp, generator=generator) * 2 - 1).to(layer.weight.device) / math.sqrt(inp))
        up = nn.Parameter(torch.zeros(out, rank, device=layer.weight.device))
        setattr(layer, DOWN, down)
        setattr(layer, UP, up)
        parameters += [down, up]
    return parameters


def detach_lora(network: nn.Module) -> None:
    """Removes every pair; the network is the one it was before they were attached."""
    for layer in adapted_layers(network).values():
        setattr(layer, DOWN, None)
        setattr(layer, UP, None)


@torch.no_grad()
def fold_lora(network: nn.Module, sign: int = 1) -> None:
    """Adds every B A to its layer's weight and keeps the pairs; remove them with `detach_lora`, or `unfold_lora` to go back."""
    for layer in adapted_layers(network).values():
        if layer.lora_down is not None and layer.lora_up is not None:
            delta = layer.lora_up.double() @ layer.lora_down.double()
            layer.weight.copy_((layer.weight.double() + sign * delta.view(layer.weight.shape)).to(layer.weight.dtype))


def unfold_lora(network: nn.Module) -> None:
    """Takes every B A out of its layer's weight again (exact to float rounding)."""
    fold_lora(network, sign=-1)


def lora_tensors(network: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """The pairs under their contract names, in the network's order."""
    arrays = {}
    for name, layer in adapted_layers(network).items():
        for suffix, tensor in (("A", layer.lora_down), ("B", layer.lora_up)):
            if tensor is not None:
                arrays[f"lora.{name}.{suffix}"] = tensor.detach().cpu().numpy().astype(np.float32)
    return arrays


@torch.no_grad()
def load_lora(network: nn.Module, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Copies pairs under their contract names into a network that carries pairs of the same shapes.

    Raises AdapterRejected, having changed nothing, if a name is missing or unknown or a shape differs.
    """
    targets = {}
    for name, layer in adapted_layers(network).items():
        targets[f"lora.{name}.A"] = layer.lora_down
        targets[f"lora.{name}.B"] = layer.lora_up
    given = {name for name in arrays if name.startswith("lora.")}
    if given != targets.keys():
        odd = sorted(given ^ targets.keys())
        raise AdapterRejected(f"adapter and network differ in {len(odd)} LoRA tensors, first {odd[0]}; are they of one bundle?")
    for name, target in targets.items():
        if target is None or tuple(target.shape) != arrays[name].shape:
            raise AdapterRejected(
                f"{name}: shape {arrays[name].shape}, the network has {None if target is None else tuple(target.shape)}"
            )
    for name, target in targets.items():
        if target is not None:
            target.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))
