"""Bundles: sealed once, refused with one line when anything is not as sealed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cavs.runtime.bundle import ADAPTER_FILE, GRAPH_FILE, MANIFEST_FILE, Bundle, read_bundle, seal_bundle
from cavs.runtime.disk import Disk
from cavs.runtime.errors import BundleRejected
from cavs.runtime.manifest import BundleFields
from tests.tiny_bundle import make_tiny_bundle

Damage = Callable[[Path], object]


def fields_of(bundle: Bundle) -> BundleFields:
    return BundleFields(**{name: getattr(bundle.manifest, name) for name in BundleFields.model_fields})


def test_a_sealed_bundle_reads_back_equal(scratch_bundle: Bundle) -> None:
    assert read_bundle(scratch_bundle.root) == scratch_bundle


def test_equal_content_has_an_equal_id_wherever_it_lies(tmp_path: Path) -> None:
    one, two = make_tiny_bundle(tmp_path / "one"), make_tiny_bundle(tmp_path / "two")
    assert one.id == two.id
    assert make_tiny_bundle(tmp_path / "three", thresholds=(0.4, 0.8)).id != one.id


def edit_manifest(root: Path, **changes: object) -> None:
    path = root / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_away(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "graph missing": (lambda root: (root / GRAPH_FILE).unlink(), GRAPH_FILE, "missing"),
    "graph torn": (lambda root: cut(root / GRAPH_FILE), GRAPH_FILE, "torn"),
    "graph edited": (lambda root: flip_byte(root / GRAPH_FILE), GRAPH_FILE, "sha256"),
    "adapter edited": (lambda root: flip_byte(root / ADAPTER_FILE), ADAPTER_FILE, "sha256"),
    "adapter empty": (lambda root: (root / ADAPTER_FILE).write_bytes(b""), ADAPTER_FILE, "0 bytes"),
    "graph is a link": (lambda root: link_away(root / GRAPH_FILE), GRAPH_FILE, "a link"),
    "graph is a directory": (
        lambda root: become_directory(root / GRAPH_FILE),
        GRAPH_FILE,
        "not a plain file",
    ),
    "a stranger": (lambda root: (root / "weights.bin").write_bytes(b"x"), "weights.bin", "not in the manifest"),
    "manifest missing": (lambda root: (root / MANIFEST_FILE).unlink(), MANIFEST_FILE, "missing"),
    "manifest torn": (lambda root: cut(root / MANIFEST_FILE), MANIFEST_FILE, "not JSON"),
    "manifest empty": (lambda root: (root / MANIFEST_FILE).write_bytes(b""), MANIFEST_FILE, "not JSON"),
    "manifest binary": (lambda root: (root / MANIFEST_FILE).write_bytes(b"\xff\xfe\x00"), MANIFEST_FILE, "not JSON"),
    "manifest a list": (lambda root: (root / MANIFEST_FILE).write_text("[]"), MANIFEST_FILE, "schema None"),
    "another schema": (lambda root: edit_manifest(root, schema=2), MANIFEST_FILE, "schema 2"),
    "schema as text": (lambda root: edit_manifest(root, schema="1"), MANIFEST_FILE, "schema '1'"),
    "unknown key": (lambda root: edit_manifest(root, extra=1), MANIFEST_FILE, "extra"),
    "key missing": (lambda root: edit_manifest(root, frame=None), MANIFEST_FILE, "frame"),
    "name edited": (lambda root: edit_manifest(root, name="other"), MANIFEST_FILE, "edited"),
    "no files": (lambda root: edit_manifest(root, files=[]), MANIFEST_FILE, "does not list"),
    "path escapes": (
        lambda root: edit_manifest(root, files=[{"name": "../x", "sha256": "0" * 64, "size_bytes": 1}]),
        MANIFEST_FILE,
        "files.0.name",
    ),
    "contract broken": (
        lambda root: edit_manifest(root, frame={"height_px": 32, "width_px": 64}),
        MANIFEST_FILE,
        "expected frame uint8 (1, 32, 64, 3)",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_bundle_is_refused_with_one_line_that_names_the_file(scratch_bundle: Bundle, case: str) -> None:
    damage, file, words = DAMAGES[case]
    damage(scratch_bundle.root)
    with pytest.raises(BundleRejected) as caught:
        read_bundle(scratch_bundle.root)
    text = str(caught.value)
    assert str(scratch_bundle.root / file) in text
    assert words in text
    assert "\n" not in text


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    for name, words in (("file", "a file"), ("nothing", "not there")):
        with pytest.raises(BundleRejected, match=words):
            read_bundle(tmp_path / name)


def test_an_existing_directory_is_never_overwritten(scratch_bundle: Bundle, tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleRejected, match="never overwritten"):
        seal_bundle(tiny_bundle.root, fields_of(tiny_bundle), scratch_bundle.root)
    assert read_bundle(scratch_bundle.root) == scratch_bundle


def test_fields_that_break_the_contract_seal_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    fields = fields_of(tiny_bundle)
    slots = fields.adapter.model_copy(update={"slots": fields.adapter.slots[1:]})
    with pytest.raises(BundleRejected, match=r"adapter\.slots"):
        seal_bundle(tiny_bundle.root, fields.model_copy(update={"adapter": slots}), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_a_graph_seals_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / ADAPTER_FILE).write_bytes(tiny_bundle.adapter_path.read_bytes())
    with pytest.raises(BundleRejected, match=GRAPH_FILE):
        seal_bundle(source, fields_of(tiny_bundle), tmp_path / "out")
    assert [item.name for item in tmp_path.iterdir()] == ["source"]


class FullDisk(Disk):
    """Refuses the manifest, which is written last."""

    def write(self, path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))


def test_a_full_disk_leaves_nothing_behind(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match="No space left"):
        seal_bundle(tiny_bundle.root, fields_of(tiny_bundle), tmp_path / "out", FullDisk())
    assert list(tmp_path.iterdir()) == []
