"""Parity: equal networks agree on every pixel, and a graph that is not the network's is found out."""

from pathlib import Path

import pytest
import torch

from cavs.adapt.model.network import Network
from cavs.export.parity import check_parity, measure_parity
from cavs.export.windows import Window
from cavs.runtime.errors import ExportError
from tests.small_network import pictures, small_network, sounds


def windows(count: int = 2) -> list[Window]:
    frames, waves = pictures(count).permute(0, 2, 3, 1).contiguous().numpy(), sounds(count).numpy()
    return [Window(frame, wave) for frame, wave in zip(frames, waves, strict=True)]


def outspoken(seed: int = 0) -> Network:
    """Marks about half of the pixels, so that there is something to disagree about."""
    network = small_network(seed=seed)
    with torch.inference_mode():
        logits = network(pictures(2), sounds(2)).sounding
    network.thresholds.copy_(torch.tensor([float(torch.sigmoid(logits.median())), -1.0]))
    return network


def test_the_networks_own_graph_agrees_under_both_adapters(graph: Path) -> None:
    parity = measure_parity(outspoken(), graph, windows())
    assert parity.windows == 2
    assert parity.labels_equal > 0.999
    assert parity.labels_stirred > 0
    assert 0.2 < parity.labels_sounding < 0.8
    assert parity.confidence_apart <= 1
    check_parity(parity, 0.999)


def test_the_graph_of_another_network_is_refused(graph: Path) -> None:
    parity = measure_parity(outspoken(seed=7), graph, windows())
    with pytest.raises(ExportError, match=r"of the pixels of 2 windows, expected 99\.9%; no bundle was written"):
        check_parity(parity, 0.999)


def test_without_windows_there_is_no_parity(graph: Path) -> None:
    with pytest.raises(ExportError, match="no windows"):
        measure_parity(small_network(), graph, [])
