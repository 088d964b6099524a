"""Raw inputs: pictures and waves instead of cached features, for EIR and for LoRA pairs in the visual encoder."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.cli import main
from cavs.adapt.methods.method import Inputs
from tests.small_network import pictures, small_network, sounds


def test_pairs_in_the_encoder_learn_from_raw_inputs_and_begin_without_effect() -> None:
    plain, adapted = NetworkSegmenter(small_network()), NetworkSegmenter(small_network(), encoder_lora=True)
    for segmenter in (plain, adapted):
        torch.manual_seed(0)
        segmenter.classifier.grow(1)
        segmenter.eval()
    raw = Inputs((pictures(1),), (sounds(1),))
    torch.testing.assert_close(adapted(raw).logits, plain(raw).logits)
    adapted(raw).logits.sum().backward()
    learned = [name for name, p in adapted.visual.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert learned
    assert all(name.endswith(("lora_down", "lora_up")) for name in learned)
    assert all(p.grad is None for p in adapted.audio.parameters())


def test_encoders_that_learn_need_raw_inputs() -> None:
    with pytest.raises(ValidationError, match="encoder_lora needs raw"):
        RunPlan(protocol="cis-2-2-overlapped", method="lra", encoder_lora=True)


def test_eir_runs_on_raw_inputs_and_says_what_it_needs_otherwise(
    avss: Path, start_from: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--data", str(avss), "--network", str(start_from), "--out", str(tmp_path), "--epochs", "1", "1"]
    asked = ["bench", "--protocol", "cis-2-2", "--method", "eir", "--set", "per_class=1", "chance=1.0", *paths]
    assert main(asked) == 1
    assert "--raw" in capsys.readouterr().err
    assert main([*asked, "--raw", "--out", str(tmp_path / "raw")]) == 0
    assert not (tmp_path / "raw" / "features").exists()
