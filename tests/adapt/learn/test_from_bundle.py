"""The network read out of a bundle is the one that was exported."""

import shutil
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from cavs.adapt.learn.from_bundle import network_from_bundle
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.network import Network
from cavs.export.onnx_bundle import write_bundle
from cavs.runtime.bundle import GRAPH_FILE, Bundle, default_bundle_path, read_bundle, seal_bundle
from cavs.runtime.errors import BundleRejected
from cavs.runtime.manifest import BundleFields
from tests.export.test_parity import windows
from tests.small_network import SMALL, pictures, small_network, sounds, stir_lora
from tests.tiny_bundle import make_tiny_bundle


def trained(config: NetworkConfig = SMALL) -> Network:
    """A small network in which no weight and no norm is as it was made."""
    network = small_network(config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    assert tensor is not None
                    tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
                for tensor in (module.bias, module.running_mean):
                    assert tensor is not None
                    tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
        network.matching.heard_weight.fill_(0.7)
        network.matching.voice_scale.fill_(2.1)
    stir_lora(network)
    return network


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(trained(), tmp_path_factory.mktemp("made") / "bundle", windows(1))


def test_it_answers_as_the_network_that_was_exported(bundle: Bundle) -> None:
    original, read = trained(), network_from_bundle(bundle)
    assert read.config == original.config
    assert read.class_names == original.class_names
    with torch.inference_mode():
        expected, seen = original(pictures(4), sounds(4)), read(pictures(4), sounds(4))
    for name in ("sounding", "embedding", "class_logits", "named_logits", "presence"):
        torch.testing.assert_close(getattr(seen, name), getattr(expected, name), rtol=1e-3, atol=1e-3)


def test_a_network_nobody_trained_comes_back_too(tmp_path: Path) -> None:
    network = small_network()
    read = network_from_bundle(write_bundle(network, tmp_path / "bundle", windows(1)))
    with torch.inference_mode():
        torch.testing.assert_close(read(pictures(2), sounds(2)).sounding, network(pictures(2), sounds(2)).sounding)


def test_half_precision_comes_back_as_exactly_as_it_was_written(tmp_path: Path) -> None:
    written = write_bundle(trained(), tmp_path / "bundle", windows(1), precision="fp16", labels_equal_at_least=0.9)
    assert network_from_bundle(written).config == SMALL


def test_another_form_is_read_off_the_weights(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"token_width": 64, "token_layers": 1, "attention_heads": 2, "voices": 3, "stride8": 48})
    assert network_from_bundle(write_bundle(trained(config), tmp_path / "bundle", windows(1))).config == config


def test_pairs_in_the_ear_come_back(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"ear_pairs": "listener"})
    original = trained(config)
    read = network_from_bundle(write_bundle(original, tmp_path / "bundle", windows(1)))
    assert read.config == config
    with torch.inference_mode():
        torch.testing.assert_close(read(pictures(2), sounds(2)).presence, original(pictures(2), sounds(2)).presence)


def test_it_goes_out_again_as_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    again = write_bundle(network_from_bundle(bundle), tmp_path / "again", windows(1))
    assert network_from_bundle(again).class_names == trained().class_names


def test_the_shipped_bundle() -> None:
    network = network_from_bundle(read_bundle(default_bundle_path()))
    assert network.class_names[0] == "person"
    assert not network.training


def test_a_graph_of_another_kind_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match=r"no weights of a MobileNetV2 and a sound encoder by name"):
        network_from_bundle(make_tiny_bundle(tmp_path / "tiny"))


def test_answers_that_differ_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    graph = onnx.load(bundle.graph_path)
    for tensor in graph.graph.initializer:  # the graph now hears another spectrum than the network would
        if (
            tensor.name.startswith("/network/audio/mel/Constant_")
            and tensor.dims
            and tensor.data_type == onnx.TensorProto.FLOAT
        ):
            tensor.CopyFrom(numpy_helper.from_array(5 * numpy_helper.to_array(tensor), tensor.name))
    files = tmp_path / "files"
    files.mkdir()
    onnx.save(graph, files / GRAPH_FILE)
    shutil.copy(bundle.adapter_path, files)
    fields = BundleFields(**{name: getattr(bundle.manifest, name) for name in BundleFields.model_fields})
    with pytest.raises(BundleRejected, match=r"apart, expected 0\.0001; it cannot learn"):
        network_from_bundle(seal_bundle(files, fields, tmp_path / "bundle"))
