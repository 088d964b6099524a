"""The network as a whole: pairing, learning, hiding rows, and the adapter in and out."""

import numpy as np
import pytest
import torch

from cavs.adapt.model.conditioning import Conditioning, Heard
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.network import adapter_tensors, build_network, load_adapter
from cavs.runtime.errors import AdapterRejected, ConfigError
from tests.small_network import CLASSES, SMALL, pictures, small_network, sounds, stir_lora


def test_a_config_that_is_printed_loads_back_equal() -> None:
    assert NetworkConfig.model_validate_json(SMALL.model_dump_json()) == SMALL


@pytest.mark.parametrize(
    "wrong",
    [
        {"visual": "resnet50"},
        {"frame_height_px": 100},
        {"stride16": 90},
        {"sound_rate_hz": 44_100},
        {"class_capacity": 255},
        {"x": 1},
    ],
    ids=str,
)
def test_a_config_that_cannot_hold_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkConfig.model_validate(wrong)


@pytest.mark.parametrize("ear_pairs", ["voices", "listener"])
def test_what_is_kept_of_a_sound_gives_the_same_with_every_adapter(ear_pairs: str) -> None:
    network = small_network(SMALL.model_copy(update={"ear_pairs": ear_pairs}))
    listener = network.listener
    with torch.inference_mode():
        early = listener.early(network.audio(sounds(3)))
        stir_lora(network)
        expected, late = network.encode_audio(sounds(3)), listener.late(early)
        torch.testing.assert_close(late.voices, expected.voices)
        torch.testing.assert_close(late.tokens, expected.tokens)
        torch.testing.assert_close(late.context, expected.context)
        torch.testing.assert_close(listener.voices_of(listener.voice_part(early)), expected.voices)


def test_every_output_has_its_stated_shape() -> None:
    network, capacity = small_network(), SMALL.class_capacity
    with torch.inference_mode():
        out = network(pictures(2), sounds(2))
    assert out.sounding.shape == (2, 1, 16, 16)
    assert out.embedding.shape == (2, SMALL.embedding_width, 8, 8)
    assert out.class_logits.shape == out.named_logits.shape == (2, capacity, 8, 8)
    assert out.presence.shape == (2, capacity)
    torch.testing.assert_close(out.embedding.norm(dim=1), torch.ones(2, 8, 8))


@torch.inference_mode()
def test_one_picture_with_several_sounds_says_what_each_pair_says_alone() -> None:
    network = small_network()
    images, waves = pictures(2), sounds(3)
    rows = torch.tensor([1, 0, 1])
    paired = network.fuse(network.encode_visual(images), network.encode_audio(waves), rows)
    for index, row in enumerate(rows.tolist()):
        alone = network(images[row : row + 1], waves[index : index + 1])
        torch.testing.assert_close(paired.sounding[index], alone.sounding[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(paired.named_logits[index], alone.named_logits[0], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(paired.presence[index], alone.presence[0], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_another_sound_changes_what_sounds_but_not_what_is_seen() -> None:
    network = small_network()
    one, other = (network(pictures(1), wave[None]) for wave in sounds(2))
    assert (one.sounding - other.sounding).abs().max() > 1e-4
    assert torch.equal(one.class_logits, other.class_logits)


def test_conditioning_starts_as_the_identity() -> None:
    x = torch.randn(2, 5, 3, 3)
    assert torch.equal(Conditioning(8, 5)(x, torch.randn(2, 8)), x)


def test_learning_reaches_every_weight() -> None:
    network = small_network().train()
    out = network(pictures(2), sounds(2))
    used = len(CLASSES)
    loss = out.sounding.square().mean() + out.named_logits[:, :used].square().mean() + out.presence[:, :used].square().mean()
    loss.backward()
    still = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert still == []


@torch.inference_mode()
def test_a_hidden_row_is_not_seen_and_the_others_stay() -> None:
    network = small_network()
    seen, heard = network.encode_visual(pictures(1)), network.encode_audio(sounds(1))
    used = network.classes.used.clone()
    used[1] = 0
    whole, hidden = network.fuse(seen, heard), network.fuse(seen, heard, used=used)
    assert torch.sigmoid(hidden.presence)[0, 1] == 0
    assert hidden.class_logits[:, 1].max() < -1e3
    torch.testing.assert_close(hidden.class_logits[:, [0, 2]], whole.class_logits[:, [0, 2]])


@torch.inference_mode()
def test_a_network_without_classes_still_says_what_sounds() -> None:
    network = small_network()
    network.name_classes(())
    assert torch.isfinite(network(pictures(1), sounds(1)).sounding).all()


def test_heard_tokens_begin_with_the_null_token() -> None:
    network = small_network()
    heard: Heard = network.encode_audio(sounds(1))
    assert heard.tokens.shape == (1, 1 + sum(network.listener.groups), SMALL.token_width)
    assert heard.voices.shape == (1, SMALL.voices, SMALL.embedding_width)


@torch.inference_mode()
def test_an_adapter_carries_all_that_was_taught_to_a_fresh_copy() -> None:
    taught, fresh = small_network(), small_network()
    stir_lora(taught)
    taught.classes.table.normal_()
    taught.name_classes((*CLASSES, "new"))
    taught.thresholds.copy_(torch.tensor([0.4, 0.2]))
    expected = taught(pictures(1), sounds(1))
    load_adapter(fresh, adapter_tensors(taught), taught.class_names)
    seen = fresh(pictures(1), sounds(1))
    for name in ("sounding", "class_logits", "presence"):
        torch.testing.assert_close(getattr(seen, name), getattr(expected, name), atol=1e-4, rtol=1e-4)
    assert fresh.class_names == taught.class_names
    assert torch.equal(fresh.thresholds, taught.thresholds)


def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    network = small_network()
    before = adapter_tensors(network)
    bad = {name: array + 1 for name, array in before.items()}
    bad["classes.table"] = np.zeros((7, SMALL.embedding_width), np.float32)
    with pytest.raises(AdapterRejected, match=r"classes\.table: \(7, 64\), the network expects \(6, 64\)"):
        load_adapter(network, bad, CLASSES)
    for name, array in adapter_tensors(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_more_classes_than_rows_are_misuse() -> None:
    with pytest.raises(ValueError, match="7 classes: expected up to 6"):
        small_network().name_classes([str(k) for k in range(7)])


def test_a_sound_too_short_for_the_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="2570 samples"):
        build_network(SMALL.model_copy(update={"sound_samples": 2570}))
