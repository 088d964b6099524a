"""From ingredients to a checkpoint: one process of a training run, from its first or its last kept step to the end."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from rich.console import Console

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.evaluate import make_source
from cavs.adapt.finished import finished_network, form_of, publish
from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.loop import StepReport, Trainer, join_processes
from cavs.adapt.model.checkpoint import fill_network, load_checkpoint
from cavs.adapt.model.lora import detach_lora, fold_lora
from cavs.adapt.model.network import Network, build_network
from cavs.adapt.run_folder import RunFolder
from cavs.adapt.sampler import Pairings
from cavs.adapt.scoring import score
from cavs.adapt.train_config import TrainConfig
from cavs.adapt.train_log import TrainLog
from cavs.runtime.errors import ConfigError

CHECKPOINT = "network.safetensors"
VAL_SCENARIOS = ("alone", "one_silent", "two_sound", "off_mixed", "off_only", "no_target")
VAL_SEED = 5
STRAYED_PRICE = 5.0  # IoU lost for each unit of mask mass where nothing should be marked


def train(config: TrainConfig, out: Path, console: Console | None = None) -> Path | None:
    """Trains to the last step, scoring on val now and then; returns the checkpoint, or None in processes that do not write.

    Each process composes its own batches. Raises TrainingStopped, ConfigError, DataRejected.
    """
    rank, processes = join_processes()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = pick_device(config, rank)
    network = start_network(config).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ingredients = load_sets(config.ingredients, "train", config.exclude, config.unheard)
    folder = RunFolder(out)
    if rank == 0:
        folder.clear_torn()
        folder.pin_config(config.model_dump(mode="json"))
    trainer = Trainer(network, config, Pairings(ingredients, config, network.config, rank), device, folder)
    trainer.writes = rank == 0
    trainer.resume()
    if processes > 1:
        dist.barrier()  # all have read before the first writes
    if rank != 0:
        trainer.run(lambda report: None)
        return None
    val = load_sets(config.ingredients, "val", config.exclude, config.unheard)
    with TrainLog(out, config.steps, console) as log:

        def after(report: StepReport) -> None:
            log.step(report)
            if report.step % config.score_every == 0 or report.step == config.steps:
                log.write(report.step, keep_if_best(trainer, folder, val))

        trainer.run(after)
    publish(config, folder, out / CHECKPOINT)
    return out / CHECKPOINT


def keep_if_best(trainer: Trainer, folder: RunFolder, val: Ingredients) -> dict[str, float]:
    """Scores the mean weights on val and keeps them when no earlier step was better; gives the scores by name."""
    config = trainer.config
    network = finished_network(config, {name: tensor.cpu() for name, tensor in trainer.average.tensors.items()})
    source = make_source(network, val, None, strength=0.25)
    values = {}
    for name, scenario in score(network, source, config.score_scenes, VAL_SEED, VAL_SCENARIOS).items():
        summary = scenario.summary()
        measure = "binary_iou" if "binary_iou" in summary else "mask_mass"
        values[f"val/{name}/{measure}"] = float(summary[measure])
    iou = [value for name, value in values.items() if name.endswith("binary_iou")]
    mass = [value for name, value in values.items() if name.endswith("mask_mass")]
    values["val/score"] = sum(iou) / len(iou) - STRAYED_PRICE * sum(mass) / len(mass)
    if values["val/score"] > trainer.notes.get("best_score", -1.0):
        trainer.notes |= {"best_score": values["val/score"], "best_step": trainer.step}
        folder.keep_best(trainer.state())
    return values


def start_network(config: TrainConfig) -> Network:
    """The network before its first step: encoders from files where given, the rest random from the seed.

    It has a row for each class and distractor and no LoRA pairs: those belong to adaptation.
    """
    torch.manual_seed(config.seed)
    rows = config.classes + config.distractors
    form = form_of(config).model_copy(update={"class_capacity": len(rows)})  # empty rows would only take time
    visual, audio = (Path(file) if file else None for file in (config.visual_weights, config.audio_weights))
    network = build_network(form, visual, audio)
    if config.start is not None:
        take_over(network, rows, load_checkpoint(Path(config.start)).network)
    detach_lora(network)
    network.name_classes(rows)
    return network


@torch.no_grad()
def take_over(network: Network, rows: Sequence[str], known: Network) -> None:
    """Fills a network with another of the same form, what its LoRA pairs learned included; rows go by the names of classes."""
    fold_lora(known)
    detach_lora(known)
    detach_lora(network)
    fresh = network.classes.table.clone()
    for row, name in enumerate(rows):
        if name in known.class_names:
            fresh[row] = known.classes.table[known.class_names.index(name)]
    tensors = {**known.state_dict(), "classes.table": fresh, "classes.used": network.classes.used.clone()}
    fill_network(network, tensors, "start")


def pick_device(config: TrainConfig, rank: int = 0) -> torch.device:
    """Where to train. ConfigError when CUDA is asked for and not there."""
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise ConfigError("device cuda: torch sees none; give device cpu or install torch with CUDA")
    if config.device == "cpu" or not has_cuda:
        return torch.device("cpu")
    return torch.device("cuda", rank % torch.cuda.device_count())
