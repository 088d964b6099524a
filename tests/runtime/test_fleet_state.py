"""What a robot remembers of its fleet."""

from pathlib import Path

import pytest

from cavs.runtime.clock import ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import FleetError, StoreError
from cavs.runtime.fleet_release import Release
from cavs.runtime.fleet_state import FleetFolder, FleetMemory
from cavs.runtime.manifest import FileEntry

RELEASE = Release(
    number=7,
    made="now",
    bundle_id="b" * 64,
    bundle_files=(FileEntry(name="manifest.json", sha256="a" * 64, size_bytes=3),),
    adapter_id="c" * 64,
)


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    made = FleetFolder(tmp_path / "models", ManualClock(), Disk())
    made.path.mkdir(parents=True)
    return made


def test_what_is_remembered_is_read_back(folder: FleetFolder) -> None:
    assert folder.memory() == FleetMemory(followed=0, version=0, pushed=0)
    folder.remember(FleetMemory(followed=7, version=3, pushed=5))
    assert folder.memory() == FleetMemory(followed=7, version=3, pushed=5)
    assert [path.name for path in folder.path.iterdir()] == ["state.json"]


def test_a_refusal_is_of_one_release_and_keeps_its_reason(folder: FleetFolder) -> None:
    folder.quarantine(RELEASE, "d" * 64, "kitchen", "deaf")
    refused = folder.quarantined(7, "d" * 64)
    assert refused is not None
    assert (refused.reason, refused.signer, refused.bundle_id) == ("deaf", "kitchen", "b" * 64)
    assert folder.quarantined(7, "e" * 64) is None  # another release under its number
    (folder.quarantine_path(7, "d" * 64) / "reason.json").write_text("{")
    with pytest.raises(FleetError, match="remove it by hand"):
        folder.quarantined(7, "d" * 64)


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    folder = FleetFolder(tmp_path / "models", ManualClock(), Disk())
    with pytest.raises(StoreError, match="Not a directory"), folder.locked():
        pytest.fail("it has no place to lie")
