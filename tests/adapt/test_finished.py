"""The network that a run hands over."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cavs.adapt.finished import finished_network, form_of, publish
from cavs.adapt.model.checkpoint import load_checkpoint, save_checkpoint
from cavs.adapt.model.lora import adapted_layers
from cavs.adapt.run_folder import RunFolder, Saved
from cavs.adapt.train import start_network
from cavs.adapt.train_config import TrainConfig
from cavs.runtime.errors import ConfigError, TrainingStopped
from tests.small_network import stir_lora

Make = Callable[..., TrainConfig]


def test_it_answers_like_the_mean_network_with_the_distractors_hidden(small_config: Make) -> None:
    config = small_config(distractors=["car", "boat"])
    trained = start_network(config).eval()
    finished = finished_network(config, trained.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    sounds = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1))
    hidden = torch.tensor([1.0] * 5 + [0.0] * 2)
    with torch.inference_mode():
        before = trained.fuse(trained.encode_visual(images), trained.encode_audio(sounds), used=hidden)
        after = finished(images, sounds)
    torch.testing.assert_close(after.sounding, before.sounding, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.named_logits[:, :5], before.named_logits[:, :5], rtol=1e-4, atol=1e-4)


def test_it_has_room_for_classes_to_come_and_pairs_to_learn_with(small_config: Make) -> None:
    config = small_config()
    finished = finished_network(config, start_network(config).state_dict())
    assert finished.class_names == config.classes
    assert finished.classes.used.tolist() == [1] * 5 + [0] * 3
    assert adapted_layers(finished)


def test_the_checkpoint_names_no_folder_of_this_machine(small_config: Make, tmp_path: Path) -> None:
    config = small_config(ingredients=["/somewhere/private/photos", "procedural"], visual_weights="/somewhere/eyes.safetensors")
    weights = start_network(small_config()).state_dict()
    folder = RunFolder(tmp_path / "run")
    folder.keep(Saved(weights, weights, {}, {"step": 2, "notes": {"best_score": 0.5}}))
    publish(config, folder, tmp_path / "network.safetensors")
    notes = load_checkpoint(tmp_path / "network.safetensors").notes
    assert "somewhere" not in str(notes)
    assert notes["best_score"] == 0.5


def test_the_best_step_is_handed_over_rather_than_the_newest(small_config: Make, tmp_path: Path) -> None:
    weights = start_network(small_config()).state_dict()
    folder = RunFolder(tmp_path / "run")
    folder.keep_best(Saved(weights, weights, {}, {"step": 2, "notes": {}}))
    folder.keep(Saved(weights, weights, {}, {"step": 4, "notes": {}}))
    publish(small_config(), folder, tmp_path / "network.safetensors")
    assert load_checkpoint(tmp_path / "network.safetensors").notes["step"] == 2


def test_a_run_that_kept_nothing_has_nothing_to_hand_over(small_config: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match="no state was kept yet"):
        publish(small_config(), RunFolder(tmp_path), tmp_path / "network.safetensors")
    assert not (tmp_path / "network.safetensors").exists()


def test_a_form_that_cannot_be_is_refused(small_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"network\.frame_width_px: .*multiple of 32; known: visual"):
        form_of(small_config(network={"frame_width_px": 100}))


def test_a_run_that_starts_from_a_checkpoint_takes_over_what_it_knows(small_config: Make, tmp_path: Path) -> None:
    config = small_config()
    known = finished_network(config, start_network(config).state_dict())
    stir_lora(known)
    save_checkpoint(known, tmp_path / "known.safetensors")
    classes = ("walrus", *reversed(config.classes))
    started = start_network(small_config(start=str(tmp_path / "known.safetensors"), classes=classes)).eval()
    assert started.class_names == classes
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    sound = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before, after = known(image, sound), started(image, sound)
    torch.testing.assert_close(after.embedding, before.embedding, rtol=1e-4, atol=1e-5)
    for row, name in enumerate(config.classes):
        torch.testing.assert_close(after.presence[:, classes.index(name)], before.presence[:, row], rtol=1e-4, atol=1e-4)
