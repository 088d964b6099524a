"""What all anchored methods keep: nothing to pay at the anchor, importance times squared distance elsewhere."""

import pytest
import torch

from cavs.adapt.methods.anchored import Anchored, between_0_and_1, quadratic_penalty
from cavs.adapt.methods.ewc import Ewc, EwcOptions
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.lra import Lra, LraOptions
from cavs.adapt.methods.mas import Mas, MasOptions, output_energy
from cavs.adapt.methods.method import Step, Task
from cavs.adapt.methods.path_integral import PathIntegral, PathIntegralOptions
from cavs.adapt.methods.riemannian_walk import RiemannianWalk, RiemannianWalkOptions
from cavs.adapt.methods.sensitivity import sensitivity
from tests.tiny_segmenter import context, learn, some_rows, stir, tiny

ALL = [
    lambda strength: Ewc(EwcOptions(importance=strength)),
    lambda strength: Ewc(EwcOptions(importance=strength, fisher="after")),
    lambda strength: PathIntegral(PathIntegralOptions(importance=strength)),
    lambda strength: RiemannianWalk(RiemannianWalkOptions(importance=strength, every=1)),
    lambda strength: Mas(MasOptions(importance=strength)),
    lambda strength: Lra(
        LraOptions(strength=strength, objective="plain", learns="all", overlap=0, old_overlap=0, exchange=False)
    ),
]
NAMES = ["ewc", "ewc-after", "pi", "rw", "mas", "lra"]
FIRST, SECOND = Task(0, 0, 1), Task(1, 1, 1)


def after_two_tasks(method: Anchored | FineTuning, steps: int = 5) -> torch.nn.Module:
    segmenter = tiny()
    learn(method, context(segmenter, FIRST, [some_rows()]), steps=steps)
    learn(method, context(segmenter, SECOND, [some_rows(labels=(0, 2), seed=1, outputs=3)]), steps=steps, rate=0.01)
    return segmenter


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_there_is_nothing_to_pay_at_the_anchor_and_something_elsewhere(make: "object") -> None:
    method = make(1.0)  # type: ignore[operator]
    segmenter = tiny()
    learn(method, context(segmenter, FIRST, [some_rows()]), steps=5)
    assert method.penalty(segmenter).item() == 0
    stir(segmenter)
    assert method.penalty(segmenter).item() > 0


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_without_strength_it_is_fine_tuning(make: "object") -> None:
    held, free = after_two_tasks(make(0.0)), after_two_tasks(FineTuning())  # type: ignore[operator]
    for name, value in free.state_dict().items():
        torch.testing.assert_close(held.state_dict()[name], value)


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_what_is_important_stays_nearer_to_its_anchor(make: "object") -> None:
    def moved(strength: float) -> float:
        method = make(strength)  # type: ignore[operator]
        segmenter = tiny()
        learn(method, context(segmenter, FIRST, [some_rows()]), steps=5)
        anchor, importance = method.anchor, method.importance
        weigh = {name: value / value.sum().clamp_min(1e-12) for name, value in importance.items()}
        learn(method, context(segmenter, SECOND, [some_rows(labels=(0, 2), seed=1, outputs=3)]), steps=20, rate=0.005)
        return quadratic_penalty(dict(segmenter.named_parameters()), anchor, weigh).item()

    assert moved(20.0) < moved(0.0)


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_a_state_brings_the_penalty_back(make: "object") -> None:
    method, fresh = make(3.0), make(3.0)  # type: ignore[operator]
    segmenter = tiny()
    learn(method, context(segmenter, FIRST, [some_rows()]), steps=3)
    fresh.load(method.state())
    stir(segmenter)
    assert fresh.penalty(segmenter).item() == method.penalty(segmenter).item() > 0


def test_the_penalty_is_importance_times_squared_distance() -> None:
    weights, anchor = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([0.0, 4.0])}
    assert quadratic_penalty(weights, anchor, {"w": torch.tensor([3.0, 0.5])}).item() == 3 * 1 + 0.5 * 4
    assert quadratic_penalty(weights, anchor, {"w": torch.zeros(2)}).item() == 0


