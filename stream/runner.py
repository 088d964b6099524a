"""Windows through the engine: live one after the other, of a file several at once. What comes out is in their order."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cavs.runtime.adapter import Adapter
from cavs.runtime.clock import Clock
from cavs.runtime.engine import Prediction, PreparedAdapter
from cavs.runtime.errors import EngineError
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.preprocess import fit_frame
from cavs.runtime.slot import ModelRef, Slot
from cavs.stream.items import Window


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """A window that went through the engine. Its arrays are valid until the next call of the runner that gave it.

    frame: what the engine saw, uint8 (H, W, 3). received_ns, formed_ns, inferred_ns: when the main loop had the frame, when
    it had the network's size, when the engine was done.
    """

    window: Window
    frame: npt.NDArray[np.uint8]
    prediction: Prediction
    model: ModelRef
    adapter: Adapter
    received_ns: int
    formed_ns: int
    inferred_ns: int


class Runner(Protocol):
    """Takes windows in and gives each back once, in order. One thread calls it."""

    def start(self, window: Window, received_ns: int) -> None:
        """Begins a window; `take` until it gives None before the next. Raises EngineError if no model can run it."""

    def take(self, *, wait: bool = False) -> Ran | None:
        """The oldest window that is done, or that must be done before there is room. wait: whatever is under way."""

    def close(self) -> None:
        """Ends its threads; what is under way is forgotten."""


class OneAtATime:
    """Runs each window on the calling thread, with all the threads of the engine: the shortest way to its masks."""

    def __init__(self, slot: Slot, clock: Clock) -> None:
        self._slot, self._clock = slot, clock
        self._frame = _empty_frame(slot)
        self._ran: Ran | None = None

    def start(self, window: Window, received_ns: int) -> None:
        fit_frame(window.frame.pixels, self._frame.shape[:2], self._frame)
        formed_ns = self._clock.now_ns()
        prediction, model = self._slot.run(self._frame, window.sound)
        adapter, inferred_ns = self._slot.adapter, self._clock.now_ns()
        self._ran = Ran(window, self._frame, prediction, model, adapter, received_ns, formed_ns, inferred_ns)

    def take(self, *, wait: bool = False) -> Ran | None:
        ran, self._ran = self._ran, None
        return ran

    def close(self) -> None:
        self._ran = None


@dataclass(frozen=True, slots=True, eq=False)
class _Started:
    window: Window
    received_ns: int
    lane: "_Lane"
    model: ModelRef
    adapter: Adapter
    done: "Future[tuple[Prediction, int, int]]"


class SeveralAtOnce:
    """Runs windows on threads of their own, one engine thread each: more windows per second than one after the other.

    Two threads that share one step wait for each other at every layer; two steps side by side do not. Only for an ONNX
    engine, whose session may be run by several threads at once. Models are exchanged between two windows as ever: a window
    is run by the model that the slot held when it was started. If that fails, the slot runs the window again, and falls back.
    """

    def __init__(self, slot: Slot, clock: Clock, windows: int) -> None:
        if windows < 1:
            raise ValueError(f"windows={windows}: at least 1 expected")
        self._slot = slot
        self._pool = ThreadPoolExecutor(windows, thread_name_prefix="engine")
        # One lane more than threads: its window waits ready while the result of another is published.
        self._idle = deque(_Lane(_empty_frame(slot), clock) for _ in range(windows + 1))
        self._clock = clock
        self._started: deque[_Started] = deque()
        self._given: _Lane | None = None

    def start(self, window: Window, received_ns: int) -> None:
        self._take_back()
        if not self._idle:
            raise ValueError("no lane is free: take() before start()")
        self._slot.take_offer()
        engine = self._slot.engine
        if not isinstance(engine, OnnxEngine):
            raise ValueError(f"engine {engine.name}: several windows at once need the onnx engine")
        lane, adapter = self._idle.popleft(), self._slot.adapter
        done = self._pool.submit(lane.run, window, engine, adapter)
        self._started.append(_Started(window, received_ns, lane, self._slot.model, adapter, done))

    def take(self, *, wait: bool = False) -> Ran | None:
        self._take_back()
        if not self._started or (self._idle and not wait and not self._started[0].done.done()):
            return None
        started = self._started.popleft()
        window, lane, model, adapter = started.window, started.lane, started.model, started.adapter
        self._given = lane
        try:
            prediction, formed_ns, inferred_ns = started.done.result()
        except EngineError:
            formed_ns = self._clock.now_ns()
            prediction, model = self._slot.run(lane.frame, window.sound)
            adapter, inferred_ns = self._slot.adapter, self._clock.now_ns()
        return Ran(window, lane.frame, prediction, model, adapter, started.received_ns, formed_ns, inferred_ns)

    def close(self) -> None:
        self._started.clear()
        self._pool.shutdown(cancel_futures=True)

    def _take_back(self) -> None:
        """The lane whose result was given is free again: its reader has come back."""
        if self._given is not None:
            self._idle.append(self._given)
            self._given = None


class _Lane:
    """Buffers for one window at a time: an engine beside the slot's, on the same session."""

    def __init__(self, frame: npt.NDArray[np.uint8], clock: Clock) -> None:
        self.frame = frame
        self._clock = clock
        self._of: OnnxEngine | None = None
        self._prepared: PreparedAdapter | None = None

    def run(self, window: Window, engine: OnnxEngine, adapter: Adapter) -> tuple[Prediction, int, int]:
        """The prediction, when the frame was ready, when the engine was done."""
        fit_frame(window.frame.pixels, self.frame.shape[:2], self.frame)
        formed_ns = self._clock.now_ns()
        if engine is not self._of:
            self._of, self._twin, self._prepared = engine, engine.twin(), None
        if self._prepared is None or self._prepared.adapter is not adapter:
            self._prepared = self._twin.prepare(adapter)
        return self._twin.run(self.frame, window.sound, self._prepared), formed_ns, self._clock.now_ns()


def _empty_frame(slot: Slot) -> npt.NDArray[np.uint8]:
    frame = slot.engine.bundle.manifest.frame
    return np.empty((frame.height_px, frame.width_px, 3), np.uint8)
