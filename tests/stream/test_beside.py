"""What is made and started beside the live loop, by what the settings say."""

from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.control import control_address
from cavs.runtime.errors import ConfigError
from cavs.runtime.store import ModelStore
from cavs.stream.beside import control_addresses, open_recent, prepare
from cavs.stream.keys import make_keys
from cavs.stream.settings import StreamSettings, settings_from


def settings(**values: object) -> StreamSettings:
    return settings_from({"demo": True, **values})


def test_an_empty_store_gets_the_shipped_bundle_and_that_is_said_once(tmp_path: Path) -> None:
    wanted = settings(adapt=True, store=tmp_path / "m")
    assert prepare(wanted) == [f"{tmp_path}/m: the store was empty; the shipped bundle is its version 1 now"]
    assert ModelStore(tmp_path / "m").load_current().bundle.id == read_bundle(default_bundle_path()).id
    assert prepare(wanted) == []


def test_a_store_with_another_bundle_is_left_as_it_is(tmp_path: Path, tiny_bundle: Bundle) -> None:
    store = ModelStore(tmp_path / "m")
    store.commit(None, store.add_bundle(tiny_bundle.root))
    assert prepare(settings(adapt=True, store=store.path)) == []
    assert store.load_current().bundle.id == tiny_bundle.id


def test_without_adapt_nothing_is_made(tmp_path: Path) -> None:
    assert prepare(settings(store=tmp_path / "m")) == []
    assert not (tmp_path / "m").exists()


def test_the_learner_gets_keys_of_its_own_once(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", "viewer")
    wanted = settings(adapt=True, store=tmp_path / "m", keys=tmp_path / "keys")
    assert prepare(wanted)[-1] == f"keys for the learner: {tmp_path}/keys/clients/learner"
    assert (tmp_path / "keys" / "allowed" / "learner.key").is_file()
    assert prepare(wanted) == []


def test_windows_are_kept_only_where_somebody_may_ask_for_them(tmp_path: Path, tiny_bundle: Bundle) -> None:
    assert open_recent(settings(), tiny_bundle) is None
    assert open_recent(settings(store=tmp_path, control="none"), tiny_bundle) is None
    kept = open_recent(settings(store=tmp_path, recent_seconds=5, recent_mib=3), tiny_bundle)
    assert kept is not None
    assert (kept.seconds, kept.mib <= 3) == (5, True)
    assert open_recent(settings(control=f"ipc://{tmp_path}/c"), tiny_bundle) is not None
    with pytest.raises(ConfigError, match="--recent-mib"):
        open_recent(settings(store=tmp_path, recent_mib=0.1), tiny_bundle)


def test_the_store_has_a_socket_of_its_own_beside_a_public_one(tmp_path: Path) -> None:
    beside = control_address(tmp_path)
    assert control_addresses(settings(store=tmp_path)) == [beside]
    assert control_addresses(settings(store=tmp_path, control="tcp://127.0.0.1:5556")) == [beside, "tcp://127.0.0.1:5556"]
    assert control_addresses(settings(store=tmp_path, control="ipc:///run/c")) == ["ipc:///run/c"]
    assert control_addresses(settings(control="tcp://127.0.0.1:5556")) == ["tcp://127.0.0.1:5556"]
    assert control_addresses(settings(store=tmp_path, control="none")) == []
    assert control_addresses(settings()) == []
