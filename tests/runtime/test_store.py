"""The model store: versions, current, rollback, quarantine, clearing up, and what the disk may refuse."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdapterRejected, BundleRejected, StoreError
from cavs.runtime.store import ModelStore, default_store_path
from cavs.runtime.store_lock import writing
from tests.tiny_bundle import adapter_with, make_tiny_bundle, red_green_swapped


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def filled(store: ModelStore, tiny_bundle: Bundle) -> ModelStore:
    """Version 1: the bundle's own adapter. Versions 2 and 3: others. 3 is current."""
    bundle_id = store.add_bundle(tiny_bundle.root)
    store.commit(None, bundle_id)
    store.commit(red_green_swapped(tiny_bundle), bundle_id)
    store.commit(adapter_with(tiny_bundle, {"thresholds": (0.3, 0.8)}), bundle_id)
    return store


def current(store: ModelStore) -> int:
    return store.load_current().version


def test_what_was_committed_is_what_is_loaded(store: ModelStore, tiny_bundle: Bundle) -> None:
    adapter = red_green_swapped(tiny_bundle)
    version = store.commit(adapter, store.add_bundle(tiny_bundle.root))
    model = store.load_current()
    assert (version, model.version, model.skipped) == (1, 1, ())
    assert model.bundle.manifest == tiny_bundle.manifest
    assert model.adapter.manifest == adapter.manifest
    assert all(np.array_equal(model.adapter.tensors[name], tensor) for name, tensor in adapter.tensors.items())


def test_a_version_may_point_to_its_bundle_alone(filled: ModelStore, tiny_bundle: Bundle) -> None:
    assert filled.load(1).adapter.id == default_adapter(tiny_bundle).id
    assert [path.name for path in (filled.versions_path / "1").iterdir()] == ["version.json"]


def test_a_version_that_is_not_made_current_waits(filled: ModelStore, tiny_bundle: Bundle) -> None:
    assert filled.commit(None, tiny_bundle.id, make_current=False) == 4
    assert current(filled) == 3
    filled.use(4)
    assert current(filled) == 4


def test_rollback_walks_back_through_what_was_current(filled: ModelStore) -> None:
    filled.use(1)
    assert [filled.rollback(), filled.rollback()] == [3, 2]
    assert current(filled) == 2
    with pytest.raises(StoreError, match="nothing to roll back to, version 2 is current"):
        filled.rollback()


def test_rollback_passes_over_a_damaged_version(filled: ModelStore) -> None:
    (filled.versions_path / "2" / "adapter.safetensors").write_bytes(b"")
    assert filled.rollback() == 1


def test_a_damaged_current_version_falls_back_aloud(filled: ModelStore) -> None:
    (filled.versions_path / "3" / "adapter.safetensors").unlink()
    model = filled.load_current()
    assert model.version == 2
    assert len(model.skipped) == 1
    assert "version 3" in model.skipped[0]


def test_a_store_with_nothing_usable_says_why(filled: ModelStore, tiny_bundle: Bundle) -> None:
    (filled.bundles_path / tiny_bundle.id / "graph.onnx").unlink()
    with pytest.raises(StoreError, match=r"no version that can be used: .*graph\.onnx"):
        filled.load_current()


def test_a_damaged_bundle_is_repaired_by_adding_it_again(filled: ModelStore, tiny_bundle: Bundle) -> None:
    (filled.bundles_path / tiny_bundle.id / "graph.onnx").write_bytes(b"torn")
    assert filled.add_bundle(tiny_bundle.root) == tiny_bundle.id
    assert filled.verify() == ()


def test_adding_a_bundle_twice_keeps_one(filled: ModelStore, tiny_bundle: Bundle) -> None:
    before = (filled.bundles_path / tiny_bundle.id).stat().st_ino
    filled.add_bundle(tiny_bundle.root)
    assert (filled.bundles_path / tiny_bundle.id).stat().st_ino == before


def test_use_refuses_what_cannot_run(filled: ModelStore) -> None:
    with pytest.raises(StoreError, match="has no version 9; it has: 1, 2, 3"):
        filled.use(9)
    (filled.versions_path / "2" / "adapter.json").write_text("{")
    with pytest.raises(StoreError, match=r"adapter\.json"):
        filled.use(2)
    assert current(filled) == 3