def test_importance_scaled_to_0_and_1() -> None:
    torch.testing.assert_close(between_0_and_1(torch.tensor([2.0, 4.0, 3.0])), torch.tensor([0, 1, 0.5]))
    assert between_0_and_1(torch.full((3,), 7.0)).tolist() == [0, 0, 0]
    assert between_0_and_1(torch.tensor([1e-20, 3e-20])).max() < 1e-6


def test_a_weight_alone_in_its_tensor_is_held() -> None:
    assert between_0_and_1(torch.tensor([1e-5])).item() == pytest.approx(1, abs=0.01)
    assert between_0_and_1(torch.tensor([0.0])).item() == 0


def test_sensitivity_is_the_mean_of_the_squares_of_single_frames() -> None:
    segmenter, rows = tiny((1,)), some_rows(count=3)
    where = context(segmenter, FIRST, [rows])
    weight = segmenter.mix.weight

    def energy(index: int) -> torch.Tensor:
        step = Step(rows.only(index), FIRST, segmenter, None)
        return torch.autograd.grad(output_energy(step), weight)[0]

    expected = torch.stack([energy(n).square() for n in range(3)]).mean(0)
    torch.testing.assert_close(sensitivity(where, {"w": weight}, output_energy)["w"], expected)
    absolute = torch.stack([energy(n).abs() for n in range(3)]).mean(0)
    torch.testing.assert_close(sensitivity(where, {"w": weight}, output_energy, "absolute")["w"], absolute)


def test_the_running_fisher_follows_the_loss_alone_and_not_the_penalty() -> None:
    rows, method = some_rows(), Ewc(EwcOptions(importance=1e6))
    segmenter = tiny()
    learn(method, context(segmenter, FIRST, [rows]), steps=1)
    stir(segmenter)
    method.fisher = {}
    step = Step(rows, FIRST, segmenter, None)
    gradient = torch.autograd.grad(method.loss(step)["task"], segmenter.mix.weight, retain_graph=True)[0]
    segmenter.zero_grad()
    torch.autograd.backward(method.loss(step)["task"])
    method.after_backward(step)
    torch.testing.assert_close(method.fisher["mix.weight"], gradient.square())
    assert segmenter.mix.weight.grad is not None
    assert not torch.allclose(segmenter.mix.weight.grad, gradient)


def test_the_path_integral_adds_up_the_loss_that_the_way_saved() -> None:
    method, segmenter, rows = PathIntegral(), tiny(), some_rows()
    where = context(segmenter, FIRST, [rows])

    def loss() -> float:
        return method.loss(Step(rows, FIRST, segmenter, None))["task"].item()

    method.begin_task(where)
    before = loss()
    optimiser = torch.optim.SGD(segmenter.parameters(), lr=1e-3)
    from cavs.adapt.methods.training import learn_step

    for _ in range(20):
        learn_step(method, Step(rows, FIRST, segmenter, None), optimiser)
    saved = float(sum(value.sum() for value in method.saved.values()))
    assert saved == pytest.approx(before - loss(), rel=0.02)


def test_scores_of_the_path_integral_add_up_before_they_are_normalised() -> None:
    method, segmenter, rows = PathIntegral(), tiny(), some_rows()
    learn(method, context(segmenter, FIRST, [rows]), steps=5)
    first = {name: score.clone() for name, score in method.score.items()}
    for name, score in first.items():
        torch.testing.assert_close(method.importance[name], between_0_and_1(score))
    learn(method, context(segmenter, SECOND, [some_rows(labels=(0, 2), seed=1, outputs=3)]), steps=5)
    assert all((method.score[name] >= score).all() for name, score in first.items())
    assert any((method.score[name] > score).any() for name, score in first.items())
    raw = PathIntegral(PathIntegralOptions(normalised=False))
    learn(raw, context(tiny(), FIRST, [rows]), steps=5)
    assert all(torch.equal(raw.importance[name], raw.score[name]) for name in raw.score)
