"""Writing a bundle: whole or not at all."""

from pathlib import Path

import pytest

from cavs.adapt.model.lora import detach_lora
from cavs.export.onnx_bundle import write_bundle
from cavs.runtime.errors import ExportError
from tests.export.test_parity import windows
from tests.small_network import small_network

MORE_THAN_ALL = 1.01


def test_a_bundle_whose_numbers_differ_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"of 1 windows, expected 101\.0%; no bundle was written"):
        write_bundle(small_network(), tmp_path / "bundle", windows(1), labels_equal_at_least=MORE_THAN_ALL)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_could_not_learn_is_refused(tmp_path: Path) -> None:
    network = small_network()
    detach_lora(network)
    with pytest.raises(ExportError, match="no LoRA pairs"):
        write_bundle(network, tmp_path / "bundle", windows(1))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match=r"file is no directory; no bundle was written"):
        write_bundle(small_network(), tmp_path / "file" / "bundle", windows(1))
