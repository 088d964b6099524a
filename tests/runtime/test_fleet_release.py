"""Releases: what is signed is read back equal; a number belongs to what was signed."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from cavs.runtime.errors import ReleaseRefused
from cavs.runtime.fleet_release import (
    RELEASE_TYPE,
    Release,
    file_path,
    open_release,
    release_number,
    release_path,
    sign_release,
)
from cavs.runtime.manifest import FileEntry
from cavs.runtime.signing import new_private_key

MANIFEST = FileEntry(name="manifest.json", sha256="a" * 64, size_bytes=3)


def release(number: int = 7, **changes: object) -> Release:
    fields = {"made": "now", "bundle_id": "b" * 64, "bundle_files": (MANIFEST,), "adapter_id": "c" * 64, **changes}
    return Release(number=number, **fields)  # type: ignore[arg-type]


def test_a_release_is_read_back_equal() -> None:
    key, _ = new_private_key()
    assert open_release(sign_release(release(), key), 7, (key.public("r"),)) == (release(), "r")


def test_an_old_release_under_a_new_number_is_refused() -> None:
    key, _ = new_private_key()
    with pytest.raises(ReleaseRefused, match="release 9: was signed as release 7"):
        open_release(sign_release(release(), key), 9, (key.public("r"),))


def test_a_release_of_another_schema_is_refused_with_its_signer() -> None:
    key, _ = new_private_key()
    with pytest.raises(ReleaseRefused, match=r"release 1, signed by r: .*another version of cavs"):
        open_release(key.sign(b'{"schema": 2}', RELEASE_TYPE), 1, (key.public("r"),))


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"number": 10**9},
        {"bundle_files": ()},
        {"bundle_files": (MANIFEST, MANIFEST)},
        {"adapter_files": (MANIFEST,)},
        {"bundle_id": "../../etc"},
    ],
)
def test_a_release_that_is_not_whole_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        release(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", ".hidden", "a/b", ""])
def test_no_name_of_a_file_leads_out_of_its_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        FileEntry(name=name, sha256="a" * 64, size_bytes=1)


def test_names_sort_as_numbers_and_only_ours_are_read() -> None:
    paths = [release_path(number) for number in (1, 9, 10, 123_456_789)]
    assert paths == sorted(paths)
    assert [release_number(Path(path).name) for path in paths] == [1, 9, 10, 123_456_789]
    others = ("1.json", "000000000.json", "000000001.json.part", "000000001", ".000000001.json", "00000000¹.json", "readme")
    assert [release_number(name) for name in others] == [None] * len(others)
    assert file_path("ab") == "files/ab"
