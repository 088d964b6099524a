"""The audio encoders: the published numbers of mn04, and tokens in their order."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from cavs.adapt.model.audio import Mn04, Vggish
from cavs.runtime.errors import ConfigError
from tests.adapt.test_mel import published_mel

WEIGHTS = os.environ.get("CAVS_WEIGHTS")
needs_weights = pytest.mark.skipif(not WEIGHTS, reason="needs pretrained weights: set CAVS_WEIGHTS to their folder")
FILE = Path(WEIGHTS or "", "efficientat_mn04.safetensors")


def sine() -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 32_000))


def noise() -> npt.NDArray[np.float64]:
    state, samples = 1, []
    for _ in range(32_000):
        state = (1664525 * state + 1013904223) % 2**32
        samples.append(0.1 * (state / 2**31 - 1))
    return np.array(samples)


SOUNDS = {  # embedding 0..3, logits 0..4, the top tag and its logit
    "sine": (sine, (-0.24580, 0.02105, -0.06834, 0.10403), (-3.88864, -8.18833, -7.60918, -8.88833, -8.93755), 501, 1.3509),
    "noise": (noise, (-0.27333, -0.08121, -0.08389, -0.06225), (-4.06451, -7.59323, -7.24308, -8.59034, -9.33183), 515, 0.0902),
    "silence": (
        lambda: np.zeros(32_000),
        (-0.24247, -0.13691, -0.19868, -0.23145),
        (-4.47468, -5.82644, -6.79858, -7.70998, -7.84632),
        504,
        -2.3770,
    ),
}


@needs_weights
@pytest.mark.parametrize("name", SOUNDS)
@torch.inference_mode()
def test_mn04_gives_the_published_embedding_and_tags(name: str) -> None:
    make, embedding, logits, tag, loudest = SOUNDS[name]
    tensors = load_file(FILE)
    mel = torch.from_numpy(published_mel(make()).astype(np.float32))
    pooled = Mn04(16_000, FILE).maps(mel[None, None])[1].mean((2, 3))
    hidden = F.hardswish(F.linear(pooled, tensors["classifier.hidden.weight"], tensors["classifier.hidden.bias"]))
    seen = F.linear(hidden, tensors["classifier.out.weight"], tensors["classifier.out.bias"])[0]
    np.testing.assert_allclose(pooled[0, :4], embedding, atol=1e-3)
    np.testing.assert_allclose(seen[:5], logits, atol=1e-3)
    assert int(seen.argmax()) == tag
    assert float(seen.max()) == pytest.approx(loudest, abs=1e-3)


@torch.inference_mode()
def test_mn04_gives_a_token_each_160_ms_and_one_each_320_ms() -> None:
    encoder = Mn04(32_000)
    assert encoder.groups == (13, 7)
    assert encoder(torch.zeros(2, 32_000)).shape == (2, 20, encoder.width)


@torch.inference_mode()
def test_what_changes_at_the_end_of_the_sound_changes_the_last_tokens_most() -> None:
    torch.manual_seed(0)
    encoder = Mn04(32_000)
    quiet, late = torch.zeros(1, 32_000), torch.zeros(1, 32_000)
    late[:, -3200:] = 0.3 * torch.sin(torch.arange(3200) * 0.7)
    change = (encoder(late) - encoder(quiet)).norm(dim=2)[0, :13]
    assert int(change.argmax()) >= 11
    assert float(change[-1]) > 5 * float(change[0])


@pytest.mark.parametrize("samples", [2_400, 32_001])
def test_mn04_refuses_a_sound_of_a_length_that_it_cannot_frame(samples: int) -> None:
    with pytest.raises(ConfigError, match=f"{samples} samples"):
        Mn04(samples)


def test_vggish_refuses_a_sound_shorter_than_one_patch() -> None:
    with pytest.raises(ConfigError, match="at least 15600"):
        Vggish(15_599)


@pytest.mark.slow
@torch.inference_mode()
def test_vggish_gives_a_token_per_patch_and_reads_its_own_weights_back(tmp_path: Path) -> None:
    encoder = Vggish(32_000)
    wave = 0.1 * torch.randn(1, 32_000)
    save_file(encoder.state_dict(), tmp_path / "vggish.safetensors")
    tokens = encoder(wave)
    assert tokens.shape == (1, 2, 128)
    assert torch.equal(Vggish(32_000, tmp_path / "vggish.safetensors")(wave), tokens)
