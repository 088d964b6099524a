"""From a training run to a network that serves: the mean weights, rows for classes yet to come, fresh LoRA pairs."""

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import JsonValue, ValidationError
from torch import Tensor

from cavs.adapt.model.checkpoint import save_checkpoint
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import DOWN, UP
from cavs.adapt.model.network import Network, build_network
from cavs.adapt.run_folder import RunFolder, Saved
from cavs.adapt.train_config import TrainConfig
from cavs.runtime.errors import ConfigError, TrainingStopped

TABLE, USED = "classes.table", "classes.used"


def form_of(config: TrainConfig) -> NetworkConfig:
    """The form of the network that serves. Raises ConfigError when the settings name what it does not have."""
    try:
        return NetworkConfig.model_validate(config.network)
    except ValidationError as error:
        fault = error.errors()[0]
        known = ", ".join(NetworkConfig.model_fields)
        raise ConfigError(f"network.{'.'.join(map(str, fault['loc']))}: {fault['msg']}; known: {known}") from error


def finished_network(config: TrainConfig, average: Mapping[str, Tensor]) -> Network:
    """The network of the running mean, with the full capacity of the class table and pairs that change nothing.

    Rows of distractors are left out: they helped to tell things apart and are no classes of the product.
    """
    torch.manual_seed(config.seed)
    network = build_network(form_of(config))
    kept = len(config.classes)
    tensors = {name: tensor for name, tensor in average.items() if name not in (TABLE, USED)}
    fresh = network.state_dict()
    expected = {name for name in fresh if not name.endswith((DOWN, UP)) and name not in (TABLE, USED)}
    if tensors.keys() != expected:
        odd = sorted(tensors.keys() ^ expected)
        raise ValueError(f"{len(odd)} tensors are not those of the network, first {odd[0]}")
    network.load_state_dict(tensors, strict=False)
    with torch.no_grad():
        network.classes.table[:kept] = average[TABLE][:kept]
    network.name_classes(config.classes)
    return network.eval()


def publish(config: TrainConfig, folder: RunFolder, out: Path) -> Network:
    """Writes the checkpoint of the step that scored best on val, or of the newest when none was scored."""
    saved = folder.best() or folder.newest()
    if saved is None:
        raise TrainingStopped(f"{folder.path}: no state was kept yet; wait for the first, or train with a smaller keep_every")
    network = finished_network(config, saved.average)
    save_checkpoint(network, out, notes_of(config, saved))
    return network


def notes_of(config: TrainConfig, saved: Saved) -> dict[str, JsonValue]:
    """What the checkpoint says of its making. Of paths only the last part: folders mean nothing elsewhere."""
    settings = config.model_dump(mode="json")
    settings["ingredients"] = [Path(path).name for path in config.ingredients]
    for key in ("visual_weights", "audio_weights", "start"):
        settings[key] = Path(settings[key]).name if settings[key] else None
    return {"step": saved.progress["step"], "training": settings, **saved.progress["notes"]}
