"""The list of those who may connect: as the folder is now, and nobody where it cannot be read."""

from pathlib import Path

import pytest

from cavs.runtime.curve import load_client_keys
from cavs.stream.curve_guard import AllowList
from cavs.stream.keys import make_keys


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", "viewer")
    return tmp_path / "keys"


def test_who_is_added_may_connect_and_who_is_taken_away_may_not(keys: Path) -> None:
    allowed = AllowList(keys / "allowed")
    guest = load_client_keys(make_keys(keys, "guest")).public
    assert allowed.callback("*", guest)
    assert not allowed.revoked()
    (keys / "allowed" / "guest.key").unlink()
    assert not allowed.callback("*", guest)
    assert allowed.callback("*", load_client_keys(keys / "clients" / "viewer").public)
    assert allowed.revoked()
    assert not allowed.revoked()


def test_a_key_that_came_and_went_between_two_looks_is_seen_to_be_gone(keys: Path) -> None:
    allowed = AllowList(keys / "allowed")
    assert allowed.callback("*", load_client_keys(make_keys(keys, "guest")).public)
    (keys / "allowed" / "guest.key").unlink()
    assert allowed.revoked()


def test_a_key_that_is_exchanged_shuts_the_old_one_out(keys: Path, tmp_path: Path) -> None:
    allowed = AllowList(keys / "allowed")
    assert allowed.callback("*", load_client_keys(keys / "clients" / "viewer").public)
    other = make_keys(tmp_path / "other", "viewer")
    new = tmp_path / "other" / "allowed" / "viewer.key"
    new.rename(keys / "allowed" / "viewer.key")
    assert allowed.revoked()
    assert allowed.keys() == {load_client_keys(other).public}


@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_what_cannot_be_read_allows_nobody(keys: Path, damage: str) -> None:
    allowed = AllowList(keys / "allowed")
    viewer = load_client_keys(keys / "clients" / "viewer").public
    assert allowed.callback("*", viewer)
    path = keys / "allowed" / "viewer.key"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:20])
    else:
        path.unlink()
        path.parent.rmdir()
    assert not allowed.callback("*", viewer)
    assert allowed.revoked()
