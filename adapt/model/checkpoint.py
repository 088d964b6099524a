"""A network on disk: one safetensors file, its config and class names as JSON in the file's header."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import DOWN, detach_lora
from cavs.adapt.model.network import Network, build_network
from cavs.runtime.errors import AdaptError

FORMAT = "cavs network 1"
"""Changes whenever an older reader would misread the file."""


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    config: NetworkConfig
    class_names: tuple[str, ...]
    notes: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network and what its maker noted about it (data, seed, scores, ...)."""

    network: Network
    notes: dict[str, JsonValue]


def save_checkpoint(network: Network, path: Path, notes: dict[str, JsonValue] | None = None) -> None:
    """Writes the file beside its place and renames it, so that a kill leaves the old one or the new one.

    Raises AdaptError if the disk refuses; the old file is then untouched.
    """
    header = _Header(config=network.config, class_names=network.class_names, notes=notes or {})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    staged = path.with_name(f".{path.name}.writing-{os.getpid()}")
    try:
        save_file(tensors, staged, metadata={"format": FORMAT, "network": header.model_dump_json()})
        os.replace(staged, path)
    except (OSError, SafetensorError) as error:
        raise AdaptError(f"{path}: the checkpoint was not written ({error}); what was there before is untouched") from error
    finally:
        staged.unlink(missing_ok=True)


def load_checkpoint(path: Path, device: str = "cpu") -> Checkpoint:
    """Builds the network that the file describes and fills it. In training mode, as every new module.

    Raises AdaptError if there is no such file, it is not a checkpoint, or its tensors do not fit its config.
    """
    try:
        with safe_open(path, framework="pt", device=device) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except FileNotFoundError:
        raise AdaptError(f"{path}: no such file; expected a checkpoint of cavs-adapt train") from None
    except (OSError, SafetensorError) as error:
        raise AdaptError(f"{path}: not a checkpoint, or torn ({error})") from error
    if metadata.get("format") != FORMAT:
        raise AdaptError(f"{path}: format {metadata.get('format')!r}, expected {FORMAT!r}; is it a checkpoint of cavs?")
    try:
        header = _Header.model_validate_json(metadata.get("network", ""))
    except ValidationError as error:
        problem = error.errors()[0]
        raise AdaptError(f"{path}: header {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    network = build_network(header.config).to(device)
    if not any(name.endswith(f".{DOWN}") for name in tensors):
        detach_lora(network)
    fill_network(network, tensors, str(path))
    network.class_names = header.class_names
    return Checkpoint(network, header.notes)


def fill_network(network: Network, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Copies tensors into a network. Raises AdaptError, naming the first that does not fit, before any is copied."""
    expected = network.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors or name not in expected:
            where = "the file lacks it" if name in expected else "the network has none"
            raise AdaptError(f"{source}: tensor {name}: {where}; the checkpoint is of another network")
        if tensors[name].shape != expected[name].shape:
            raise AdaptError(
                f"{source}: tensor {name} has shape {tuple(tensors[name].shape)}, the network "
                f"{tuple(expected[name].shape)}; the checkpoint is of another shape"
            )
    network.load_state_dict(tensors)
