"""The durable steps on a disk."""

import hashlib
from pathlib import Path

import pytest

from cavs.runtime.disk import CHUNK_BYTES, Disk, sha256_of_file


def test_a_directory_that_holds_something_is_not_replaced(tmp_path: Path) -> None:
    disk = Disk()
    for name in ("one", "two"):
        disk.make_directory(tmp_path / name)
        disk.write(tmp_path / name / "file", name.encode())
    with pytest.raises(OSError, match="not empty"):
        disk.rename(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "file").read_bytes() == b"two"


def test_removing_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    disk = Disk()
    disk.make_directory(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    disk.remove(tmp_path / "link")
    disk.remove(tmp_path / "never there")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_copy_and_its_digest_hold_every_byte(tmp_path: Path) -> None:
    content = bytes(range(256)) * (CHUNK_BYTES // 128 + 1)
    disk = Disk()
    disk.write(tmp_path / "one", content)
    disk.copy(tmp_path / "one", tmp_path / "two")
    assert sha256_of_file(tmp_path / "two") == hashlib.sha256(content).hexdigest()
