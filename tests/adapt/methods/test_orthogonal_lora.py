"""Pairs of successive tasks do not overlap."""

from dataclasses import replace

import numpy as np
import torch

from cavs.adapt.methods.method import Step, Task
from cavs.adapt.methods.orthogonal_lora import OrthogonalLora, OrthogonalLoraOptions, outside_span
from cavs.adapt.model.lora import Dense, detach_lora
from tests.tiny_segmenter import TinySegmenter, context, learn, some_rows, tiny

FIRST, SECOND = Task(0, 0, 1), Task(1, 1, 1)


class Wide(TinySegmenter):
    """Pairs narrow enough that two fit beside each other."""

    def __init__(self) -> None:
        super().__init__(rank=1)


def wide() -> Wide:
    torch.manual_seed(0)
    return Wide()


def test_rows_outside_a_span_have_nothing_in_common_with_it_and_keep_their_length() -> None:
    rows, span = torch.randn(2, 6), torch.randn(3, 6)
    rest = outside_span(rows, span)
    torch.testing.assert_close(rest @ span.T, torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(rest.norm(dim=1), rows.norm(dim=1))


def test_nothing_is_outside_everything() -> None:
    assert not outside_span(torch.randn(2, 3), torch.eye(3)).any()


def test_a_hard_pair_is_orthogonal_to_earlier_ones_and_only_its_b_learns() -> None:
    segmenter, method = wide(), OrthogonalLora(OrthogonalLoraOptions(mode="hard"))
    learn(method, context(segmenter, FIRST, [some_rows()]))
    method.begin_task(context(segmenter, SECOND))
    layer = segmenter.mix
    assert layer.lora_down is not None
    torch.testing.assert_close(method.earlier["mix"] @ layer.lora_down.T, torch.zeros(1, 1), atol=1e-5, rtol=0)
    assert not layer.lora_down.requires_grad
    assert layer.lora_up is not None
    assert layer.lora_up.requires_grad


def test_a_hard_pair_of_the_third_task_has_room_of_its_own() -> None:
    segmenter, method = wide(), OrthogonalLora(OrthogonalLoraOptions(mode="hard"))
    for index in range(3):
        task = Task(index, index, 1)
        where = context(segmenter, task, [some_rows(labels=(0, 1 + index), seed=index, outputs=2 + index)])
        learn(method, replace(where, rng=np.random.default_rng(index)))
    method.begin_task(context(segmenter, Task(3, 3, 1)))
    down = segmenter.mix.lora_down
    assert down is not None
    assert method.earlier["mix"].shape == (3, 6)
    torch.testing.assert_close(method.earlier["mix"] @ down.T, torch.zeros(3, 1), atol=1e-5, rtol=0)
    assert down.norm() > 0.1


def test_only_layers_with_a_pair_get_a_fresh_one() -> None:
    segmenter, method = tiny(), OrthogonalLora()
    detach_lora(segmenter.hear)
    names = set(segmenter.state_dict())
    before = segmenter.mix.lora_down
    method.end_task(context(segmenter, FIRST))
    assert set(segmenter.state_dict()) == names
    assert before is not None
    assert segmenter.mix.lora_down is not None
    assert not torch.equal(segmenter.mix.lora_down, before)


def test_after_the_first_task_only_pairs_and_classifier_learn_unless_told_otherwise() -> None:
    def learning(options: OrthogonalLoraOptions) -> set[str]:
        segmenter, method = wide(), OrthogonalLora(options)
        learn(method, context(segmenter, FIRST, [some_rows()]))
        assert segmenter.mix.weight.requires_grad
        method.begin_task(context(segmenter, SECOND))
        return {name for name, parameter in segmenter.named_parameters() if parameter.requires_grad}

    pairs = learning(OrthogonalLoraOptions())
    assert {"mix.lora_down", "mix.lora_up", "classifier.heads.0.bias", "classifier.heads.2.weight"} <= pairs
    assert "mix.weight" not in pairs
    assert "mix.weight" in learning(OrthogonalLoraOptions(learns="all"))


def test_a_soft_pair_pays_for_its_overlap() -> None:
    segmenter, method = wide(), OrthogonalLora(OrthogonalLoraOptions(overlap=2.0))
    learn(method, context(segmenter, FIRST, [some_rows()]))
    step = Step(some_rows(), SECOND, segmenter, None)
    expected = 0.0
    for name, layer in segmenter.named_modules():
        if name in method.earlier and (isinstance(layer, Dense) or name in ("see", "mix")):
            expected += (method.earlier[name] @ layer.lora_down.T).abs().sum().item()
    torch.testing.assert_close(method.loss(step)["overlap"].item(), 2 * expected)


def test_the_end_of_a_task_folds_the_pair_without_changing_what_is_said() -> None:
    segmenter, method, rows = tiny(), OrthogonalLora(), some_rows()
    method.begin_task(context(segmenter, FIRST))
    with torch.no_grad():
        for name, parameter in segmenter.named_parameters():
            if name.endswith("lora_up"):
                parameter.normal_()
    before = segmenter(rows.inputs).logits
    method.end_task(context(segmenter, FIRST))
    torch.testing.assert_close(segmenter(rows.inputs).logits, before)
