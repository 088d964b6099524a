"""cavs-models as a new user tries it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import StoreError
from cavs.runtime.models_cli import main
from cavs.runtime.store import ModelStore
from tests.tiny_bundle import make_tiny_bundle, red_green_swapped


class Shell:
    """Runs the command with one store and gives back what it printed."""

    def __init__(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        try:
            code = main([*words, "--store", str(self.store)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = self._capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    def json(self, *words: str) -> Any:
        code, out, err = self.run(*words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "models", capsys)


@pytest.fixture
def filled(shell: Shell, tiny_bundle: Bundle) -> Shell:
    shell.json("add", str(tiny_bundle.root))
    ModelStore(shell.store).commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    return shell


def test_the_first_bundle_makes_the_store_and_is_current(shell: Shell, tiny_bundle: Bundle) -> None:
    code, out, _ = shell.run("add", str(tiny_bundle.root))
    assert (code, out) == (0, f"bundle {tiny_bundle.id[:12]} is version 1; it is current")
    assert shell.json("list")[0]["current"] is True


def test_a_later_bundle_waits_until_it_is_used(filled: Shell, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", name="other")
    assert filled.run("add", str(other.root))[1].endswith("is version 3; make it current with: cavs-models use 3")
    assert filled.json("add", str(other.root), "--use") == {"version": 4, "bundle": other.id, "is_current": True}
    assert [line["version"] for line in filled.json("list") if line["current"]] == [4]


def test_list_marks_the_current_version(filled: Shell) -> None:
    lines = filled.run("list")[1].splitlines()
    assert lines[1].split()[0] == "1"
    assert lines[2].split()[:2] == ["*", "2"]


def test_show_tells_classes_and_origin(filled: Shell, tiny_bundle: Bundle) -> None:
    shown = filled.json("show", "2")
    assert shown["classes"] == {"red": 0, "green": 1, "blue": 2}
    assert (shown["bundle"], shown["method"], shown["frame"]) == (tiny_bundle.id, "test", "64x64 px")
    assert '"red": 0' in filled.run("show", "2")[1]


def test_use_and_rollback(filled: Shell) -> None:
    assert filled.run("use", "1")[:2] == (0, "version 1 is current")
    assert filled.json("rollback") == {"current": 2}
    code, out, err = filled.run("rollback")
    assert (code, out) == (1, "")
    assert err.startswith("cavs-models: nothing to roll back to, version 2 is current")


def test_verify_exits_1_with_a_line_for_each_damage(filled: Shell) -> None:
    assert filled.run("verify")[:2] == (0, "2 versions, all sound")
    (filled.store / "versions" / "2" / "adapter.safetensors").write_bytes(b"")
    code, out, err = filled.run("verify")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "adapter.safetensors" in err


def test_gc_says_what_it_removed(filled: Shell, tiny_bundle: Bundle) -> None:
    ModelStore(filled.store).commit(None, tiny_bundle.id)
    assert filled.run("gc", "--keep", "1")[:2] == (0, "removed 1 versions and 0 bundles")
    assert filled.json("gc") == {"versions": [], "bundles": []}


def test_quarantine_is_shown_with_its_reason(filled: Shell) -> None:
    ModelStore(filled.store).quarantine(1, "[deaf] to dogs")
    assert "quarantined: [deaf] to dogs" in " ".join(filled.run("list")[1].split())


@pytest.mark.parametrize(
    "words", [("list",), ("show", "1"), ("use", "1"), ("rollback",), ("verify",), ("gc",)], ids=lambda words: words[0]
)
def test_a_missing_store_is_one_line_and_nothing_is_made(shell: Shell, words: tuple[str, ...]) -> None:
    code, out, err = shell.run(*words)
    assert (code, out) == (1, "")
    assert (
        err == f"cavs-models: {shell.store} is not a model store; make one with: cavs-models add BUNDLE --store {shell.store}"
    )
    assert not shell.store.exists()


def test_a_bundle_that_is_none_is_one_line(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell.run("add", str(tmp_path / "nothing"))
    assert code == 1
    assert err == f"cavs-models: {tmp_path / 'nothing'} is not there; the directory of a bundle was expected"


@pytest.mark.parametrize(
    "words", [(), ("frobnicate",), ("use",), ("use", "0"), ("use", "two"), ("gc", "--keep", "0"), ("list", "--yaml")], ids=str
)
def test_wrong_usage_exits_2(shell: Shell, words: tuple[str, ...]) -> None:
    code, out, err = shell.run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("cavs-models")
    assert err.endswith("--help says what it takes")
    assert "\n" not in err


def test_debug_shows_where_an_error_came_from(shell: Shell) -> None:
    with pytest.raises(StoreError):
        main(["list", "--debug", "--store", str(shell.store)])


def test_a_store_without_a_current_version_says_how_to_choose(filled: Shell) -> None:
    (filled.store / "current").unlink()
    assert filled.run("rollback")[2].startswith("cavs-models: nothing to roll back to, no version is current")
    shutil.rmtree(filled.store / "versions" / "2")
    assert filled.run("use", "2")[2].endswith("has no version 2; it has: 1")
