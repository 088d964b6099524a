"""Following a store: each change once, never a half-written one, and into the slot."""

import shutil
from pathlib import Path

import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.engine import LABEL_FIRST_CLASS, Engine
from cavs.runtime.errors import EngineError, StoreError
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from cavs.runtime.store import ModelStore
from cavs.runtime.store_follow import POLL_NS, SlotFeeder, StoreFollower
from tests.tiny_bundle import adapter_with, make_tiny_bundle, not_a_number, red_green_swapped, square_frame, tone

RED, GREEN = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1


@pytest.fixture
def store(tmp_path: Path, tiny_bundle: Bundle) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    store.commit(None, store.add_bundle(tiny_bundle.root))
    return store


def polled(follower: StoreFollower, running: int) -> int | None:
    model = follower.poll(running)
    return model.version if model else None


def test_a_change_is_given_once(store: ModelStore, tiny_bundle: Bundle) -> None:
    follower = StoreFollower(store.path)
    assert [polled(follower, 0), polled(follower, 1)] == [1, None]
    store.commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    assert [polled(follower, 1), polled(follower, 1)] == [2, None]
    store.rollback()
    assert [polled(follower, 2), polled(follower, 1)] == [1, None]


def test_the_version_that_runs_already_is_not_given(store: ModelStore) -> None:
    follower = StoreFollower(store.path)
    assert polled(follower, 1) is None
    store.use(1)
    assert polled(follower, 1) is None


def test_asking_for_the_same_version_again_gives_it_to_a_stream_that_left_it(store: ModelStore) -> None:
    follower = StoreFollower(store.path)
    polled(follower, 1)
    store.use(1)
    assert polled(follower, 0) == 1


def test_a_store_that_is_not_there_yet_is_waited_for(tmp_path: Path, tiny_bundle: Bundle) -> None:
    follower = StoreFollower(tmp_path / "later")
    assert polled(follower, 0) is None
    store = ModelStore(tmp_path / "later")
    bundle_id = store.add_bundle(tiny_bundle.root)
    assert polled(follower, 0) is None
    store.commit(None, bundle_id)
    assert polled(follower, 0) == 1


def test_a_version_that_is_not_current_yet_is_not_seen(store: ModelStore, tiny_bundle: Bundle) -> None:
    follower = StoreFollower(store.path)
    polled(follower, 0)
    (store.versions_path / "2").mkdir()
    (store.versions_path / "2" / "adapter.safetensors").write_bytes(b"half")
    (store.staging_path / "version").mkdir(parents=True)
    assert polled(follower, 1) is None


def test_a_damaged_version_is_said_once_and_the_next_good_one_is_given(store: ModelStore, tiny_bundle: Bundle) -> None:
    follower = StoreFollower(store.path)
    polled(follower, 0)
    store.commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    (store.versions_path / "2" / "adapter.safetensors").write_bytes(b"half")
    with pytest.raises(StoreError, match=r"adapter\.safetensors"):
        follower.poll(1)
    assert polled(follower, 1) is None
    store.commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    assert polled(follower, 1) == 3


def test_a_damaged_pointer_is_said_once(store: ModelStore) -> None:
    follower = StoreFollower(store.path)
    store.pointer_path.write_text("{")
    with pytest.raises(StoreError, match="current"):
        follower.poll(1)
    assert polled(follower, 1) is None


def test_a_store_that_vanishes_leaves_the_running_version_alone(store: ModelStore) -> None:
    follower = StoreFollower(store.path)
    polled(follower, 0)
    shutil.rmtree(store.path)
    assert polled(follower, 1) is None


class Rig:
    """A slot with its feeder, stepped by hand."""

    def __init__(self, store: ModelStore) -> None:
        model = store.load_current()
        self.opened: list[str] = []
        self.clock = ManualClock()
        self.bundle = model.bundle
        self.slot = Slot(OnnxEngine(model.bundle, threads=1), model.adapter, self.clock, version=model.version)
        self.feeder = SlotFeeder(StoreFollower(store.path), self.slot, self.open_engine, self.clock)

    def open_engine(self, bundle: Bundle) -> Engine:
        self.opened.append(bundle.manifest.name)
        if bundle.manifest.name == "too big":
            raise EngineError("no memory for this engine")
        return OnnxEngine(bundle, threads=1)

    def window(self) -> tuple[int, int]:
        prediction, model = self.slot.run(square_frame(self.bundle, "red"), tone(self.bundle))
        return int(prediction.labels.max()), model.version

    def events(self) -> list[str]:
        return [event.kind for event in self.slot.take_events()]


def test_a_stream_takes_what_becomes_current(store: ModelStore, tiny_bundle: Bundle) -> None:
    rig = Rig(store)
    assert not rig.feeder.step()
    store.commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    assert rig.window() == (RED, 1)
    assert rig.feeder.step()
    assert rig.window() == (GREEN, 2)
    assert not rig.feeder.step()
    store.rollback()
    assert rig.feeder.step()
    assert rig.window() == (RED, 1)
    assert rig.events() == ["taken", "taken"]
    assert rig.opened == []


def test_a_version_of_another_bundle_brings_its_engine(store: ModelStore, tmp_path: Path, tiny_bundle: Bundle) -> None:
    other = make_tiny_bundle(tmp_path / "other", name="consolidated")
    rig = Rig(store)
    store.commit(red_green_swapped(other), store.add_bundle(other.root))
    rig.feeder.step()
    assert rig.window() == (GREEN, 2)
    assert rig.opened == ["consolidated"]
    store.commit(None, other.id)
    store.commit(red_green_swapped(tiny_bundle), tiny_bundle.id)
    rig.feeder.step()
    assert rig.window() == (GREEN, 4)
    assert rig.opened == ["consolidated"]  # the first engine was still there


def test_what_cannot_be_offered_is_one_event_and_the_stream_goes_on(store: ModelStore, tmp_path: Path) -> None:
    rig = Rig(store)
    for name in ("too big", "larger"):
        bundle = make_tiny_bundle(tmp_path / name, name=name, height=64 if name == "too big" else 96)
        store.commit(None, store.add_bundle(bundle.root))
        assert not rig.feeder.step()
        assert not rig.feeder.step()
        events = list(rig.slot.take_events())
        assert [event.kind for event in events] == ["refused"]
        assert ("no memory" if name == "too big" else "96") in events[0].text
        assert rig.window() == (RED, 1)


def test_a_stream_that_fell_back_takes_the_next_version(store: ModelStore, tiny_bundle: Bundle) -> None:
    rig = Rig(store)
    store.commit(not_a_number(tiny_bundle), tiny_bundle.id)
    rig.feeder.step()
    assert rig.window() == (RED, 1)
    assert not rig.feeder.step()  # the store still says 2; it is not tried again by itself
    store.commit(adapter_with(tiny_bundle, {"thresholds": (0.4, 0.8)}), tiny_bundle.id)
    rig.feeder.step()
    assert rig.window() == (RED, 3)
    assert rig.events() == ["taken", "fell_back", "taken"]


def test_the_feeder_waits_on_the_clock(store: ModelStore) -> None:
    rig = Rig(store)
    rig.feeder.wait()
    assert rig.clock.now_ns() == POLL_NS


def test_a_default_adapter_is_offered_like_any_other(store: ModelStore, tiny_bundle: Bundle) -> None:
    rig = Rig(store)
    store.commit(None, tiny_bundle.id)
    rig.feeder.step()
    rig.window()
    assert rig.slot.adapter.id == default_adapter(tiny_bundle).id
    assert rig.slot.model.version == 2
