"""`cavs-adapt train`: from ingredients to a checkpoint."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.loop import StepReport, Trainer, join_processes
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import detach_lora
from cavs.adapt.model.network import Network, build_network
from cavs.adapt.run_folder import RunFolder
from cavs.adapt.sampler import Pairings
from cavs.adapt.train_config import TrainConfig
from cavs.adapt.train_log import TrainLog
from cavs.runtime.errors import ConfigError

Scorer = Callable[[Network], dict[str, float]]


def start_network(config: TrainConfig) -> Network:
    """The network before its first step: encoders from files where given, the rest random from the seed.

    It has a row for each class and distractor and no LoRA pairs: those belong to adaptation.
    """
    torch.manual_seed(config.seed)
    rows = config.classes + config.distractors
    form = NetworkConfig(class_capacity=len(rows))
    files = [Path(file) if file else None for file in (config.visual_weights, config.audio_weights)]
    network = build_network(form, *files)
    detach_lora(network)
    network.name_classes(rows)
    return network


def pick_device(config: TrainConfig, rank: int = 0) -> torch.device:
    """Where to train. ConfigError when CUDA is asked for and not there, or float16 would run on a CPU."""
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise ConfigError("device cuda: torch sees none; give device cpu or install torch with CUDA")
    if config.device == "cpu" or not has_cuda:
        if config.precision == "float16":
            raise ConfigError("precision float16 on a CPU: give bfloat16 or float32")
        return torch.device("cpu")
    return torch.device("cuda", rank % torch.cuda.device_count())


def train(config: TrainConfig, out: Path, log: TrainLog | None = None) -> Network:
    """Trains to the last step and returns the mean network; goes on where a killed run stopped.

    One of several processes when torchrun started it: each composes its own batches, rank 0 writes.
    """
    rank, processes = join_processes()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = pick_device(config, rank)
    network = start_network(config).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ingredients = load_sets(config.ingredients, "train", config.exclude, config.unheard)
    folder = RunFolder(out)
    if rank == 0:
        folder.pin_config(config.model_dump(mode="json"))
    trainer = Trainer(network, config, Pairings(ingredients, config, network.config, rank), device, folder)
    trainer.writes = rank == 0
    trainer.resume()
    if processes > 1:
        dist.barrier()
    trainer.run(log.step if log and rank == 0 else _ignore)
    return network


def _ignore(report: StepReport) -> None:
    pass
