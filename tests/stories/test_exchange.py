"""A stream runs windows while another thread changes its model: nothing lost, nothing done twice, nothing mixed."""

import threading

import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.engine import LABEL_FIRST_CLASS
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from tests.tiny_bundle import red_green_swapped, square_frame, tone

RED, GREEN = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1
EXCHANGES = 1000


@pytest.fixture
def slot(tiny_bundle: Bundle) -> Slot:
    return Slot(OnnxEngine(tiny_bundle, threads=1), default_adapter(tiny_bundle), MonotonicClock(), version=1)


def test_each_of_a_thousand_exchanges_comes_up_in_exactly_one_window(slot: Slot, tiny_bundle: Bundle) -> None:
    """The offering thread waits until its model was taken, so every version must answer once and in order."""
    adapters = (default_adapter(tiny_bundle), red_green_swapped(tiny_bundle))
    offered, taken = threading.Semaphore(0), threading.Semaphore(0)

    def offer_all() -> None:
        for version in range(2, EXCHANGES + 2):
            slot.offer(adapters[version % 2 == 0], version=version)
            offered.release()
            taken.acquire()

    thread = threading.Thread(target=offer_all)
    thread.start()
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    answers = []
    for _ in range(EXCHANGES):
        offered.acquire()
        prediction, model = slot.run(frame, sound)
        answers.append((int(prediction.labels.max()), model.version))
        taken.release()
    thread.join()
    assert answers == [(GREEN if version % 2 == 0 else RED, version) for version in range(2, EXCHANGES + 2)]
    assert slot.exchanges == EXCHANGES


def test_offers_at_any_moment_leave_every_window_with_one_whole_model(slot: Slot, tiny_bundle: Bundle) -> None:
    adapters = (default_adapter(tiny_bundle), red_green_swapped(tiny_bundle))
    last = 301
    done = threading.Event()

    def offer_all() -> None:
        for version in range(2, last + 1):
            slot.offer(adapters[version % 2 == 0], version=version)
            if version % 7 == 0:
                slot.reap()
        done.set()

    thread = threading.Thread(target=offer_all)
    thread.start()
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    answers: list[tuple[int, int]] = []
    while not (done.is_set() and answers and answers[-1][1] == last):  # all may be offered before the first window
        prediction, model = slot.run(frame, sound)
        answers.append((int(prediction.labels.max()), model.version))
    thread.join()
    assert all(label == (GREEN if version % 2 == 0 else RED) for label, version in answers)
    versions = [version for _, version in answers]
    assert versions == sorted(versions)


def test_an_adapter_may_be_prepared_while_a_window_runs(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    frame, sound = square_frame(tiny_bundle, "red"), tone(tiny_bundle)
    prepared, swapped = engine.prepare(default_adapter(tiny_bundle)), red_green_swapped(tiny_bundle)
    thread = threading.Thread(target=lambda: [engine.prepare(swapped) for _ in range(50)])
    thread.start()
    said = {int(engine.run(frame, sound, prepared).labels.max()) for _ in range(50)}
    thread.join()
    assert said == {RED}
