"""Windows through the engine, one at a time and several at once: the same masks, in order, none lost in an exchange."""

from collections.abc import Iterator

import numpy as np
import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.engine import LABEL_FIRST_CLASS
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from cavs.stream.items import StampGrade, VideoFrame, Window
from cavs.stream.runner import OneAtATime, Ran, Runner, SeveralAtOnce
from tests.tiny_bundle import not_a_number, red_green_swapped, square_frame, tone

CLOCK = MonotonicClock()
RED, GREEN = LABEL_FIRST_CLASS, LABEL_FIRST_CLASS + 1
WINDOWS = 12


@pytest.fixture
def slot(tiny_bundle: Bundle) -> Iterator[Slot]:
    slot = Slot(OnnxEngine(tiny_bundle, threads=1), default_adapter(tiny_bundle), CLOCK, version=1)
    yield slot
    slot.close()


@pytest.fixture
def several(slot: Slot) -> Iterator[SeveralAtOnce]:
    runner = SeveralAtOnce(slot, CLOCK, 3)
    yield runner
    runner.close()


def test_several_at_once_gives_what_one_at_a_time_gives_in_the_order_of_the_windows(
    slot: Slot, several: SeveralAtOnce, tiny_bundle: Bundle
) -> None:
    windows = [moved(tiny_bundle, seq) for seq in range(WINDOWS)]
    expected = all_of(OneAtATime(slot, CLOCK), windows)
    assert all_of(several, windows) == expected
    assert len({labels for _, labels, _ in expected}) == WINDOWS


def test_a_window_is_run_by_the_model_that_the_slot_held_when_it_was_started(
    slot: Slot, several: SeveralAtOnce, tiny_bundle: Bundle
) -> None:
    ran: list[tuple[int, int]] = []
    for seq in range(WINDOWS):
        if seq == 5:
            slot.offer(red_green_swapped(tiny_bundle), version=2)
        several.start(moved(tiny_bundle, seq), 0)
        ran += [label_and_version(done) for done in everything(several, wait=False)]
    ran += [label_and_version(done) for done in everything(several, wait=True)]
    assert ran == [(RED, 1)] * 5 + [(GREEN, 2)] * (WINDOWS - 5)


def test_a_model_that_fails_is_left_for_the_one_before_it_and_no_window_is_lost(
    slot: Slot, several: SeveralAtOnce, tiny_bundle: Bundle
) -> None:
    ran: list[tuple[int, int]] = []
    for seq in range(WINDOWS):
        if seq == 5:
            slot.offer(not_a_number(tiny_bundle), version=2)
        several.start(moved(tiny_bundle, seq), 0)
        ran += [(done.window.seq, done.model.version) for done in everything(several, wait=False)]
    ran += [(done.window.seq, done.model.version) for done in everything(several, wait=True)]
    assert ran == [(seq, 1) for seq in range(WINDOWS)]
    assert [event.kind for event in slot.take_events()] == ["taken", "fell_back"]


def test_a_window_too_many_is_misuse(several: SeveralAtOnce, tiny_bundle: Bundle) -> None:
    for seq in range(4):
        several.start(moved(tiny_bundle, seq), 0)
    with pytest.raises(ValueError, match="no lane is free"):
        several.start(moved(tiny_bundle, 4), 0)


def all_of(runner: Runner, windows: list[Window]) -> list[tuple[int, bytes, bytes]]:
    ran: list[tuple[int, bytes, bytes]] = []
    for window in windows:
        runner.start(window, 0)
        ran += [answer(done) for done in everything(runner, wait=False)]
    return ran + [answer(done) for done in everything(runner, wait=True)]


def everything(runner: Runner, *, wait: bool) -> Iterator[Ran]:
    while (ran := runner.take(wait=wait)) is not None:
        yield ran


def answer(ran: Ran) -> tuple[int, bytes, bytes]:
    assert ran.received_ns <= ran.formed_ns <= ran.inferred_ns
    return ran.window.seq, ran.prediction.labels.tobytes(), ran.prediction.presence.tobytes()


def label_and_version(ran: Ran) -> tuple[int, int]:
    return int(ran.prediction.labels.max()), ran.model.version


def moved(bundle: Bundle, seq: int) -> Window:
    """A red square that has moved on by a pixel for each window, and its tone."""
    pixels = np.roll(square_frame(bundle, "red"), seq, axis=1)
    frame = VideoFrame(pixels, t_ns=seq, index=seq)
    return Window(frame, tone(bundle), seq, 0, 0, missing=0, skew_ns=0, sound_grade=StampGrade.A)
