"""Labels completed by the old network."""

from dataclasses import replace

import torch

from cavs.adapt.methods.mib import unbiased_distillation
from cavs.adapt.methods.pseudo import Pseudo, PseudoOptions
from tests.tiny_segmenter import second_step, some_rows

OLD, NEW = 2, 3


def test_only_background_of_current_clips_takes_the_old_class_and_only_where_it_is_sure() -> None:
    step = second_step(some_rows(count=3, labels=(0, NEW)))
    labels = step.rows.labels.clone()
    step.rows = replace(step.rows, rehearsed=torch.tensor([False, False, True]))
    step.old_said.logits.zero_()
    step.old_said.logits[0, OLD] = 9
    step.old_said.logits[2, OLD] = 9
    Pseudo().prepare(step)
    assert torch.equal(step.rows.labels[0], torch.where(labels[0] == 0, OLD, labels[0]))
    assert torch.equal(step.rows.labels[1:], labels[1:])  # undecided; rehearsed


def test_distillation_is_a_weighted_term_of_its_own() -> None:
    step = second_step()
    terms = Pseudo(PseudoOptions(distillation=3.0)).loss(step)
    expected = 3 * unbiased_distillation(step.said.logits, step.old_said.logits)
    torch.testing.assert_close(terms["distillation"], expected)
    assert set(Pseudo(PseudoOptions(distillation=0.0)).loss(step)) == {"task"}
