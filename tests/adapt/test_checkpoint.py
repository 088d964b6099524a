"""Checkpoints: what is saved is what loads, and what does not fit is refused with one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cavs.adapt.model.checkpoint import fill_network, load_checkpoint, save_checkpoint
from cavs.adapt.model.lora import adapted_layers, detach_lora
from cavs.runtime.errors import AdaptError
from tests.small_network import CLASSES, SMALL, pictures, small_network, sounds, stir_lora


@pytest.mark.parametrize("with_pairs", [True, False])
def test_what_is_saved_is_what_loads(tmp_path: Path, with_pairs: bool) -> None:
    network = small_network()
    stir_lora(network)
    if not with_pairs:
        detach_lora(network)
    save_checkpoint(network, tmp_path / "net.safetensors", {"seed": 3})
    loaded = load_checkpoint(tmp_path / "net.safetensors")
    assert loaded.notes == {"seed": 3}
    assert loaded.network.config == SMALL
    assert loaded.network.class_names == CLASSES
    assert bool(adapted_layers(loaded.network)) is with_pairs
    with torch.inference_mode():
        expected = network(pictures(1), sounds(1)).sounding
        assert torch.equal(loaded.network.eval()(pictures(1), sounds(1)).sounding, expected)


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = small_network(SMALL.model_copy(update={"stride8": 32}))
    with pytest.raises(AdaptError, match=r"here: tensor .* has shape .*the checkpoint is of another shape"):
        fill_network(small_network(), other.state_dict(), "here")


def test_a_checkpoint_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_checkpoint(small_network(), file)
    tensors = load_file(file)
    del tensors["neck.embed.bias"]
    with pytest.raises(AdaptError, match=r"neck\.embed\.bias: the file lacks it"):
        fill_network(small_network(), tensors, str(file))


def test_a_file_that_is_not_there_or_not_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="no such file"):
        load_checkpoint(tmp_path / "gone")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(AdaptError, match="text: not a checkpoint, or torn"):
        load_checkpoint(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "plain")
    with pytest.raises(AdaptError, match=r"plain: format None, expected 'cavs network 1'"):
        load_checkpoint(tmp_path / "plain")


def test_a_torn_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_checkpoint(small_network(), file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(AdaptError, match="not a checkpoint, or torn"):
        load_checkpoint(file)


def test_a_header_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    header = '{"config": {"depth": 3}, "class_names": [], "notes": {}}'
    save_file({"x": torch.zeros(1)}, file, metadata={"format": "cavs network 1", "network": header})
    with pytest.raises(AdaptError, match=r"config\.depth: Extra inputs are not permitted"):
        load_checkpoint(file)


def test_a_disk_that_refuses_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="was not written"):
        save_checkpoint(small_network(), tmp_path / "no" / "such" / "net.safetensors")
    (tmp_path / "net.safetensors").mkdir()
    with pytest.raises(AdaptError, match="was not written"):
        save_checkpoint(small_network(), tmp_path / "net.safetensors")
    assert [item.name for item in tmp_path.iterdir()] == ["net.safetensors"]
