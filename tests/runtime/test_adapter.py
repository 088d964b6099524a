"""Adapters: read back equal, refused when they do not fit or are not what they say."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cavs.runtime.adapter import (
    ADAPTER_MANIFEST_FILE,
    Adapter,
    check_adapter,
    default_adapter,
    make_adapter,
    read_adapter,
    write_adapter,
)
from cavs.runtime.bundle import ADAPTER_FILE, Bundle
from cavs.runtime.errors import AdapterRejected
from tests.tiny_bundle import DOWN, UP, adapter_with, make_tiny_bundle, red_green_swapped


@pytest.fixture
def written(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    write_adapter(red_green_swapped(tiny_bundle), tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_reads_back_equal(tiny_bundle: Bundle, written: Path) -> None:
    adapter = red_green_swapped(tiny_bundle)
    again = read_adapter(written)
    assert again.manifest == adapter.manifest
    assert again.tensors.keys() == adapter.tensors.keys()
    assert all(np.array_equal(again.tensors[name], tensor) for name, tensor in adapter.tensors.items())
    check_adapter(again, tiny_bundle)


def test_its_tensors_stand_in_the_order_of_their_names(tiny_bundle: Bundle, written: Path) -> None:
    """Or a seed would draw other changes of them in every process."""
    for adapter in (default_adapter(tiny_bundle), read_adapter(written)):
        assert list(adapter.tensors) == sorted(adapter.tensors)


def test_its_tensors_cannot_be_written_to(tiny_bundle: Bundle, written: Path) -> None:
    for adapter in (default_adapter(tiny_bundle), read_adapter(written)):
        with pytest.raises(ValueError, match="read-only"):
            adapter.tensors[DOWN][0, 0] = 1


def test_it_does_not_follow_the_array_it_was_made_from(tiny_bundle: Bundle) -> None:
    first = default_adapter(tiny_bundle)
    tensors = {name: tensor.copy() for name, tensor in first.tensors.items()}
    adapter = make_adapter(tensors, bundle=tiny_bundle, classes=first.classes, method="test")
    tensors[UP][:] = 9
    assert not adapter.tensors[UP].any()


def test_the_id_follows_what_the_engine_computes_with(tiny_bundle: Bundle, tmp_path: Path) -> None:
    first = default_adapter(tiny_bundle)
    assert adapter_with(tiny_bundle, {}).id == first.id
    assert adapter_with(tiny_bundle, {UP: 0.5}).id != first.id
    other = make_tiny_bundle(tmp_path / "other", height=32)
    assert default_adapter(other).id != first.id


def renamed(bundle: Bundle, **changes: Any) -> None:
    first = default_adapter(bundle)
    arguments: dict[str, Any] = {"classes": first.classes, "method": "test", **changes}
    make_adapter(arguments.pop("tensors", first.tensors), bundle=bundle, **arguments)


def test_classes_and_used_rows_must_be_the_same_rows(tiny_bundle: Bundle) -> None:
    with pytest.raises(AdapterRejected, match=r"uses rows \[0, 1, 2\].*names rows \[0, 1\]"):
        renamed(tiny_bundle, classes=((0, "red"), (1, "green")))
    with pytest.raises(AdapterRejected, match="twice"):
        renamed(tiny_bundle, classes=((0, "red"), (1, "red"), (2, "blue")))
    with pytest.raises(AdapterRejected, match="classes"):
        renamed(tiny_bundle, classes=((0, ""), (1, "green"), (2, "blue")))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (UP, np.full((3, 2), np.nan), "not finite"),
        (UP, np.full((3, 2), np.inf), "not finite"),
        (UP, np.zeros((3, 5)), "the bundle takes"),
        ("classes.used", np.array([1, 1, 1, 0.5]), "other than 0 and 1"),
        ("classes.table", np.ones((4, 3)), "unused rows"),
        ("classes.table", np.zeros((4, 3)), "lengths"),
        ("lora.stranger.A", np.zeros((2, 3)), "stranger"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tiny_bundle: Bundle, name: str, value: Any, words: str) -> None:
    with pytest.raises(AdapterRejected, match=words):
        renamed(tiny_bundle, tensors={**default_adapter(tiny_bundle).tensors, name: value})


def test_a_missing_tensor_is_named(tiny_bundle: Bundle) -> None:
    tensors = dict(default_adapter(tiny_bundle).tensors)
    del tensors[DOWN]
    with pytest.raises(AdapterRejected, match=f"lacks {DOWN}"):
        renamed(tiny_bundle, tensors=tensors)


def test_an_adapter_of_another_bundle_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", thresholds=(0.4, 0.8))
    with pytest.raises(AdapterRejected, match="belongs to bundle"):
        check_adapter(default_adapter(other), tiny_bundle)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("an adapter file was unpickled",))


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64, pickle.dumps(Bomb()), b'{"a": 1}'])
def test_a_file_that_is_no_safetensors_is_refused(written: Path, content: bytes) -> None:
    (written / ADAPTER_FILE).write_bytes(content)
    with pytest.raises(AdapterRejected, match="not a safetensors file"):
        read_adapter(written)


def test_a_torn_file_is_refused(written: Path) -> None:
    path = written / ADAPTER_FILE
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(AdapterRejected, match="not a safetensors file"):
        read_adapter(written)


def test_tensors_of_another_adapter_are_refused(written: Path, tiny_bundle: Bundle) -> None:
    save_file(dict(default_adapter(tiny_bundle).tensors), str(written / ADAPTER_FILE))
    with pytest.raises(AdapterRejected, match="mixed up"):
        read_adapter(written)


def test_half_precision_tensors_are_refused_by_name(written: Path) -> None:
    save_file({DOWN: np.zeros((2, 3), np.float16)}, str(written / ADAPTER_FILE))
    with pytest.raises(AdapterRejected, match=f"{DOWN} is float16"):
        read_adapter(written)


def test_edited_class_names_are_refused(written: Path) -> None:
    path = written / ADAPTER_MANIFEST_FILE
    record = json.loads(path.read_text())
    record["classes"][0][1] = "crimson"
    path.write_text(json.dumps(record))
    with pytest.raises(AdapterRejected, match="edited"):
        read_adapter(written)


def test_a_missing_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AdapterRejected, match=ADAPTER_MANIFEST_FILE):
        read_adapter(tmp_path)


def test_an_existing_adapter_is_never_overwritten(written: Path, tiny_bundle: Bundle) -> None:
    before: Adapter = read_adapter(written)
    with pytest.raises(AdapterRejected, match="never overwritten"):
        write_adapter(default_adapter(tiny_bundle), written)
    assert read_adapter(written).id == before.id
