"""Manifests: what is printed loads back equal, what is unknown is refused."""

import pytest
from pydantic import ValidationError

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.manifest import AdapterManifest, BundleManifest, FileEntry, PlanEntry, digest_of, to_json, what_is_wrong


def test_a_bundle_manifest_reads_back_equal(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    assert BundleManifest.model_validate_json(to_json(manifest)) == manifest
    assert BundleManifest.model_validate_json(to_json(manifest)).content_id() == manifest.id


def test_an_adapter_manifest_reads_back_equal(tiny_bundle: Bundle) -> None:
    manifest = default_adapter(tiny_bundle).manifest
    assert AdapterManifest.model_validate_json(to_json(manifest)) == manifest


def test_an_unknown_key_is_refused_by_name(tiny_bundle: Bundle) -> None:
    text = to_json(tiny_bundle.manifest).replace(b'"name": "tiny"', b'"name": "tiny", "colour_space": "bt709"')
    with pytest.raises(ValidationError) as caught:
        BundleManifest.model_validate_json(text)
    assert "colour_space" in what_is_wrong(caught.value)


@pytest.mark.parametrize("name", ["../graph.onnx", "/etc/passwd", "a/b", "..", ".hidden", "", "a\x00b", "a\n"])
def test_a_file_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        FileEntry(name=name, sha256="0" * 64, size_bytes=1)


def test_numbers_are_not_made_of_text(tiny_bundle: Bundle) -> None:
    text = to_json(tiny_bundle.manifest).replace(b'"rate_hz": 16000', b'"rate_hz": "16000"')
    with pytest.raises(ValidationError):
        BundleManifest.model_validate_json(text)


def test_a_plan_for_a_gpu_does_not_change_the_id(tiny_bundle: Bundle) -> None:
    plan = PlanEntry(
        file=FileEntry(name="graph.plan", sha256="1" * 64, size_bytes=1),
        target="rtx",
        precision="fp16",
        tensorrt_version="1.7.1",
        cuda_version="13.0",
        driver_version=None,
        sm=("89",),
        keyed_digest="2" * 64,
    )
    planned = tiny_bundle.manifest.model_copy(update={"plans": (plan,)})
    assert planned.content_id() == tiny_bundle.id
    assert BundleManifest.model_validate_json(to_json(planned)) == planned


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
