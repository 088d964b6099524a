"""Five hundred exchanges and rollbacks through the store, as a stream follows them: memory does not grow."""

import gc
from pathlib import Path

import psutil
import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from cavs.runtime.store import ModelStore
from cavs.runtime.store_follow import SlotFeeder, StoreFollower
from tests.tiny_bundle import red_green_swapped, square_frame, tone

WARM, SWAPS = 100, 500
GROWTH_MIB = 5.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_hundred_swaps_and_rollbacks_grow_no_memory(tiny_bundle: Bundle, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    store.commit(None, store.add_bundle(tiny_bundle.root))
    second = store.commit(red_green_swapped(tiny_bundle), tiny_bundle.id, make_current=False)
    slot = Slot(OnnxEngine(tiny_bundle, threads=1), default_adapter(tiny_bundle), ManualClock(), version=1)
    feeder = SlotFeeder(StoreFollower(store.path), slot, lambda bundle: OnnxEngine(bundle, threads=1), ManualClock())
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    feeder.step()
    process, start = psutil.Process(), 0
    for swap in range(WARM + SWAPS):
        if swap == WARM:
            gc.collect()
            start = process.memory_info().rss
        if swap % 2 == 0:
            store.use(second)
        else:
            store.rollback()
        assert feeder.step()
        assert slot.run(frame, sound)[1].version == (second if swap % 2 == 0 else 1)
        list(slot.take_events())
    gc.collect()
    grown_mib = (process.memory_info().rss - start) / 2**20
    slot.close()
    assert grown_mib <= GROWTH_MIB
    assert slot.exchanges == WARM + SWAPS
