"""The graph contract: what a manifest may not say."""

from collections.abc import Callable

import pytest

from cavs.runtime import contract
from cavs.runtime.bundle import Bundle
from cavs.runtime.manifest import BundleManifest, ClassRow, SoundSpec, TensorSpec


def test_the_tiny_bundle_keeps_the_contract(tiny_bundle: Bundle) -> None:
    assert contract.breach(tiny_bundle.manifest) is None


def test_slots_are_pairs_in_layer_order_then_the_class_table() -> None:
    slots = contract.adapter_slots({"stem": (3, 16), "head": (16, 8)}, rank=4, class_capacity=5, embedding=6).slots
    assert [(slot.name, slot.shape) for slot in slots] == [
        ("lora.stem.A", (4, 3)),
        ("lora.stem.B", (16, 4)),
        ("lora.head.A", (4, 16)),
        ("lora.head.B", (8, 4)),
        ("classes.table", (5, 6)),
        ("classes.used", (5,)),
        ("thresholds", (2,)),
    ]


def _with_slots(manifest: BundleManifest, change: Callable[[list[TensorSpec]], None]) -> BundleManifest:
    slots = list(manifest.adapter.slots)
    change(slots)
    return manifest.model_copy(update={"adapter": manifest.adapter.model_copy(update={"slots": tuple(slots)})})


def _drop_up(slots: list[TensorSpec]) -> None:
    del slots[1]


def _swap_pair(slots: list[TensorSpec]) -> None:
    slots[0], slots[1] = slots[1], slots[0]


def _other_rank(slots: list[TensorSpec]) -> None:
    slots[0] = TensorSpec(name=slots[0].name, dtype="float32", shape=(7, 3))


def _no_table(slots: list[TensorSpec]) -> None:
    del slots[2]


def _twice(slots: list[TensorSpec]) -> None:
    slots[0:0] = slots[:2]


@pytest.mark.parametrize("change", [_drop_up, _swap_pair, _other_rank, _no_table, _twice])
def test_slots_that_are_not_pairs_of_the_rank_and_a_class_table_are_a_breach(
    tiny_bundle: Bundle, change: Callable[[list[TensorSpec]], None]
) -> None:
    assert "adapter.slots" in (contract.breach(_with_slots(tiny_bundle.manifest, change)) or "")


def test_a_wrong_input_is_shown_beside_the_expected_one(tiny_bundle: Bundle) -> None:
    frame = TensorSpec(name="frame", dtype="float32", shape=(1, 64, 64, 3))
    inputs = (frame, *tiny_bundle.manifest.inputs[1:])
    found = contract.breach(tiny_bundle.manifest.model_copy(update={"inputs": inputs}))
    assert found == "inputs[0] is frame float32 (1, 64, 64, 3), expected frame uint8 (1, 64, 64, 3)"


def test_a_missing_output_is_a_breach(tiny_bundle: Bundle) -> None:
    outputs = tiny_bundle.manifest.outputs[:2]
    found = contract.breach(tiny_bundle.manifest.model_copy(update={"outputs": outputs}))
    assert found == "outputs[2] is nothing, expected presence float32 (1, 4)"


@pytest.mark.parametrize(
    "classes",
    [
        (ClassRow(0, "dog"), ClassRow(0, "cat")),
        (ClassRow(0, "dog"), ClassRow(1, "dog")),
        (ClassRow(4, "dog"),),
    ],
)
def test_classes_must_have_rows_of_their_own_inside_the_table(tiny_bundle: Bundle, classes: tuple[ClassRow, ...]) -> None:
    assert "classes" in (contract.breach(tiny_bundle.manifest.model_copy(update={"classes": classes})) or "")


def test_the_look_ahead_is_shorter_than_the_sound(tiny_bundle: Bundle) -> None:
    sound = SoundSpec(rate_hz=16_000, samples=100, lookahead_samples=100)
    inputs = (
        tiny_bundle.manifest.inputs[0],
        TensorSpec(name="sound", dtype="float32", shape=(1, 100)),
        *tiny_bundle.manifest.adapter.slots,
    )
    found = contract.breach(tiny_bundle.manifest.model_copy(update={"sound": sound, "inputs": inputs}))
    assert "lookahead_samples" in (found or "")
