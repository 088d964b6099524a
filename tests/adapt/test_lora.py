"""LoRA pairs: they change nothing at first, fold into the weights exactly, and go in and out by their contract names."""

import numpy as np
import pytest
import torch

from cavs.adapt.model.lora import (
    Dense,
    PointwiseConv,
    adapted_layers,
    attach_lora,
    detach_lora,
    fold_lora,
    load_lora,
    lora_tensors,
    unfold_lora,
)
from cavs.adapt.model.network import Network
from cavs.runtime.errors import AdapterRejected
from tests.small_network import pictures, small_network, sounds, stir_lora


@torch.inference_mode()
def sounding(network: Network) -> torch.Tensor:
    out: torch.Tensor = network(pictures(2), sounds(2)).sounding
    return out


def test_fresh_pairs_change_nothing() -> None:
    network = small_network()
    with_pairs = sounding(network)
    detach_lora(network)
    assert torch.equal(sounding(network), with_pairs)
    attach_lora(network, rank=4)
    assert torch.equal(sounding(network), with_pairs)


def test_pairs_that_were_stirred_change_what_is_said() -> None:
    network = small_network()
    before = sounding(network)
    stir_lora(network)
    assert (sounding(network) - before).abs().max() > 1e-2


def test_folding_gives_the_same_network_without_pairs() -> None:
    network = small_network()
    stir_lora(network)
    with_pairs = sounding(network)
    fold_lora(network)
    detach_lora(network)
    np.testing.assert_allclose(sounding(network), with_pairs, atol=1e-4)


def test_unfolding_brings_the_weights_back_to_1e_6() -> None:
    network = small_network()
    stir_lora(network)
    before = {name: layer.weight.clone() for name, layer in adapted_layers(network).items()}
    fold_lora(network)
    assert all(not torch.equal(layer.weight, before[name]) for name, layer in adapted_layers(network).items())
    unfold_lora(network)
    for name, layer in adapted_layers(network).items():
        np.testing.assert_allclose(layer.weight.detach(), before[name].detach(), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "x"), [(Dense(5, 3), torch.randn(2, 7, 5)), (PointwiseConv(5, 3), torch.randn(2, 5, 4, 4))], ids=["dense", "conv"]
)
@torch.inference_mode()
def test_a_pair_adds_b_a_x(layer: Dense | PointwiseConv, x: torch.Tensor) -> None:
    holder = torch.nn.Sequential(layer)
    plain = holder(x)
    attach_lora(holder, rank=2)
    assert layer.lora_down is not None
    assert layer.lora_up is not None
    layer.lora_up.normal_()
    path = "...d,rd,or->...o" if isinstance(layer, Dense) else "bdhw,rd,or->bohw"
    expected = plain + torch.einsum(path, x, layer.lora_down, layer.lora_up)
    np.testing.assert_allclose(holder(x), expected, atol=1e-5)


def test_the_names_of_the_adapted_layers_are_part_of_every_adapter_ever_written() -> None:
    attention = ("attention.query", "attention.key", "attention.value", "attention.out", "widen", "narrow")
    assert list(adapted_layers(small_network())) == [
        *(f"visual.features.{block}.project" for block in range(11, 18)),
        "neck.embed",
        *("listener.to_voice.0", "listener.to_voice.2"),
        *(f"decoder.attend{stride}.block.{layer}" for stride in (32, 16) for layer in attention),
        *("decoder.down16", "decoder.down8"),
    ]


def test_pairs_carried_to_another_network_make_it_say_the_same() -> None:
    taught, other = small_network(), small_network()
    stir_lora(taught)
    load_lora(other, lora_tensors(taught))
    assert torch.equal(sounding(other), sounding(taught))


def test_pairs_that_do_not_fit_are_refused_and_change_nothing() -> None:
    network = small_network()
    arrays = lora_tensors(network)
    lacking = {name: array for name, array in arrays.items() if name != "lora.neck.embed.A"}
    wrong = {**arrays, "lora.neck.embed.B": np.zeros((64, 4), np.float32)}
    for bad, message in ((lacking, r"lora\.neck\.embed\.A"), (wrong, r"lora\.neck\.embed\.B: shape \(64, 4\)")):
        changed = {name: array + 1 for name, array in bad.items()}
        with pytest.raises(AdapterRejected, match=message):
            load_lora(network, changed)
        for name, array in lora_tensors(network).items():
            np.testing.assert_array_equal(array, arrays[name])
