"""Remotes: in memory, in a folder, behind S3. Whole or not there; what the storage refuses is one line."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from cavs.runtime.errors import FleetError, ReleaseRefused, RemoteAway
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.manifest import FileEntry
from tests.s3_server import s3_server, use_s3

CONTENT = b"weights" * 1000
ENTRY = FileEntry(name="graph.onnx", sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=len(CONTENT))


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with s3_server() as url:
        yield url


BUCKET = "robots"


@pytest.fixture(params=["memory", "file"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    if request.param == "memory":
        return Remote(f"memory:/{tmp_path}")
    (tmp_path / "share").mkdir()
    return Remote(f"file://{tmp_path}/share")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "graph.onnx"
    path.write_bytes(CONTENT)
    return path


def test_a_content_comes_back_as_it_was_written(remote: Remote, source: Path) -> None:
    check_contents(remote, source)


def test_a_number_is_given_once(remote: Remote) -> None:
    check_numbers(remote)


def test_a_real_s3_server_keeps_contents_and_gives_a_number_once(
    s3_url: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_s3(monkeypatch, s3_url, tmp_path)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
    remote = Remote(f"s3://{BUCKET}/fleet/one")
    check_contents(remote, source)
    check_numbers(remote)


def check_contents(remote: Remote, source: Path) -> None:
    assert not remote.has_file(ENTRY)
    remote.write_file(ENTRY, source)
    assert remote.has_file(ENTRY)
    remote.write_file(ENTRY, source)
    assert b"".join(remote.pieces(ENTRY)) == CONTENT


def check_numbers(remote: Remote) -> None:
    assert remote.release_numbers() == ()
    assert remote.create_release(3, b"first")
    assert not remote.create_release(3, b"second")
    assert remote.create_release(12, b"third")
    assert remote.release_numbers() == (12, 3)
    assert remote.read_release(3, 100) == b"first"
    assert remote.read_release(12, 2) == b"th"


def test_what_is_missing_or_not_as_signed_is_refused_with_the_reason(remote: Remote, source: Path) -> None:
    with pytest.raises(ReleaseRefused, match=r"graph.onnx .* is not in .*--again"):
        list(remote.pieces(ENTRY))
    remote.write_file(ENTRY, source)
    size, other = ENTRY.size_bytes, "0" * 64
    with pytest.raises(ReleaseRefused, match="longer than the 100 bytes"):
        list(remote.pieces(ENTRY.model_copy(update={"size_bytes": 100})))
    with pytest.raises(ReleaseRefused, match=f"ends 5 bytes before the {size + 5}"):
        list(remote.pieces(ENTRY.model_copy(update={"size_bytes": size + 5})))
    assert not remote.has_file(ENTRY.model_copy(update={"size_bytes": size + 5}))
    source.write_bytes(CONTENT)
    wrong = ENTRY.model_copy(update={"sha256": other})
    remote.write_file(wrong, source)
    with pytest.raises(ReleaseRefused, match=f"has sha256 {ENTRY.sha256[:12]}, not the one that was signed"):
        list(remote.pieces(wrong))


def test_half_a_write_into_a_folder_leaves_nothing_that_counts(folder: Path, source: Path) -> None:
    remote = Remote(str(folder))
    (folder / "files").mkdir()
    (folder / "files" / ENTRY.sha256).write_bytes(CONTENT[:100])  # as an older program, or a torn copy, leaves it
    assert not remote.has_file(ENTRY)
    remote.write_file(ENTRY, source)
    assert b"".join(remote.pieces(ENTRY)) == CONTENT
    with pytest.raises(RemoteAway, match="none"):
        remote.write_file(ENTRY, source.with_name("none"))
    assert [path.name for path in (folder / "files").iterdir()] == [ENTRY.sha256]


def test_a_release_is_not_left_beside_its_name(folder: Path) -> None:
    Remote(str(folder)).create_release(1, b"x")
    assert [path.name for path in (folder / "releases").iterdir()] == ["000000001.json"]


def test_files_of_others_are_no_releases(folder: Path) -> None:
    (folder / "releases").mkdir()
    for name in ("notes.txt", "1.json", ".000000002.json.ab12"):
        (folder / "releases" / name).write_text("")
    assert Remote(str(folder)).release_numbers() == ()


def test_a_share_that_is_not_mounted_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"there is no such folder; mount the share, or make it: mkdir -p"):
        Remote(f"file://{tmp_path}/none").release_numbers()


def test_what_a_folder_refuses_is_one_line(folder: Path, source: Path) -> None:
    (folder / "files").write_text("in the way")
    with pytest.raises(RemoteAway, match="File exists"):
        Remote(str(folder)).write_file(ENTRY, source)


@pytest.mark.parametrize(
    ("url", "line"), [("nope://bucket", "Protocol not known: nope; for example s3://"), ("gs://bucket", "install gcsfs")]
)
def test_a_place_that_cannot_be_spoken_to_is_one_line(url: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(FleetError, match=line):
        Remote(url)


def test_a_missing_library_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(FleetError, match=r"pip install 'cavs-stream\[fleet\]'"):
        Remote("memory://x")


def test_a_bucket_that_is_not_there_has_no_release_and_takes_none(
    s3_url: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_s3(monkeypatch, s3_url, tmp_path)
    remote = Remote("s3://nobodys-bucket/fleet")
    assert remote.release_numbers() == ()
    with pytest.raises(RemoteAway, match="bucket does not exist"):
        remote.write_file(ENTRY, source)
