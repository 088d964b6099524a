"""The visual encoders: the published numbers of MobileNetV2, its padding, and what a wrong name is told."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from cavs.adapt.model.visual import MobileNetV2, SameConv, TimmEncoder
from cavs.runtime.errors import AdaptError, ConfigError

WEIGHTS = os.environ.get("CAVS_WEIGHTS")
needs_weights = pytest.mark.skipif(not WEIGHTS, reason="needs pretrained weights: set CAVS_WEIGHTS to their folder")
FILE = Path(WEIGHTS or "", "mobilenet_v2_imagenet.safetensors")


def ramps(size: int) -> torch.Tensor:
    x = np.arange(size)
    red, green = np.tile(x % 256, (size, 1)), np.tile((x % 256)[:, None], (1, size))
    return torch.from_numpy(np.stack([red, green, (x[None] + x[:, None]) % 256]).astype(np.uint8))[None]


@needs_weights
@pytest.mark.parametrize(
    ("size", "first", "top"),
    [
        (224, (-0.01678, -0.09377, 1.03546, -1.99275, -0.14626), {683: 6.6652, 558: 5.4186, 438: 5.1547}),
        (320, (-0.06967, -0.18159, 0.80994, -1.57846, -0.04237), {550: 4.9285, 683: 4.7536, 819: 4.1998}),
    ],
)
@torch.inference_mode()
def test_the_classifier_on_top_of_block_17_gives_the_published_logits(
    size: int, first: tuple[float, ...], top: dict[int, float]
) -> None:
    tensors = load_file(FILE)
    last = MobileNetV2(FILE)(ramps(size))[-1]
    pooled = F.relu6(F.conv2d(last, tensors["features.18.weight"], tensors["features.18.bias"])).mean((2, 3))
    logits = F.linear(pooled, tensors["classifier.weight"], tensors["classifier.bias"])[0]
    np.testing.assert_allclose(logits[:5], first, atol=1e-3)
    np.testing.assert_allclose(logits[list(top)], list(top.values()), atol=1e-3)


@needs_weights
@torch.inference_mode()
def test_every_level_of_the_pyramid_has_the_published_statistics() -> None:
    expected = [  # mean, mean of absolute values, channels 0 to 2 at the first pixel
        (-0.06765, 2.59394, (2.56833, -1.16586, 7.16389)),
        (0.35953, 3.47325, (5.06633, 14.60157, -8.7325)),
        (0.18793, 2.05944, (-6.51851, -2.38123, 5.70599)),
        (-0.02981, 1.13639, (1.02601, 2.80897, 0.49555)),
    ]
    for level, (mean, absolute, corner) in zip(MobileNetV2(FILE)(ramps(224)), expected, strict=True):
        assert float(level.mean()) == pytest.approx(mean, abs=1e-4)
        assert float(level.abs().mean()) == pytest.approx(absolute, abs=1e-4)
        np.testing.assert_allclose(level[0, :3, 0, 0], corner, atol=1e-3)


@torch.inference_mode()
def test_the_pyramid_has_strides_4_8_16_and_32_and_takes_bytes_and_floats_alike() -> None:
    torch.manual_seed(0)
    encoder = MobileNetV2()
    levels = encoder(ramps(96))
    assert [tuple(level.shape) for level in levels] == [(1, 24, 24, 24), (1, 32, 12, 12), (1, 96, 6, 6), (1, 320, 3, 3)]
    for one, other in zip(levels, encoder(ramps(96).float()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("size", "before"), [(8, 0), (7, 1)])
@torch.inference_mode()
def test_stride_2_pads_an_even_side_only_after_its_end(size: int, before: int) -> None:
    layer = SameConv(1, 1, stride=2)
    layer.weight.zero_()
    layer.weight[0, 0, 1, 1] = 1  # the middle tap reads input 2 i + 1 - before
    assert layer.bias is not None
    layer.bias.zero_()
    row = torch.arange(float(size)).expand(1, 1, size, size)
    seen = layer(row)[0, 0, 0]
    assert seen.tolist() == [2 * i + 1 - before for i in range(-(-size // 2))]


def test_weights_of_another_network_are_refused_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(1)}, file)
    with pytest.raises(AdaptError, match=r"other\.safetensors: \d+ tensors differ from MobileNetV2"):
        MobileNetV2(file)


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match=r"gone\.safetensors: no such file"):
        MobileNetV2(tmp_path / "gone.safetensors")


def test_weights_that_are_torn_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "torn.safetensors"
    file.write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(AdaptError, match="cannot be read as weights"):
        MobileNetV2(file)


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_its_encoders_are_refused_with_the_way_to_get_it() -> None:
    with pytest.raises(ConfigError, match=r"timm:resnet50.*pip install timm"):
        TimmEncoder("resnet50", pretrained=False)
