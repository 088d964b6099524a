"""The classifier grows without touching what it said of old classes."""

import pytest
import torch

from cavs.adapt.methods.classifier import GrowingClassifier


def grown(balanced: bool, new: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    classifier = GrowingClassifier(5)
    classifier.grow(4)
    features = torch.randn(2, 5, 3, 3)
    before = classifier(features).softmax(1)
    classifier.grow(new, balanced=balanced)
    return before, classifier(features).softmax(1)


def test_a_balanced_head_shares_the_background_evenly_with_the_new_classes() -> None:
    before, after = grown(balanced=True)
    torch.testing.assert_close(after[:, :1].expand(-1, 3, -1, -1), after[:, 5:])
    torch.testing.assert_close(after[:, 0] * 4, before[:, 0])


def test_a_balanced_head_leaves_old_classes_their_probability() -> None:
    before, after = grown(balanced=True)
    torch.testing.assert_close(after[:, 1:5], before[:, 1:])


def test_a_plain_head_takes_probability_from_all() -> None:
    before, after = grown(balanced=False)
    assert (after[:, :5] < before).all()


def test_growing_keeps_the_names_of_parameters() -> None:
    classifier = GrowingClassifier(5)
    classifier.grow(4)
    before = {name: p.shape for name, p in classifier.named_parameters()}
    classifier.grow(2)
    after = {name: p.shape for name, p in classifier.named_parameters()}
    assert before.items() <= after.items()
    assert classifier.classes == 6
    assert classifier.sizes == (4, 2)


def test_freezing_old_heads_leaves_the_newest() -> None:
    classifier = GrowingClassifier(5)
    classifier.grow(4)
    classifier.grow(2)
    classifier.freeze_old()
    assert [head.weight.requires_grad for head in classifier.heads] == [False, False, True]


def test_a_task_of_no_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        GrowingClassifier(5).grow(0)
