"""The slot: exchange between two windows, fall back, roll back, nothing lost or done twice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cavs.runtime.adapter import Adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.engine import LABEL_FIRST_CLASS, Engine, Prediction, PreparedAdapter
from cavs.runtime.errors import AdapterRejected, BundleRejected, EngineError
from cavs.runtime.onnx_engine import OnnxAdapter, OnnxEngine
from cavs.runtime.slot import EVENTS_MAX, Slot
from tests.tiny_bundle import make_tiny_bundle, not_a_number, red_green_swapped, square_frame, tone

RED, GREEN = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1


class CountingEngine:
    """The ONNX engine, with a count of windows and of closings, and a fault on demand."""

    name = "onnx"

    def __init__(self, bundle: Bundle, reserve: Engine | None = None) -> None:
        self.reserve = reserve
        self._inner = OnnxEngine(bundle, threads=1)
        self.bundle = bundle
        self.windows = 0
        self.closed = False
        self.fault: str | None = None
        self.during_run: Callable[[], object] = lambda: None

    def prepare(self, adapter: Adapter) -> OnnxAdapter:
        return self._inner.prepare(adapter)

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], adapter: PreparedAdapter) -> Prediction:
        self.during_run()
        if self.fault:
            raise EngineError(self.fault)
        self.windows += 1
        return self._inner.run(frame, sound, adapter)

    def close(self) -> None:
        self.closed = True
        self._inner.close()


class Stream:
    """What the live loop does: one window after another through a slot, the answers written down."""

    def __init__(self, slot: Slot, bundle: Bundle) -> None:
        self.slot = slot
        self.frame, self.sound = square_frame(bundle, "red"), tone(bundle)

    def window(self) -> tuple[int, int]:
        """(largest label, version) of one window."""
        prediction, model = self.slot.run(self.frame, self.sound)
        return int(prediction.labels.max()), model.version

    def events(self) -> list[tuple[str, int]]:
        return [(event.kind, event.model.version) for event in self.slot.take_events()]


@pytest.fixture
def engine(tiny_bundle: Bundle) -> CountingEngine:
    return CountingEngine(tiny_bundle)


@pytest.fixture
def stream(engine: CountingEngine) -> Stream:
    return Stream(Slot(engine, default_adapter(engine.bundle), ManualClock(5), version=1), engine.bundle)


def test_an_offer_is_taken_by_the_next_window_and_said_once(stream: Stream) -> None:
    assert stream.window() == (RED, 1)
    ref = stream.slot.offer(red_green_swapped(stream.slot.engine.bundle), version=2)
    assert stream.slot.model.version == 1
    assert stream.events() == []
    assert stream.window() == (GREEN, 2)
    assert stream.window() == (GREEN, 2)
    assert stream.slot.model == ref
    assert stream.events() == [("taken", 2)]
    assert stream.slot.exchanges == 1


def test_a_model_reference_names_version_bundle_and_adapter(stream: Stream) -> None:
    adapter = red_green_swapped(stream.slot.engine.bundle)
    ref = stream.slot.offer(adapter, version=7)
    assert (ref.version, ref.bundle_id, ref.adapter_id) == (7, adapter.bundle_id, adapter.id)
    assert adapter.id.startswith(ref.digest)


def test_an_offer_made_while_a_window_runs_waits_for_its_end(stream: Stream, engine: CountingEngine) -> None:
    swapped = red_green_swapped(engine.bundle)
    engine.during_run = lambda: stream.slot.offer(swapped, version=2) if engine.windows == 0 else None
    assert stream.window() == (RED, 1)
    assert stream.window() == (GREEN, 2)


def test_a_newer_offer_replaces_one_that_was_not_taken(stream: Stream) -> None:
    stream.slot.offer(red_green_swapped(stream.slot.engine.bundle), version=2)
    stream.slot.offer(default_adapter(stream.slot.engine.bundle), version=3)
    assert stream.window() == (RED, 3)
    assert stream.events() == [("superseded", 1), ("taken", 3)]


def test_a_rollback_goes_back_and_forth(stream: Stream) -> None:
    with pytest.raises(EngineError, match="nothing to roll back to"):
        stream.slot.rollback()
    stream.slot.offer(red_green_swapped(stream.slot.engine.bundle), version=2)
    stream.window()
    assert stream.slot.rollback().version == 1
    assert stream.window() == (RED, 1)
    stream.slot.rollback()
    assert stream.window() == (GREEN, 2)
    assert stream.events() == [("taken", 2), ("rolled_back", 1), ("rolled_back", 2)]


def test_a_model_that_says_nan_is_replaced_within_the_same_window(stream: Stream, engine: CountingEngine) -> None:
    assert stream.window() == (RED, 1)
    stream.slot.offer(not_a_number(engine.bundle), version=2)
    assert stream.window() == (RED, 1)
    assert stream.window() == (RED, 1)
    events = list(stream.slot.take_events())
    assert [(event.kind, event.model.version) for event in events] == [("taken", 2), ("fell_back", 1)]
    assert "not numbers" in events[1].text
    assert events[1].t_ns == 5


def test_a_failure_without_a_previous_model_is_raised(stream: Stream, engine: CountingEngine) -> None:
    engine.fault = "the device is gone"
    with pytest.raises(EngineError, match="the device is gone"):
        stream.window()
    assert stream.events() == []


def test_a_failure_of_both_models_names_both(stream: Stream, engine: CountingEngine) -> None:
    stream.slot.offer(red_green_swapped(engine.bundle), version=2)
    stream.window()
    engine.fault = "the device is gone"
    with pytest.raises(EngineError, match=r"the device is gone.*before it failed: the device is gone"):
        stream.window()


def test_the_model_that_failed_is_not_rolled_back_to(stream: Stream, engine: CountingEngine) -> None:
    stream.slot.offer(not_a_number(engine.bundle), version=2)
    stream.window()
    with pytest.raises(EngineError, match="nothing to roll back to"):
        stream.slot.rollback()


def test_an_adapter_that_does_not_fit_is_refused_where_it_is_offered(stream: Stream, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", thresholds=(0.4, 0.8))
    with pytest.raises(AdapterRejected, match="belongs to bundle"):
        stream.slot.offer(default_adapter(other), version=2)
    assert stream.window() == (RED, 1)


def test_engines_are_exchanged_and_the_old_one_is_closed_only_when_nothing_needs_it(
    stream: Stream, engine: CountingEngine, tmp_path: Path
) -> None:
    bundles = [make_tiny_bundle(tmp_path / name, thresholds=(0.4, 0.8), name=name) for name in ("b", "c")]
    second, third = (CountingEngine(bundle) for bundle in bundles)
    stream.slot.offer(red_green_swapped(second.bundle), version=2, engine=second)
    assert stream.window() == (GREEN, 2)
    stream.slot.reap()
    assert not engine.closed  # it is what a rollback or a failure goes back to
    second.fault = "out of memory"
    assert stream.window() == (RED, 1)
    stream.slot.reap()
    assert second.closed
    stream.slot.offer(red_green_swapped(third.bundle), version=3, engine=third)
    assert stream.window() == (GREEN, 3)
    stream.slot.offer(default_adapter(third.bundle), version=4)
    assert stream.window() == (RED, 4)
    stream.slot.reap()
    assert engine.closed
    assert not third.closed
    assert stream.events() == [("taken", 2), ("fell_back", 1), ("taken", 3), ("taken", 4)]


def test_a_live_window_never_closes_an_engine(stream: Stream, engine: CountingEngine, tmp_path: Path) -> None:
    second = CountingEngine(make_tiny_bundle(tmp_path / "b", name="b"))
    stream.slot.offer(default_adapter(second.bundle), version=2, engine=second)
    stream.window()
    stream.slot.offer(red_green_swapped(second.bundle), version=3)
    stream.window()
    stream.window()
    assert not engine.closed
    stream.slot.reap()
    assert engine.closed


def test_an_adapter_finds_the_engine_of_its_bundle_among_those_that_are_here(stream: Stream, tmp_path: Path) -> None:
    second = CountingEngine(make_tiny_bundle(tmp_path / "b", name="b"))
    first = stream.slot.engine
    stream.slot.offer(default_adapter(second.bundle), version=2, engine=second)
    stream.window()
    assert stream.slot.runs_bundle(first.bundle.id)
    stream.slot.offer(red_green_swapped(first.bundle), version=3)
    assert stream.window() == (GREEN, 3)
    assert stream.slot.engine is first


@pytest.mark.parametrize("change", [{"height": 32}, {"samples": 800}, {"rate_hz": 8000}, {"lookahead_samples": 160}])
def test_a_bundle_with_other_windows_is_refused_and_its_engine_closed(
    stream: Stream, tmp_path: Path, change: dict[str, int]
) -> None:
    other = CountingEngine(make_tiny_bundle(tmp_path / "other", **change))  # type: ignore[arg-type]
    with pytest.raises(BundleRejected, match="start the stream again"):
        stream.slot.offer(default_adapter(other.bundle), version=2, engine=other)
    assert other.closed
    assert stream.window() == (RED, 1)


def test_a_refused_offer_closes_the_engine_that_came_with_it(stream: Stream, tmp_path: Path) -> None:
    second = CountingEngine(make_tiny_bundle(tmp_path / "b", name="b"))
    with pytest.raises(AdapterRejected):
        stream.slot.offer(default_adapter(stream.slot.engine.bundle), version=2, engine=second)
    assert second.closed


def test_closing_the_slot_closes_every_engine(stream: Stream, engine: CountingEngine, tmp_path: Path) -> None:
    second, third = (CountingEngine(make_tiny_bundle(tmp_path / name, name=name)) for name in ("b", "c"))
    stream.slot.offer(default_adapter(second.bundle), version=2, engine=second)
    stream.window()
    stream.slot.offer(default_adapter(third.bundle), version=3, engine=third)
    stream.slot.close()
    assert (engine.closed, second.closed, third.closed) == (True, True, True)


def test_events_that_nobody_takes_stay_bounded(stream: Stream) -> None:
    for number in range(EVENTS_MAX + 5):
        stream.slot.refuse(f"refusal {number}")
    events = list(stream.slot.take_events())
    assert len(events) == EVENTS_MAX
    assert events[-1].text == f"refusal {EVENTS_MAX + 4}"


def test_a_model_whose_engine_fails_goes_on_with_its_reserve_and_stays_there(tiny_bundle: Bundle) -> None:
    reserve = CountingEngine(tiny_bundle)
    engine = CountingEngine(tiny_bundle, reserve)
    slot = Slot(engine, default_adapter(tiny_bundle), ManualClock())
    stream = Stream(slot, tiny_bundle)
    slot.offer(red_green_swapped(tiny_bundle), version=7)
    assert stream.window() == (GREEN, 7)
    engine.fault = "cudaGraphLaunch: an illegal memory access was encountered (CUDA error 700)"
    assert stream.window() == (GREEN, 7)
    assert stream.window() == (GREEN, 7)
    assert reserve.windows == 2
    told = [event for event in slot.take_events() if event.kind == "fell_back"]
    assert len(told) == 1
    assert "goes on with onnx: cudaGraphLaunch: an illegal memory access" in told[0].text
    slot.rollback()
    assert stream.window() == (RED, 0), "the previous model is not run on the engine that failed"
    slot.offer(red_green_swapped(tiny_bundle), version=8)
    assert stream.window() == (GREEN, 8)
    assert engine.closed
    assert not reserve.closed
    slot.close()
    assert reserve.closed


def test_a_model_at_fault_is_replaced_on_the_same_engine(tiny_bundle: Bundle) -> None:
    engine = CountingEngine(tiny_bundle, CountingEngine(tiny_bundle))
    slot = Slot(engine, default_adapter(tiny_bundle), ManualClock())
    stream = Stream(slot, tiny_bundle)
    assert stream.window() == (RED, 0)
    slot.offer(not_a_number(tiny_bundle), version=2)
    assert stream.window() == (RED, 0)
    assert slot.engine is engine
    slot.close()


def test_a_reserve_that_fails_too_leaves_the_previous_model(tiny_bundle: Bundle) -> None:
    first, reserve = CountingEngine(tiny_bundle), CountingEngine(tiny_bundle)
    second = CountingEngine(tiny_bundle, reserve)
    slot = Slot(first, default_adapter(tiny_bundle), ManualClock())
    stream = Stream(slot, tiny_bundle)
    slot.offer(red_green_swapped(tiny_bundle), version=1, engine=second)
    second.fault, reserve.fault = "device lost", "no memory"
    assert stream.window() == (RED, 0)
    assert [event.kind for event in slot.take_events()] == ["taken", "fell_back", "fell_back"]
    slot.reap()
    assert second.closed
    assert reserve.closed