def test_a_version_in_quarantine_is_never_used_again(filled: ModelStore) -> None:
    filled.quarantine(2, "forgot the dog", {"dog_iou_drop": 0.2})
    with pytest.raises(StoreError, match="version 2 is in quarantine: forgot the dog"):
        filled.use(2)
    with pytest.raises(StoreError, match="already"):
        filled.quarantine(2, "again")
    assert filled.rollback() == 1
    record = json.loads((filled.quarantine_path / "2" / "reason.json").read_text())
    assert record == {"schema": 1, "version": 2, "reason": "forgot the dog", "scores": {"dog_iou_drop": 0.2}}


def test_the_current_version_cannot_go_into_quarantine(filled: ModelStore) -> None:
    with pytest.raises(StoreError, match="roll back before"):
        filled.quarantine(3, "slow")


def test_a_refused_candidate_leaves_its_reason_and_takes_a_number(filled: ModelStore, tiny_bundle: Bundle) -> None:
    number = filled.refuse("anchors: forgot red", {"drop": 0.4})
    refused = filled.quarantined(number)
    assert number == 4
    assert refused is not None
    assert (refused.reason, refused.scores) == ("anchors: forgot red", {"drop": 0.4})
    assert current(filled) == 3
    assert filled.history()[-1].quarantined == "anchors: forgot red"
    assert filled.commit(None, tiny_bundle.id) == 5  # the number is not given twice


def test_gc_does_not_keep_a_version_in_quarantine_to_roll_back_to(filled: ModelStore) -> None:
    filled.quarantine(2, "class kettle was forgotten")
    assert filled.gc(keep=100).versions == (2,)
    assert filled.rollback() == 1


