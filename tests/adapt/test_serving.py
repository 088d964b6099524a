"""What the network answers is what the exported graph will answer."""

import numpy as np
import pytest
import torch

from cavs.adapt.model.network import adapter_tensors
from cavs.adapt.serving import answer
from cavs.export.onnx_graph import ServingForm
from cavs.runtime.engine import heard_labels
from tests.small_network import pictures, small_network, sounds


def test_labels_confidence_and_presence_are_those_of_the_serving_form() -> None:
    network = small_network()
    network.thresholds.copy_(torch.tensor([0.1, 0.1]))  # so that all three kinds of label occur
    frames, waves = pictures(3).permute(0, 2, 3, 1).contiguous(), sounds(3)
    said = answer(network, frames.numpy(), waves.numpy())
    form = ServingForm(network)
    tensors = adapter_tensors(network)
    adapter = [torch.from_numpy(tensors[name]) for name in form.slots]
    with torch.inference_mode():
        labels, confidence, presence = (np.concatenate(parts) for parts in zip(
            *(tuple(out.numpy() for out in form(frames[i : i + 1], waves[i : i + 1], *adapter)) for i in range(3)), strict=True
        ))  # fmt: skip
    assert len(np.unique(labels)) > 1
    assert (said.labels == labels).mean() > 0.999
    assert np.abs(said.confidence.astype(int) - confidence).max() <= 1
    np.testing.assert_allclose(said.presence, presence, atol=1e-4)


def test_one_frame_may_meet_several_sounds() -> None:
    network = small_network()
    frames, waves = pictures(1).permute(0, 2, 3, 1).contiguous().numpy(), sounds(3).numpy()
    together = answer(network, frames, waves)
    apart = [answer(network, frames, waves[i : i + 1]) for i in range(3)]
    for index, one in enumerate(apart):
        assert np.abs(together.confidence[index].astype(int) - one.confidence[0]).max() <= 1


def test_what_is_not_heard_is_marked_as_a_stream_marks_it() -> None:
    network = small_network()
    network.thresholds.copy_(torch.tensor([0.1, 0.1]))
    frames, waves = pictures(3).permute(0, 2, 3, 1).contiguous().numpy(), sounds(3).numpy()
    plain = answer(network, frames, waves)
    network.least_heard = float(np.sort(plain.presence.max(axis=1))[1])  # the first of three falls below it
    said = answer(network, frames, waves)
    shown = [
        heard_labels(labels, heard, network.least_heard) for labels, heard in zip(plain.labels, plain.presence, strict=True)
    ]
    assert np.array_equal(said.labels, shown)
    assert (said.labels != plain.labels).any()
    assert not said.confidence[said.labels != plain.labels].any()


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="call eval"):
        answer(small_network().train(), pictures(1).permute(0, 2, 3, 1).numpy(), sounds(1).numpy())
