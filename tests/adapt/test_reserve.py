"""Room for classes to come: the chosen classes keep their rows, and what is said of them does not change."""

import pytest
import torch

from cavs.adapt.model.lora import adapted_layers, detach_lora
from cavs.adapt.model.reserve import reserve_room
from cavs.runtime.errors import AdaptError
from tests.small_network import pictures, small_network, sounds, stir_lora


@torch.inference_mode()
def test_the_chosen_classes_move_to_the_first_rows_and_mean_the_same() -> None:
    network = small_network()
    roomy = reserve_room(network, ("drone", "dog"), 9)
    assert roomy.class_names == ("drone", "dog")
    assert roomy.config.class_capacity == 9
    assert roomy.classes.used.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    before, after = network(pictures(1), sounds(1)), roomy(pictures(1), sounds(1))
    torch.testing.assert_close(after.presence[:, :2], before.presence[:, [2, 0]])
    torch.testing.assert_close(after.class_logits[:, :2], before.class_logits[:, [2, 0]])


@torch.inference_mode()
def test_fresh_pairs_are_made_and_taught_ones_kept() -> None:
    plain, taught = small_network(), small_network()
    detach_lora(plain)
    stir_lora(taught)
    assert adapted_layers(reserve_room(plain, class_capacity=6))
    for network in (plain, taught):
        roomy = reserve_room(network, class_capacity=6)
        assert torch.equal(roomy(pictures(1), sounds(1)).sounding, network(pictures(1), sounds(1)).sounding)


@torch.inference_mode()
def test_more_pairs_of_the_ear_change_nothing_yet() -> None:
    network = small_network()
    stir_lora(network)
    roomy = reserve_room(network, class_capacity=6, ear_pairs="listener")
    assert roomy.config.ear_pairs == "listener"
    more = adapted_layers(roomy).keys() - adapted_layers(network).keys()
    assert "listener.projections.1" in more
    assert "listener.blocks.0.attention.value" in more
    assert torch.equal(roomy(pictures(1), sounds(1)).sounding, network(pictures(1), sounds(1)).sounding)


def test_an_unknown_class_is_named_with_those_that_are_known() -> None:
    with pytest.raises(AdaptError, match=r"class cat: .* it knows dog, kettle, drone"):
        reserve_room(small_network(), ("dog", "cat"))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(AdaptError, match="3 classes do not fit a table of 2 rows"):
        reserve_room(small_network(), class_capacity=2)