def test_an_adapter_of_another_bundle_is_not_committed(filled: ModelStore, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", thresholds=(0.4, 0.8))
    with pytest.raises(AdapterRejected, match="belongs to bundle"):
        filled.commit(default_adapter(other), filled.load(1).bundle.id)
    with pytest.raises(StoreError, match="has no bundle"):
        filled.commit(default_adapter(other), other.id)
    assert filled.versions() == (1, 2, 3)


def test_a_broken_bundle_is_not_added(store: ModelStore, scratch_bundle: Bundle) -> None:
    scratch_bundle.graph_path.write_bytes(b"torn")
    with pytest.raises(BundleRejected):
        store.add_bundle(scratch_bundle.root)
    assert not store.path.exists()


def test_gc_keeps_the_newest_the_current_and_the_one_before(filled: ModelStore, tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", thresholds=(0.4, 0.8))
    lone = filled.commit(None, filled.add_bundle(other.root), make_current=False)
    for _ in range(3):
        filled.commit(None, tiny_bundle.id, make_current=False)
    filled.use(1)
    swept = filled.gc(keep=1)
    assert swept.versions == (2, lone, 5, 6)
    assert swept.bundles == (other.id,)
    assert filled.versions() == (1, 3, 7)
    assert filled.verify() == ()
    assert filled.rollback() == 3


def test_gc_never_frees_a_number_for_another_version(filled: ModelStore, tiny_bundle: Bundle) -> None:
    worst = filled.commit(None, tiny_bundle.id, make_current=False)
    filled.quarantine(worst, "deaf")
    assert filled.gc(keep=1).versions == (1, worst)
    assert filled.commit(None, tiny_bundle.id) == worst + 1
    assert [line.quarantined for line in filled.history() if line.version == worst] == ["deaf"]
    with pytest.raises(ValueError, match="keep"):
        filled.gc(keep=0)


def test_history_tells_every_version(filled: ModelStore, tiny_bundle: Bundle) -> None:
    (filled.versions_path / "2" / "version.json").write_text("{}")
    lines = filled.history()
    assert [(line.version, line.current) for line in lines] == [(1, False), (2, False), (3, True)]
    assert lines[0].bundle_id == tiny_bundle.id
    assert "version.json" in (lines[1].problem or "")
    assert lines[0].written_ns > 0


def test_verify_finds_each_damage_and_nothing_else(filled: ModelStore, tiny_bundle: Bundle) -> None:
    assert filled.verify() == ()
    (filled.versions_path / "2" / "adapter.safetensors").write_bytes(b"")
    (filled.bundles_path / "stray").mkdir()
    filled.pointer_path.write_text("3")
    assert [finding.path.name for finding in filled.verify()] == ["current", "2", "stray"]
    filled.use(3)
    assert [finding.path.name for finding in filled.verify()] == ["2", "stray"]


def test_files_exchanged_between_versions_are_noticed(filled: ModelStore) -> None:
    for name in ("adapter.json", "adapter.safetensors"):
        (filled.versions_path / "3" / name).write_bytes((filled.versions_path / "2" / name).read_bytes())
    with pytest.raises(StoreError, match="exchanged by hand"):
        filled.load(3)


@pytest.mark.parametrize("content", ["", "3", "{}", '{"schema": 2, "version": 3, "trail": []}', '{"schema": 1, "version": 0}'])
def test_a_damaged_pointer_is_one_line_and_use_repairs_it(filled: ModelStore, content: str) -> None:
    filled.pointer_path.write_text(content)
    with pytest.raises(StoreError, match="cavs-models use N") as caught:
        filled.load_current()
    assert "\n" not in str(caught.value)
    filled.use(2)
    assert current(filled) == 2


def test_a_directory_without_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for ask in (store.versions, store.history, store.load_current, store.verify, store.rollback, store.gc):
        with pytest.raises(StoreError, match="is not a model store; make one with"):
            ask()
    with pytest.raises(StoreError, match="is not a model store"):
        store.use(1)
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_waits_and_then_names_the_first(filled: ModelStore, tiny_bundle: Bundle) -> None:
    clock = ManualClock()
    second = ModelStore(filled.path, clock=clock, lock_wait_ns=2 * NS_PER_S)
    with (
        writing(filled.path / "lock", ManualClock(), 0),
        pytest.raises(StoreError, match=rf"being written by process {os.getpid()} \(.+\)"),
    ):
        second.use(1)
    assert 2 * NS_PER_S <= clock.now_ns() < 3 * NS_PER_S
    second.use(1)
    assert current(filled) == 1


def test_readers_need_no_lock(filled: ModelStore) -> None:
    with writing(filled.path / "lock", ManualClock(), 0):
        assert current(ModelStore(filled.path)) == 3
        assert len(ModelStore(filled.path).history()) == 3


class RefusingDisk(Disk):
    """Refuses to write a file of one name, as a full or read-only disk would."""

    def __init__(self, name: str, code: int) -> None:
        self._name, self._code = name, code

    def write(self, path: Path, content: bytes) -> None:
        if path.name == self._name:
            path.write_bytes(content[:10])
            raise OSError(self._code, os.strerror(self._code), str(path))
        super().write(path, content)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "cavs-models gc"), (errno.EACCES, "--store"), (errno.EROFS, "--store")]
)
@pytest.mark.parametrize("name", ["adapter.safetensors", "version.json", "current"])
def test_what_the_disk_refuses_is_one_line_and_changes_nothing(
    filled: ModelStore, tiny_bundle: Bundle, name: str, code: int, words: str
) -> None:
    broken = ModelStore(filled.path, disk=RefusingDisk(name, code))
    with pytest.raises(StoreError, match=words) as caught:
        broken.commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    assert "\n" not in str(caught.value)
    assert current(filled) == 3
    assert not broken.staging_path.exists()
    assert filled.verify() == ()


def test_a_store_below_a_file_is_one_line(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        ModelStore(tmp_path / "file" / "models").add_bundle(tiny_bundle.root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_one_line(filled: ModelStore) -> None:
    filled.path.chmod(0o555)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            filled.use(1)
    finally:
        filled.path.chmod(0o755)
    assert current(filled) == 3


def test_the_default_place_follows_the_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_store_path() == tmp_path / "cavs" / "models"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_store_path() == tmp_path / ".local" / "share" / "cavs" / "models"
