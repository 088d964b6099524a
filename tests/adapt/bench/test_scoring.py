"""Probabilities of one output among several, and the epoch that is kept."""

import torch

from cavs.adapt.bench.best_epoch import BestEpoch
from cavs.adapt.bench.scoring import sounding_probability
from tests.tiny_segmenter import some_rows, stir, tiny


def test_each_frame_is_read_by_its_own_output_and_the_newest_stands_in_for_one_to_come() -> None:
    logits = torch.zeros(3, 3, 2, 2)
    logits[:, 1], logits[:, 2] = 2.0, -2.0
    probability = sounding_probability(logits, [0, 1, 5])
    expected = torch.sigmoid(torch.tensor([2.0, -2.0, -2.0]))
    torch.testing.assert_close(probability, expected[:, None, None].expand(3, 2, 2))


def test_the_best_epoch_comes_back_and_without_validation_the_last_stays() -> None:
    segmenter = tiny((1,))
    rows = some_rows(labels=(0, 1))
    with torch.no_grad():
        segmenter.classifier.heads[1].bias.fill_(10.0)  # type: ignore[operator]
    best = BestEpoch(segmenter, lambda: [rows], 1)
    best.look()
    good = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    with torch.no_grad():
        segmenter.classifier.heads[1].bias.fill_(-10.0)  # type: ignore[operator]
    best.look()
    best.take()
    assert all(torch.equal(segmenter.state_dict()[name], good[name]) for name in good)
    assert segmenter.training
    none = BestEpoch(segmenter, lambda: [], 1)
    none.look()
    stir(segmenter)
    moved = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    none.take()
    assert all(torch.equal(segmenter.state_dict()[name], moved[name]) for name in moved)
