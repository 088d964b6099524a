"""Encoder weights: random ones to start from, or pretrained ones from a file, of which only tensors are read."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cavs.runtime.errors import AdaptError


def start_convolutions(module: nn.Module) -> None:
    """Random weights that keep the size of activations from layer to layer: these encoders have no normalisation to do it."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def load_weights(module: nn.Module, path: Path, skip: tuple[str, ...] = ()) -> None:
    """Loads every tensor of the file into the module, but for names that start with one of `skip`.

    Takes safetensors, or a PyTorch file (.pt, .pth) of plain tensors. Raises AdaptError if the file cannot be read or its
    names and shapes are not those of the module.
    """
    tensors = {name: tensor for name, tensor in _read(path).items() if not name.startswith(skip or ("\0",))}
    expected = module.state_dict()
    odd = sorted(tensors.keys() ^ expected.keys())
    if odd:
        raise AdaptError(f"{path}: {len(odd)} tensors differ from {type(module).__name__}, first {odd[0]}; is it that network?")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise AdaptError(f"{path}: {name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
    module.load_state_dict(tensors)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix in (".pt", ".pth"):
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        return load_file(path)
    except FileNotFoundError:
        raise AdaptError(f"{path}: no such file; expected pretrained weights") from None
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise AdaptError(f"{path}: cannot be read as weights ({str(error).splitlines()[0]})") from error
