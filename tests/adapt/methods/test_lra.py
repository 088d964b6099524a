"""LRA in its modes and spaces."""

from typing import Literal

import pytest
import torch

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.lra import Lra, LraOptions, mean_one_per_layer, products
from cavs.adapt.methods.lra_stream import LraStream, LraStreamOptions, PlateauDetector
from cavs.adapt.methods.method import Step, Task
from cavs.adapt.methods.mib import Mib
from cavs.adapt.methods.pseudo import Pseudo
from cavs.adapt.methods.training import frozen_copy, learn_step
from tests.tiny_segmenter import TinySegmenter, context, learn, some_rows, stir, tiny

FIRST, SECOND = Task(0, 0, 1), Task(1, 1, 1)


def test_the_penalty_is_half_lambda_times_omega_times_squared_distance() -> None:
    method, segmenter = Lra(LraOptions(strength=4.0)), tiny()
    learn(method, context(segmenter, FIRST, [some_rows()]))
    stir(segmenter)
    weights = dict(segmenter.named_parameters())
    expected = sum(
        (2.0 * omega * (weights[name] - method.anchor[name]).square()).sum().item() for name, omega in method.importance.items()
    )
    assert method.penalty(segmenter).item() == pytest.approx(expected, rel=1e-5)


def test_only_lora_weights_are_held() -> None:
    method = Lra()
    learn(method, context(tiny(), FIRST, [some_rows()]))
    assert set(method.anchor) == {f"{layer}.lora_{side}" for layer in ("see", "mix", "hear") for side in ("down", "up")}


def test_later_tasks_move_everything_or_pairs_and_classifier_only() -> None:
    choices: tuple[Literal["pairs", "all"], ...] = ("pairs", "all")
    for learns in choices:
        method, segmenter = Lra(LraOptions(learns=learns)), tiny()
        learn(method, context(segmenter, FIRST, [some_rows()]))
        method.begin_task(context(segmenter, SECOND, [some_rows(labels=(0, 2), outputs=3)], frozen_copy(segmenter)))
        learning = {name for name, p in segmenter.named_parameters() if p.requires_grad}
        if learns == "all":
            assert learning == set(dict(segmenter.named_parameters()))
        else:
            assert all(name.endswith(("lora_down", "lora_up")) or name.startswith("classifier.") for name in learning)
            assert "mix.lora_up" in learning


@pytest.mark.parametrize(("objective", "kind"), [("plain", FineTuning), ("unbiased", Mib), ("completed", Pseudo)])
def test_what_is_anchored_is_an_option(objective: Literal["plain", "unbiased", "completed"], kind: type) -> None:
    assert type(Lra(LraOptions(objective=objective, overlap=0, old_overlap=0, exchange=False)).objective) is kind


def test_importance_has_a_mean_of_1_in_every_layer() -> None:
    values = {"a.lora_down": torch.tensor([1.0, 3.0]), "a.lora_up": torch.tensor([8.0, 0.0]), "b.lora_up": torch.zeros(2)}
    scaled = mean_one_per_layer(values)
    assert torch.cat([scaled["a.lora_down"], scaled["a.lora_up"]]).mean() == 1
    assert scaled["b.lora_up"].tolist() == [0, 0]


def test_importance_of_tasks_adds_up_with_gamma() -> None:
    method, segmenter, rows = Lra(LraOptions(gamma=0.5)), tiny(), some_rows()
    learn(method, context(segmenter, FIRST, [rows]))
    first = {name: value.clone() for name, value in method.importance.items()}
    method.end_task(context(segmenter, FIRST, [rows]))
    for name, value in first.items():
        torch.testing.assert_close(method.importance[name], 1.5 * value)


def test_absolute_gradients_weigh_differently_from_squared_ones() -> None:
    found = []
    for power in ("squared", "absolute"):
        method = Lra(LraOptions(power=power))
        learn(method, context(tiny(), FIRST, [some_rows()]))
        found.append(method.importance["mix.lora_up"])
    assert not torch.allclose(found[0], found[1])


def test_grad_scale_divides_gradients_by_1_plus_beta_omega_and_pays_nothing() -> None:
    method, segmenter, rows = Lra(LraOptions(mode="grad_scale", beta=2.0)), tiny(), some_rows()
    learn(method, context(segmenter, FIRST, [rows]))
    step = Step(rows, FIRST, segmenter, None)
    segmenter.zero_grad()
    torch.autograd.backward(method.loss(step)["task"])
    before = {name: p.grad.clone() for name, p in segmenter.named_parameters() if p.grad is not None}
    method.after_backward(step)
    for name, parameter in segmenter.named_parameters():
        scale = 1 + 2 * method.importance[name] if name in method.importance else torch.ones(())
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, before[name] / scale)


