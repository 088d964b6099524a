"""The training loop: batches in, weights out, in a way that a kill at any moment costs minutes and nothing else."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from cavs.adapt.averaging import RunningMean
from cavs.adapt.model.network import Network
from cavs.adapt.run_folder import RunFolder, Saved
from cavs.adapt.sampler import Pairings
from cavs.adapt.train_config import TrainConfig
from cavs.adapt.training_step import Batch, TrainingStep
from cavs.runtime.errors import TrainingStopped

EARLY_STAGES = 7  # of the visual encoder: up to stride 8; half of its time in training, few of its weights
PREFETCHED = 4  # batches each loader process holds ready
FINAL_RATE_SHARE = 0.01  # of the peak rate, at the end of the cycle

Terms = dict[str, float]


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did: its number (from 1), the terms of the loss, their sum, the norm of the gradient."""

    step: int
    terms: Terms
    loss: float
    gradient_norm: float


@dataclass(slots=True)
class Trainer:
    """Runs the steps of one process. `device` holds the network already; rank 0 writes."""

    network: Network
    config: TrainConfig
    batches: Pairings
    device: torch.device
    folder: RunFolder | None = None
    writes: bool = True  # one of the processes keeps the states
    step: int = 0
    notes: dict[str, Any] = field(default_factory=dict)  # goes into progress.json: best score so far
    average: RunningMean = field(init=False)
    optimiser: torch.optim.Optimizer = field(init=False)
    wrapped: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        learned = TrainingStep(self.network, self.config)
        self.wrapped = learned
        if dist.is_available() and dist.is_initialized():
            # Rows hidden from the table and frozen stages leave parameters without a gradient in some steps.
            self.wrapped = DistributedDataParallel(learned, find_unused_parameters=True)
        self.optimiser = torch.optim.AdamW(parameter_groups(self.network, self.config), fused=True)
        self.average = RunningMean(self.network, self.config.optimiser.average_decay)

    def resume(self) -> bool:
        """Takes up the newest state of the folder; False when there is none."""
        saved = self.folder.newest() if self.folder else None
        if saved is None:
            return False
        self.network.load_state_dict(saved.weights)
        self.average.load(saved.average)
        self.optimiser.load_state_dict(saved.optimiser)
        self.step = int(saved.progress["step"])
        self.notes = dict(saved.progress["notes"])
        return True

    def run(self, after: Callable[[StepReport], None]) -> None:
        """Trains to the last step, calls `after` each one. Raises TrainingStopped; the states kept stay as they are."""
        for batch in self._loader():
            after(self._learn(batch))
            if (
                self.folder is not None
                and self.writes
                and (self.step % self.config.keep_every == 0 or self.step == self.config.steps)
            ):
                self.folder.keep(self.state())

    def state(self) -> Saved:
        """Everything a resumed run needs. Batches are functions of the step, so no generator's state is part of it."""
        return Saved(
            weights=self.network.state_dict(),
            average=self.average.tensors,
            optimiser=self.optimiser.state_dict(),
            progress={"step": self.step, "notes": self.notes},
        )

    def _loader(self) -> Iterator[Batch]:
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(self.step, self.config.steps),
            num_workers=self.config.loaders,
            prefetch_factor=PREFETCHED if self.config.loaders else None,
            pin_memory=self.device.type == "cuda",
        )
        return iter(loader)

    def _learn(self, batch: Batch) -> StepReport:
        self.network.train()
        set_rates(self.optimiser, self.config, self.step)
        thaw(self.network, self.step % self.config.optimiser.thaw_every == 0)
        self.optimiser.zero_grad(set_to_none=True)
        try:
            with mixed_precision(self.device, self.config):
                terms = self.wrapped(batch.to(self.device))
            loss = torch.stack(list(terms.values())).sum()
            torch.autograd.backward(loss)
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            raise TrainingStopped(self._no_room(error)) from error
        except RuntimeError as error:
            if "can't allocate memory" not in str(error):
                raise
            raise TrainingStopped(self._no_room(error)) from error
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip_norm))
        value = float(loss.detach())
        self._check(value, norm, terms)
        self.optimiser.step()
        self.step += 1
        self.average.update(self.network, self.step)
        return StepReport(self.step, {name: float(term.detach()) for name, term in terms.items()}, value, norm)

    def _check(self, loss: float, norm: float, terms: dict[str, Tensor]) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        said = ", ".join(f"{name} {float(term.detach()):.3g}" for name, term in terms.items())
        kept = f"; the states in {self.folder.path / 'steps'} are from before it" if self.folder else ""
        batch = f"batch (seed {self.config.seed}, process {self.batches.rank}, step {self.step})"
        raise TrainingStopped(
            f"step {self.step + 1}: loss {said}, gradient {norm:.3g}; {batch}{kept}; lower the rates or use float32"
        )

    def _no_room(self, error: BaseException) -> str:
        pairs = self.config.pairing.scenes * (self.config.pairing.own_sounds + self.config.pairing.borrowed_sounds + 1)
        return (
            f"step {self.step + 1}: out of memory on {self.device} with {self.config.pairing.scenes} scenes and about {pairs} "
            f"pairs a step; lower pairing.scenes ({str(error).splitlines()[0]})"
        )


def parameter_groups(network: Network, config: TrainConfig) -> list[dict[str, Any]]:
    """Encoders, head; biases, norms and other vectors are not decayed."""
    rates = {
        "visual": config.optimiser.visual_rate,
        "audio": config.optimiser.audio_rate,
        "head": config.optimiser.head_rate,
    }
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        part = name.split(".", 1)[0]
        groups.setdefault((part if part in ("visual", "audio") else "head", parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": params, "lr": rates[part], "peak": rates[part], "weight_decay": config.optimiser.weight_decay * decayed}
        for (part, decayed), params in groups.items()
    ]


def rate_share(step: int, config: TrainConfig) -> float:
    """Share of the peak rate at a step (from 0): up in a line, down in half a cosine."""
    warmup = max(1, round(config.optimiser.warmup_share * config.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * done))


def set_rates(optimiser: torch.optim.Optimizer, config: TrainConfig, step: int) -> None:
    share = rate_share(step, config)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share


def thaw(network: Network, thawed: bool) -> None:
    """Lets what learns rarely learn in this step, or not: the audio encoder and the early stages of the visual one.

    Their gradients cost a third of a step, and they arrive well trained. Visual encoders of other kinds always learn whole.
    """
    stages = getattr(network.visual, "features", None)
    rare = list(stages[:EARLY_STAGES]) if isinstance(stages, nn.ModuleList) else []
    for part in (network.audio, *rare):
        part.requires_grad_(thawed)


def mixed_precision(device: torch.device, config: TrainConfig) -> AbstractContextManager[None]:
    if config.precision == "float32":
        return nullcontext()
    context: AbstractContextManager[None] = torch.autocast(device.type, torch.bfloat16)
    return context


def join_processes() -> tuple[int, int]:
    """(rank, processes) as torchrun says them; joins the group when there is more than one."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return int(os.environ.get("RANK", "0")), processes
