"""A fleet's keys on disk: private where they must be, never overwritten, nobody else decides whom to trust."""

import os
from pathlib import Path

import pytest

from cavs.runtime.errors import FleetError
from cavs.runtime.fleet_keys import (
    default_keys_path,
    distrust,
    load_signing_key,
    load_trusted,
    make_signing_key,
    trust,
)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "cavs" / "keys"


def test_a_key_is_made_private_even_under_a_lax_umask(keys: Path) -> None:
    before = os.umask(0)
    try:
        line = make_signing_key(keys, "robot-1")
        trust(keys, line)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (keys, *keys.iterdir())}
    assert modes == {"keys": 0o700, "signing.key": 0o600, "signing.pub": 0o644, "trusted": 0o700}
    assert (keys / "signing.pub").read_text().strip() == line
    assert load_trusted(keys)[0].key_id == load_signing_key(keys).key_id


def test_a_key_is_never_overwritten(keys: Path) -> None:
    make_signing_key(keys, "robot-1")
    before = (keys / "signing.key").read_bytes()
    with pytest.raises(FleetError, match="never overwritten"):
        make_signing_key(keys, "robot-1")
    assert (keys / "signing.key").read_bytes() == before


def test_a_private_key_that_others_can_read_is_not_used(keys: Path) -> None:
    make_signing_key(keys, "robot-1")
    (keys / "signing.key").chmod(0o640)
    with pytest.raises(FleetError, match="mode 0640 lets others read it; run: chmod 600"):
        load_signing_key(keys)


def test_a_missing_key_is_said_with_the_command_that_makes_it(keys: Path) -> None:
    with pytest.raises(FleetError, match=r"No such file.*cavs-models keygen"):
        load_signing_key(keys)


@pytest.mark.parametrize("lax", [".", "trusted", "trusted/robot-1.pub"])
def test_trust_that_others_could_have_given_does_not_count(keys: Path, lax: str) -> None:
    trust(keys, make_signing_key(keys, "robot-1"))
    (keys / lax).chmod(0o777)
    with pytest.raises(FleetError, match="mode 0777 lets others say whom to trust; run: chmod go-w"):
        load_trusted(keys)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_trusted_key_of_another_user_does_not_count(keys: Path) -> None:
    trust(keys, make_signing_key(keys, "robot-1"))
    os.chown(keys / "trusted" / "robot-1.pub", 12345, -1)
    with pytest.raises(FleetError, match="belongs to user 12345"):
        load_trusted(keys)


def test_a_key_is_trusted_by_its_line_or_its_file_under_any_name(keys: Path, tmp_path: Path) -> None:
    line = make_signing_key(tmp_path / "other", "robot-2")
    assert trust(keys, line).name == "robot-2"
    assert trust(keys, str(tmp_path / "other" / "signing.pub"), "kitchen").name == "kitchen"
    assert [key.name for key in load_trusted(keys)] == ["kitchen", "robot-2"]


def test_a_trusted_name_is_not_taken_over(keys: Path, tmp_path: Path) -> None:
    first = trust(keys, make_signing_key(tmp_path / "a", "robot"))
    with pytest.raises(FleetError, match="trusted key of that name"):
        trust(keys, make_signing_key(tmp_path / "b", "robot"))
    assert [key.key_id for key in load_trusted(keys)] == [first.key_id]


def test_a_key_that_is_distrusted_counts_no_more(keys: Path, tmp_path: Path) -> None:
    trust(keys, make_signing_key(tmp_path / "a", "robot"))
    distrust(keys, "robot")
    assert load_trusted(keys) == ()
    with pytest.raises(FleetError, match="trusted are: none"):
        distrust(keys, "robot")


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a b", "x" * 65])
def test_names_that_are_no_file_names_are_refused(keys: Path, name: str) -> None:
    with pytest.raises(FleetError, match="letters, digits"):
        make_signing_key(keys, name)
    with pytest.raises(FleetError, match="letters, digits"):
        distrust(keys, name)
    assert not keys.exists()


def test_a_line_that_is_no_key_is_not_trusted(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="not a public key"):
        trust(keys, "ssh-ed25519 nonsense robot")
    with pytest.raises(FleetError, match="No such file"):
        trust(keys, str(tmp_path / "none.pub"))
    assert load_trusted(keys) == ()


def test_keys_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FleetError, match="cannot write the key"):
        make_signing_key(tmp_path / "file" / "keys", "robot")


def test_keys_lie_in_the_configuration_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_keys_path() == tmp_path / "cavs" / "fleet"
