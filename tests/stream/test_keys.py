"""Keys: private files, never overwritten, and every way in which they cannot be used said in one line."""

import stat
from pathlib import Path

import pytest

from cavs.runtime.curve import load_client_keys
from cavs.runtime.errors import ConfigError
from cavs.stream.keys import load_server_keys, main, make_keys


def test_secret_keys_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", "viewer")
    secrets = sorted((tmp_path / "keys").rglob("*.key_secret"))
    assert [path.name for path in secrets] == ["client.key_secret", "server.key_secret"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_what_is_made_is_what_is_loaded(tmp_path: Path) -> None:
    home = make_keys(tmp_path, "viewer")
    server, client = load_server_keys(tmp_path), load_client_keys(home)
    assert client.server == server.public
    assert len({server.public, server.secret, client.public, client.secret}) == 4
    assert [path.name for path in server.allowed.iterdir()] == ["viewer.key"]


def test_a_second_client_gets_keys_and_the_others_stay_as_they_are(tmp_path: Path) -> None:
    make_keys(tmp_path, "viewer")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    make_keys(tmp_path, "planner")
    assert {path: path.read_bytes() for path in before} == before
    assert len(list((tmp_path / "allowed").iterdir())) == 2


def test_keys_of_a_client_are_never_overwritten(tmp_path: Path) -> None:
    make_keys(tmp_path, "viewer")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="never overwritten"):
        make_keys(tmp_path, "viewer")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a b", "x" * 65])
def test_a_client_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="client name"):
        make_keys(tmp_path, name)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write keys"):
        make_keys(tmp_path / "file" / "keys", "viewer")


def test_a_secret_key_that_others_can_read_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    make_keys(tmp_path, "viewer")
    (tmp_path / "server.key_secret").chmod(0o644)
    with pytest.raises(ConfigError, match=r"mode 0644 .* chmod 600"):
        load_server_keys(tmp_path)


def test_missing_keys_name_the_command_that_makes_them(tmp_path: Path) -> None:
    for load in (load_server_keys, load_client_keys):
        with pytest.raises(ConfigError, match="cavs-stream keys --out"):
            load(tmp_path)


def test_a_stream_that_allows_nobody_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path, "viewer")
    (tmp_path / "allowed" / "viewer.key").unlink()
    with pytest.raises(ConfigError, match="nobody could subscribe"):
        load_server_keys(tmp_path)


@pytest.mark.parametrize("damage", ["", "hello", 'curve\n    public-key = "short"\n'])
def test_a_damaged_key_is_one_line(damage: str, tmp_path: Path) -> None:
    make_keys(tmp_path, "viewer")
    (tmp_path / "allowed" / "viewer.key").write_text(damage)
    with pytest.raises(ConfigError, match=r"viewer\.key"):
        load_server_keys(tmp_path)


def test_the_command_says_how_to_use_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "keys"), "--client", "planner"]) == 0
    said = capsys.readouterr().out
    assert f"--keys {tmp_path / 'keys'}" in said
    assert "clients/planner" in said
