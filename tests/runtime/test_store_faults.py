"""A crash at any step of any change of a store leaves the last good version current, and the next writer goes on."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.store import ModelStore
from tests.dying_disk import DyingDisk, PowerCut
from tests.tiny_bundle import make_tiny_bundle, red_green_swapped

STEPS_MAX = 200
"""More than any change of a store has."""


@dataclass(frozen=True)
class Shop:
    """Bundles to write with."""

    first: Bundle
    second: Bundle


@pytest.fixture(scope="module")
def shop(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tiny_bundle, make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "second", name="second"))


@pytest.fixture(scope="module")
def template(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 4, 1 in quarantine, 3 is current, 2 was before it."""
    store = ModelStore(tmp_path_factory.mktemp("stores") / "models")
    bundle_id = store.add_bundle(shop.first.root)
    store.commit(None, bundle_id)
    store.commit(red_green_swapped(shop.first), bundle_id)
    store.commit(None, bundle_id)
    store.commit(None, bundle_id, make_current=False)
    store.quarantine(1, "deaf")
    return store.path


Change = Callable[[ModelStore, Shop], object]

CHANGES: dict[str, tuple[Change, int]] = {
    "add a bundle": (lambda store, shop: store.add_bundle(shop.second.root), 3),
    "commit": (lambda store, shop: store.commit(red_green_swapped(shop.first), shop.first.id), 5),
    "commit for later": (lambda store, shop: store.commit(None, shop.first.id, make_current=False), 3),
    "use": (lambda store, shop: store.use(4), 4),
    "rollback": (lambda store, shop: store.rollback(), 2),
    "quarantine": (lambda store, shop: store.quarantine(4, "forgets"), 3),
    "gc": (lambda store, shop: store.gc(keep=1), 3),
}
"""Each change and the version that is current when it is done; 3 is current before it."""


@pytest.mark.parametrize("half_way", [False, True], ids=["before the step", "half-way"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_version(
    template: Path, shop: Shop, tmp_path: Path, name: str, half_way: bool
) -> None:
    change, after = CHANGES[name]
    for steps in range(STEPS_MAX):
        path = tmp_path / str(steps)
        shutil.copytree(template, path)
        disk = DyingDisk(steps, half_way=half_way)
        with suppress(PowerCut):
            change(ModelStore(path, disk=disk), shop)
        seen = ModelStore(path).load_current()
        assert seen.version in (3, after), f"died after {steps} steps"
        assert seen.skipped == ()
        assert ModelStore(path).verify() == ()
        if not disk.dead:
            assert seen.version == after
            break
        _next_writer_goes_on(path, shop)
    else:
        pytest.fail(f"still dying after {STEPS_MAX} steps")
    assert steps > 5


def _next_writer_goes_on(path: Path, shop: Shop) -> None:
    store = ModelStore(path)
    known = store.versions()
    version = store.commit(None, shop.first.id)
    assert version > max(known)
    assert [file.name for file in (store.versions_path / str(version)).iterdir()] == ["version.json"]  # no leavings
    assert store.load_current().version == version
    assert not store.staging_path.exists()


def test_a_power_cut_while_the_first_version_is_made_leaves_an_empty_store_or_that_version(shop: Shop, tmp_path: Path) -> None:
    for steps in range(STEPS_MAX):
        path = tmp_path / str(steps)
        disk = DyingDisk(steps, half_way=True)
        with suppress(PowerCut):
            store = ModelStore(path, disk=disk)
            store.commit(None, store.add_bundle(shop.first.root))
        fresh = ModelStore(path)
        assert fresh.commit(None, fresh.add_bundle(shop.first.root)) in (1, 2)
        assert fresh.verify() == ()
        if not disk.dead:
            return
    pytest.fail(f"still dying after {STEPS_MAX} steps")
