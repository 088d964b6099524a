"""The lean head: what it says of raw and of cached inputs, and what a task may move."""

import pytest
import torch
from torch import nn

from cavs.adapt.bench.lean_segmenter import WIDTH, FoldedConv, FoldedDense, LeanSegmenter
from cavs.adapt.methods.method import Inputs
from cavs.adapt.model.lora import Dense, PointwiseConv, adapted_layers, attach_lora
from tests.small_network import pictures, small_network, sounds


def test_it_labels_every_eighth_pixel_and_shows_what_methods_ask_for() -> None:
    segmenter = LeanSegmenter(small_network())
    segmenter.classifier.grow(2)
    segmenter.eval()
    raw = Inputs((pictures(2),), (sounds(2),))
    said = segmenter(raw)
    side = segmenter.frame_size[0] // segmenter.label_stride
    assert said.logits.shape == (2, 3, side, side)
    assert [row.shape for row in said.senses.values()] == [(2, WIDTH)] * 2
    torch.testing.assert_close(said.attention[0].sum(1), torch.ones(2))
    torch.testing.assert_close(segmenter(segmenter.encode(raw)).logits, said.logits, atol=1e-4, rtol=1e-4)


def test_only_what_is_behind_the_encoders_learns_and_carries_pairs() -> None:
    segmenter = LeanSegmenter(small_network())
    learning = {name.partition(".")[0] for name, p in segmenter.named_parameters() if p.requires_grad}
    assert learning == {"neck", "listener", "decoder", "classifier"}
    assert {name.partition(".")[0] for name in adapted_layers(segmenter)} == {"neck", "listener", "decoder"}


def test_its_folded_layers_say_what_the_network_s_layers_say() -> None:
    torch.manual_seed(0)
    for folded, plain, inputs in (
        (FoldedConv(3, 5), PointwiseConv(3, 5), torch.randn(2, 3, 4, 4)),
        (FoldedDense(3, 5), Dense(3, 5), torch.randn(2, 4, 3)),
    ):
        attach_lora(folded, 2)
        assert folded.lora_up is not None
        nn.init.normal_(folded.lora_up)
        attach_lora(plain, 2)
        plain.load_state_dict(folded.state_dict())
        torch.testing.assert_close(folded(inputs), plain(inputs))
        for layer in (folded, plain):
            layer(inputs).square().sum().backward()
        ours, theirs = dict(folded.named_parameters()), dict(plain.named_parameters())
        assert ours.keys() == theirs.keys()
        for name, parameter in ours.items():
            torch.testing.assert_close(parameter.grad, theirs[name].grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("conditioning", [True, False])
def test_without_conditioning_only_attention_hears(conditioning: bool) -> None:
    segmenter = LeanSegmenter(small_network(), conditioning=conditioning)
    assert any("condition" in name for name, _ in segmenter.decoder.named_parameters()) is conditioning


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (LeanSegmenter(small_network(), seed).neck.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["project.0.weight"], other["project.0.weight"])
