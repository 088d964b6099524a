"""What lies beside a shipped network for its lessons to rehearse."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.rehearsal import Rehearsal, rehearsal_of, save_rehearsal
from cavs.adapt.learn.training import LessonTraining
from cavs.runtime.errors import AdaptError
from tests.adapt.learn.lessons import NAME, exemplars, knowing
from tests.small_network import SMALL, small_network, stir_lora

NAMES = ("dog", "rooster")


def rehearsal() -> Rehearsal:
    """Pixels of both, five each; five sounds each of a dog, of a rooster, of both."""
    generator = torch.Generator().manual_seed(0)
    pixels, voices = (torch.randn(*shape, generator=generator) for shape in ((10, SMALL.stride8), (15, 4, SMALL.token_width)))
    shows, hears = torch.tensor([0, 1]).repeat(5), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).repeat(5, 1)
    return Rehearsal(NAMES, pixels, shows, voices, hears)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rehearsal"
    save_rehearsal(small_network(), rehearsal(), path)
    return path


def test_what_is_kept_are_means_and_deviations_of_what_was_taken(file: Path) -> None:
    kept, given = rehearsal_of(small_network(), file), rehearsal()
    assert kept is not None
    assert kept.names == NAMES
    arrays = load_file(file)
    for row in range(len(NAMES)):
        alike = given.pixels[given.shows == row]
        np.testing.assert_allclose(arrays["pixels.mean"][row], alike.mean(0), atol=2e-3)
        np.testing.assert_allclose(arrays["pixels.deviation"][row], alike.std(0), atol=2e-3)
    assert kept.shows.bincount().tolist() == given.shows.bincount().tolist()
    assert kept.hears.sum(0).tolist() == given.hears.sum(0).tolist()
    assert torch.cdist(kept.pixels, given.pixels).min() > 0.1, "no vector comes back as it was"


def test_no_statistic_is_of_fewer_vectors_than_would_hide_one(tmp_path: Path) -> None:
    given = rehearsal()
    few = Rehearsal(NAMES, given.pixels, given.shows, given.voices[:6], given.hears[:6])
    with pytest.raises(ValueError, match="voices: no 4 of 6 vectors are alike"):
        save_rehearsal(small_network(), few, tmp_path / "few")


def test_another_network_does_not_rehearse_it(file: Path) -> None:
    assert rehearsal_of(small_network(seed=1), file) is None
    assert rehearsal_of(small_network(SMALL.model_copy(update={"frame_width_px": 96})), file) is None
    assert rehearsal_of(small_network(), file.with_name("none")) is None


def test_after_many_lessons_there_is_as_much_to_rehearse(file: Path) -> None:
    taught = small_network()
    stir_lora(taught, spread=1.0)
    kept = rehearsal_of(taught, file)
    assert kept is not None
    torch.testing.assert_close(kept.pixels, _not_none(rehearsal_of(small_network(), file)).pixels)


def _not_none(kept: Rehearsal | None) -> Rehearsal:
    assert kept is not None
    return kept


def test_a_class_that_was_forgotten_is_not_rehearsed(file: Path) -> None:
    kept = rehearsal_of(small_network(), file)
    assert kept is not None
    left = kept.of(["rooster", "kettle"])
    assert left is not None
    assert left.names == ("rooster",)
    assert left.shows.tolist() == [0] * 5
    assert left.hears.tolist() == [[1.0]] * 5
    torch.testing.assert_close(left.pixels, kept.pixels[kept.shows == 1])
    assert kept.of(["kettle"]) is None


def test_a_torn_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "torn"
    path.write_bytes(b"no tensors")
    with pytest.raises(AdaptError, match=r"torn: cannot be read .*install the package again"):
        rehearsal_of(small_network(), path)


def test_what_is_new_is_not_heard_in_what_is_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, heard = rehearsal(), []
    monkeypatch.setattr("cavs.adapt.learn.training.rehearsal_of", lambda network: kept)
    for weight in (0.0, 30.0):
        network, _, parent = knowing("kettle", "hand_bell", *NAMES)
        options = LearnOptions(steps=20, pictures=3, pool=12, heard=12, sensed=1, held=0.0, pair_rate=3e-3, rehearsed=weight)
        training = LessonTraining(network, parent, exemplars(), (), options, seed=1)
        while training.done < training.steps:
            training.step()
        learned = training.network
        presence = learned.matching.presence(
            learned.listener.voices_of(kept.voices), learned.classes.unit_rows().detach(), learned.classes.used
        )
        heard.append(float(presence[:, training.rows[NAME]].detach().mean()))
    assert heard[1] < heard[0] - 1
