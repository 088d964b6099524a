"""Training: it learns, goes on after a kill, stops on a loss that is no number, and adds up over processes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.procedural import procedural_ingredients
from cavs.adapt.finished import form_of
from cavs.adapt.loop import StepReport, Trainer, rate_share, thaw
from cavs.adapt.run_folder import RunFolder
from cavs.adapt.sampler import Pairings
from cavs.adapt.train import start_network
from cavs.adapt.train_config import TrainConfig
from cavs.adapt.training_step import Batch, TrainingStep
from cavs.runtime.errors import TrainingStopped

Make = Callable[..., TrainConfig]
CPU = torch.device("cpu")


def trainer(drawn: Ingredients, config: TrainConfig, folder: Path | None = None) -> Trainer:
    batches = Pairings(drawn, config, form_of(config))
    return Trainer(start_network(config), config, batches, CPU, RunFolder(folder) if folder else None)


def test_the_loss_on_the_same_scenes_falls(drawn: Ingredients, small_config: Make) -> None:
    config = small_config(steps=12, optimiser={"warmup_share": 0.1, "head_rate": 1e-2})
    learning = trainer(drawn, config)

    class Repeated(Pairings):
        def __getitem__(self, step: int) -> Batch:
            return super().__getitem__(0)

    learning.batches = Repeated(drawn, config, form_of(config))
    losses: list[float] = []
    learning.run(lambda report: losses.append(report.loss))
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    drawn: Ingredients, small_config: Make, tmp_path: Path
) -> None:
    whole = trainer(drawn, small_config(), tmp_path / "whole")
    whole.run(lambda report: None)

    def die(report: StepReport) -> None:
        if report.step == 3:
            raise KeyboardInterrupt  # the state of step 2 is the last that was kept

    with pytest.raises(KeyboardInterrupt):
        trainer(drawn, small_config(), tmp_path / "killed").run(die)
    again = trainer(drawn, small_config(), tmp_path / "killed")
    assert again.resume()
    assert again.step == 2
    again.run(lambda report: None)
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(again.average.tensors[name], whole.average.tensors[name], rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_no_number_stops_and_names_the_batch(drawn: Ingredients, small_config: Make, tmp_path: Path) -> None:
    learning = trainer(drawn, small_config(steps=4), tmp_path)  # kept after every second step

    def poison(report: StepReport) -> None:
        if report.step == 3:
            with torch.no_grad():
                learning.network.decoder.sounding.weight.fill_(float("nan"))

    with pytest.raises(TrainingStopped, match=r"step 4: loss .*nan.*batch \(seed 0, process 0, step 3\).*are from before it"):
        learning.run(poison)
    kept = RunFolder(tmp_path).newest()
    assert kept is not None
    assert all(torch.isfinite(tensor).all() for tensor in kept.weights.values())


def test_what_learns_rarely_has_a_gradient_only_in_its_steps(drawn: Ingredients, small_config: Make) -> None:
    config = small_config()
    learning = trainer(drawn, config)
    early = learning.network.get_parameter("visual.features.0.weight")
    late = learning.network.get_parameter("visual.features.16.project.weight")
    for thawed in (False, True):
        learning.network.zero_grad(set_to_none=True)
        thaw(learning.network, thawed)
        terms = TrainingStep(learning.network, config)(learning.batches[0])
        torch.autograd.backward(_sum(terms))
        assert (early.grad is not None) == thawed
        assert late.grad is not None


def test_rates_rise_in_a_line_and_fall_to_a_hundredth(small_config: Make) -> None:
    config = small_config(steps=100, optimiser={"warmup_share": 0.1})
    assert rate_share(0, config) == pytest.approx(0.1)
    assert rate_share(9, config) == pytest.approx(1.0)
    assert rate_share(99, config) == pytest.approx(0.01, abs=2e-3)


def test_two_processes_have_the_gradients_of_one_with_both_batches(small_config: Make, tmp_path: Path) -> None:
    config = small_config(loss={"hidden_class": 0.0})
    spawn(_one_of_two, (str(tmp_path), config.model_dump_json()), nprocs=2)  # type: ignore[no-untyped-call]
    step = _step(config)
    torch.autograd.backward(_sum(step(_joined(_batch(config, 0), _batch(config, 1)))))
    shared = torch.load(tmp_path / "gradients.pt", weights_only=True)
    own = {name: p.grad for name, p in step.network.named_parameters() if p.grad is not None}
    assert own.keys() == shared.keys()
    for name, gradient in own.items():
        torch.testing.assert_close(shared[name], gradient, rtol=1e-3, atol=1e-5)


def _one_of_two(rank: int, folder: str, settings: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    config = TrainConfig.model_validate_json(settings)
    step = _step(config)
    wrapped = DistributedDataParallel(step, find_unused_parameters=True)
    torch.autograd.backward(_sum(wrapped(_batch(config, rank))))
    if rank == 0:
        gradients = {name: p.grad for name, p in step.network.named_parameters() if p.grad is not None}
        torch.save(gradients, Path(folder) / "gradients.pt")
    dist.barrier()
    dist.destroy_process_group()


def _step(config: TrainConfig) -> TrainingStep:
    # Statistics of batch normalisation are per process, as everywhere: with those of the running mean, gradients add up.
    return TrainingStep(start_network(config).eval(), config)


def _batch(config: TrainConfig, rank: int) -> Batch:
    drawn = procedural_ingredients("train", per_class=1, sounds_per_class=1, places=1)
    return Pairings(drawn, config, form_of(config), rank)[0]


def _joined(one: Batch, other: Batch) -> Batch:
    return Batch(
        frames=torch.cat([one.frames, other.frames]),
        visible=torch.cat([one.visible, other.visible]),
        waves=torch.cat([one.waves, other.waves]),
        heard=torch.cat([one.heard, other.heard]),
        scene=torch.cat([one.scene, other.scene + len(one.frames)]),
        sound=torch.cat([one.sound, other.sound + len(one.waves)]),
        used=one.used,
    )


def _sum(terms: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms.values())).sum()


def test_memory_that_runs_out_is_said_with_what_to_lower(drawn: Ingredients, small_config: Make) -> None:
    learning = trainer(drawn, small_config())

    class Greedy(TrainingStep):
        def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
            raise MemoryError("cannot allocate 1 TiB")

    learning.wrapped = Greedy(learning.network, learning.config)
    with pytest.raises(TrainingStopped, match=r"step 1: out of memory on cpu with 2 scenes .*; lower pairing\.scenes .*1 TiB"):
        learning.run(lambda report: None)


def test_bfloat16_learns_too(drawn: Ingredients, small_config: Make) -> None:
    losses: list[float] = []
    trainer(drawn, small_config(precision="bfloat16", steps=1)).run(lambda report: losses.append(report.loss))
    assert 0 < losses[0] < 20
