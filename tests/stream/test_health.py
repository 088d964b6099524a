import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from cavs.stream.counters import Counters
from cavs.stream.health import EVENTS_KEPT, Health
from cavs.stream.latency import StageTimes
from cavs.stream.sound_line import SoundLine


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def health(tiny_bundle: Bundle, clock: ManualClock) -> Health:
    slot = Slot(OnnxEngine(tiny_bundle, threads=1), default_adapter(tiny_bundle), clock)
    return Health(clock, Counters(["frames_stale"]), slot)


def window(milliseconds: int) -> StageTimes:
    return StageTimes(0, 0, milliseconds * NS_PER_MS, 0, 0, milliseconds * NS_PER_MS)


def test_a_second_counts_only_its_own_windows(health: Health, clock: ManualClock) -> None:
    drift = SoundLine(16000, 1.0).report()
    for _ in range(30):
        health.note_window(window(12), 1, 0)
    clock.advance_ns(NS_PER_S)
    assert health.second(drift)["fps"] == pytest.approx(30.0)
    for _ in range(10):
        health.note_window(window(40), 2, 0)
    clock.advance_ns(NS_PER_S)
    second = health.second(drift)
    assert second["fps"] == pytest.approx(10.0)
    assert second["latency_p50_ms"] == pytest.approx(40.0, rel=0.02)
    assert second["objects"] == 2
    whole = health.report(drift, "test")
    assert whole["windows_published"] == 40
    assert whole["latency_ms"]["infer"]["p50_ms"] == pytest.approx(12.0, rel=0.02)


def test_the_metrics_see_what_the_last_second_left(health: Health, clock: ManualClock) -> None:
    health.note_window(window(12), 1, 0)
    clock.advance_ns(NS_PER_S)
    health.second(SoundLine(16000, 1.0).report())
    seen = health.snapshot()
    assert seen["counters"] == {"frames_stale": 0, "windows_published": 1}
    assert seen["latency_ms"]["infer"]["p99"] == pytest.approx(12.0, rel=0.02)
    assert seen["model"]["engine"] == "onnx"


def test_a_cable_that_shakes_for_a_day_keeps_only_the_newest_events(health: Health, clock: ManualClock) -> None:
    for number in range(EVENTS_KEPT * 3):
        health.note_event("lost", "camera", str(number), clock.now_ns())
    events = health.report(SoundLine(16000, 1.0).report(), "test")["events"]
    assert len(events) == EVENTS_KEPT
    assert events[-1]["text"] == str(EVENTS_KEPT * 3 - 1)
