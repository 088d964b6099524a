"""CrossSDC and AV-CIL's losses."""

import torch
import torch.nn.functional as F

from cavs.adapt.methods.av_cil import AvCil, separated_cross_entropy, task_wise_distillation
from cavs.adapt.methods.cross_sdc import CrossSdc, CrossSdcOptions, contrast, cross_sdc, same, symmetric_contrast
from cavs.adapt.methods.fine_tuning import FineTuning, row_cross_entropy
from cavs.adapt.methods.method import Task
from cavs.adapt.methods.training import frozen_copy
from tests.tiny_segmenter import context, learn, second_step, some_rows, tiny


def info_nce(one: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    similarity = F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / temperature
    order = torch.arange(len(one))
    return (F.cross_entropy(similarity, order) + F.cross_entropy(similarity.T, order)) / 2


def test_without_memory_the_instance_term_is_symmetric_info_nce() -> None:
    audio, visual = torch.randn(5, 8), torch.randn(5, 8)
    terms = cross_sdc({"audio": audio, "visual": visual}, torch.arange(5), torch.arange(5), CrossSdcOptions())
    torch.testing.assert_close(terms["instance"], 0.1 * info_nce(audio, visual, 0.05))
    torch.testing.assert_close(terms["class"], 0.3 * info_nce(audio, visual, 0.05))


def test_three_modalities_are_compared_in_three_pairs() -> None:
    rows = {name: torch.randn(4, 8) for name in ("audio", "object", "motion")}
    expected = torch.stack(
        [info_nce(rows[a], rows[b], 0.05) for a, b in (("audio", "object"), ("audio", "motion"), ("object", "motion"))]
    ).mean()
    torch.testing.assert_close(cross_sdc(rows, torch.arange(4), torch.arange(4), CrossSdcOptions())["instance"], 0.1 * expected)


def test_several_positives_share_a_row() -> None:
    one, other = torch.randn(3, 8), torch.randn(3, 8)
    positive = same(torch.tensor([7, 7, 3]))
    log_share = (F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / 0.05).log_softmax(1)
    expected = -(log_share[0, :2].mean() + log_share[1, :2].mean() + log_share[2, 2]) / 3
    torch.testing.assert_close(contrast(one, other, positive, 0.05), expected)


def test_flags_are_positives_where_they_meet() -> None:
    flags = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert same(flags).tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_rows_without_a_positive_are_left_out() -> None:
    one, other = torch.randn(3, 8), torch.randn(3, 8)
    positive = torch.eye(3, dtype=torch.bool)
    positive[2] = False
    assert torch.isfinite(contrast(one, other, positive, 0.05))
    whole = contrast(one[:2], other, torch.eye(2, 3, dtype=torch.bool), 0.05)
    torch.testing.assert_close(contrast(one, other, positive, 0.05), whole)


def test_memory_rows_are_doubled_and_only_the_current_network_learns() -> None:
    step = second_step(some_rows(labels=(0, 1, 3), outputs=4))
    step.rows.rehearsed[:2] = True
    terms = CrossSdc(FineTuning()).loss(step)
    now, before = step.said.senses, step.old_said.senses
    rows = {name: torch.cat([now[name], before[name][:2]]) for name in now}
    assert rows["audio"].shape[0] == 6
    ids, labels = torch.tensor([0, 1, 2, 3, 0, 1]), torch.cat([step.rows.classes, step.rows.classes[:2]])
    expected = cross_sdc(rows, ids, labels, CrossSdcOptions())
    torch.testing.assert_close(terms["cross_instance"], expected["instance"])
    torch.testing.assert_close(terms["cross_class"], expected["class"])
    torch.autograd.backward(terms["cross_instance"])
    assert step.segmenter.get_parameter("hear.weight").grad is not None
    assert step.old is not None
    assert all(parameter.grad is None for parameter in step.old.parameters())


def test_new_frames_do_not_push_old_outputs_down() -> None:
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    labels = torch.tensor([0, 3]).repeat_interleave(9).reshape(2, 3, 3)
    loss = separated_cross_entropy(logits, labels, old=2, rehearsed=torch.zeros(2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[:, 1:3].any()
    assert gradient[:, 0].any()
    torch.testing.assert_close(loss, row_cross_entropy(logits[:, [0, 3]], (labels > 0).long()).mean())


def test_rehearsed_frames_do_not_push_new_outputs_down() -> None:
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    labels = torch.tensor([1, 3]).repeat_interleave(9).reshape(2, 3, 3)
    loss = separated_cross_entropy(logits, labels, old=2, rehearsed=torch.ones(2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[:, 3].any()
    assert not gradient[1].any()  # its only label is a new class, which is left out on this side


def test_task_wise_distillation_ignores_how_tasks_compare() -> None:
    old = torch.randn(2, 5, 3, 3)
    new = torch.cat([old, torch.randn(2, 2, 3, 3)], dim=1)
    assert task_wise_distillation(new, old, (2, 2), 2.0).item() < 1e-9
    shifted = new.clone()
    shifted[:, 1] += 1
    assert task_wise_distillation(shifted, old, (2, 2), 2.0).item() > 1e-3


def test_av_cil_distils_attention_on_rehearsed_frames_only() -> None:
    step = second_step(some_rows(labels=(0, 1, 3), outputs=4))
    assert "attention" not in AvCil().loss(step)
    step.rows.rehearsed[:2] = True
    terms = AvCil().loss(step)
    new, old = step.said.attention[0][:2], step.old_said.attention[0][:2]
    expected = 0.5 * (old * (old.log() - new.log())).sum(1).mean()
    torch.testing.assert_close(terms["attention"], expected, rtol=1e-3, atol=1e-6)
    audio, visual = step.said.senses["audio"], step.said.senses["visual"]
    instances = symmetric_contrast(audio, visual, torch.eye(4, dtype=torch.bool), 0.05)
    torch.testing.assert_close(terms["instance"], 0.5 * instances)


def test_av_cil_keeps_a_memory_that_its_state_brings_back() -> None:
    method, fresh, segmenter = AvCil(), AvCil(), tiny()
    learn(method, context(segmenter, Task(0, 0, 1), [some_rows()]))
    fresh.load(method.state())
    assert set(fresh.memory_clips()) == set(some_rows().clips)
    assert fresh.rehearsal(0, 4) == list(method.memory_clips())
    learn(fresh, context(segmenter, Task(1, 1, 1), [some_rows(labels=(0, 2), seed=1, outputs=3)], frozen_copy(segmenter)))
    assert len(fresh.memory_clips()) == 8