def test_the_space_delta_folds_the_pair_and_starts_the_next_one_at_zero() -> None:
    method, segmenter, rows = Lra(LraOptions(space="delta")), tiny(), some_rows()
    segmenter.see.weight.requires_grad_(False)
    where = context(segmenter, FIRST, [rows])
    method.begin_task(where)
    stir(segmenter)
    before = segmenter(rows.inputs).logits
    method.end_task(where)
    torch.testing.assert_close(segmenter(rows.inputs).logits, before)
    assert all(not delta.any() for delta in products(segmenter).values())
    assert method.penalty(segmenter).item() == 0
    assert segmenter.see.weight.requires_grad is False
    assert segmenter.mix.weight.requires_grad is True


def test_the_penalty_in_delta_does_not_change_when_the_factors_trade_scale() -> None:
    method, segmenter, rows = Lra(LraOptions(space="delta")), tiny(), some_rows()
    learn(method, context(segmenter, FIRST, [rows]))
    stir(segmenter)
    paid = method.penalty(segmenter).item()
    assert paid > 0
    with torch.no_grad():
        for name, parameter in segmenter.named_parameters():
            if name.endswith("lora_down"):
                parameter.mul_(2)
            if name.endswith("lora_up"):
                parameter.div_(2)
    assert method.penalty(segmenter).item() == pytest.approx(paid, rel=1e-5)


def test_gradients_cannot_be_scaled_in_delta() -> None:
    with pytest.raises(ValueError, match="factors"):
        LraOptions(mode="grad_scale", space="delta")


def test_delta_needs_pairs() -> None:
    from cavs.adapt.model.lora import detach_lora

    segmenter: TinySegmenter = tiny((1,))
    detach_lora(segmenter)
    with pytest.raises(ValueError, match="attach_lora"):
        Lra(LraOptions(space="delta")).end_task(context(segmenter, FIRST, [some_rows()]))


def stream(options: LraStreamOptions, steps: int = 12, rate: float = 0.05) -> tuple[LraStream, TinySegmenter]:
    method, segmenter, rows = LraStream(options), tiny(), some_rows()
    method.begin_task(context(segmenter, FIRST))
    optimiser = torch.optim.SGD(segmenter.parameters(), lr=rate)
    for _ in range(steps):
        learn_step(method, Step(rows, FIRST, segmenter, None), optimiser)
    return method, segmenter


def test_a_stream_is_anchored_at_the_running_mean_of_its_weights() -> None:
    method, segmenter = stream(LraStreamOptions(strength=0.0, anchor_decay=0.0))
    for name, anchor in method.anchor.items():
        assert torch.equal(anchor, dict(segmenter.named_parameters())[name])
    lagging, segmenter = stream(LraStreamOptions(strength=0.0, anchor_decay=0.9))
    assert lagging.penalty(segmenter).item() == 0  # no strength
    assert any(not torch.equal(anchor, dict(segmenter.named_parameters())[name]) for name, anchor in lagging.anchor.items())


def test_a_strong_anchor_holds_a_stream_back() -> None:
    start = tiny().state_dict()

    def way(strength: float) -> float:
        _, segmenter = stream(LraStreamOptions(strength=strength, anchor_decay=0.999), rate=0.2)
        return float(sum((p - start[n]).square().sum().item() for n, p in segmenter.named_parameters() if "lora" in n))

    assert way(0.5) < way(0.0)


def test_a_plateau_is_said_once_and_again_only_after_a_peak() -> None:
    detector = PlateauDetector(window=3, mean_below=0.2, deviation_below=0.05)
    said = [detector.add(loss) for loss in [1.0, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 2.0, 1.0, 0.1, 0.1, 0.1]]
    assert said == [False] * 4 + [True] + [False] * 6 + [True]


def test_a_plateau_sets_the_anchor() -> None:
    method, segmenter = stream(LraStreamOptions(anchor="plateau", still_mean=100, still_deviation=100, window=2), steps=2)
    assert method.anchor
    for name, anchor in method.anchor.items():
        assert torch.equal(anchor, dict(segmenter.named_parameters())[name])
