"""The place where the live loop finds its model, and where another thread puts the next one."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cavs.runtime.adapter import Adapter
from cavs.runtime.clock import Clock
from cavs.runtime.engine import Engine, Prediction, PreparedAdapter
from cavs.runtime.errors import AnswerRejected, BundleRejected, EngineError

EVENTS_MAX = 64
"""Events kept until somebody takes them; model changes are rare, the newest matter."""

DIGEST_CHARS = 16
"""Of an id in each message: 64 bits tell all models of a robot apart."""

EventKind = Literal["taken", "rolled_back", "fell_back", "superseded", "refused"]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model made a prediction. `version` is its number in the model store, 0 if it is from none."""

    version: int
    bundle_id: str
    adapter_id: str

    @property
    def digest(self) -> str:
        """Short name of the whole model: an adapter's id covers its bundle's."""
        return self.adapter_id[:DIGEST_CHARS]

    def __str__(self) -> str:
        return f"version {self.version} ({self.digest[:8]})"


@dataclass(frozen=True, slots=True)
class SlotEvent:
    """A model was exchanged, or was not.

    taken:       an offered model runs from this window on.
    rolled_back: the previous model runs again because somebody asked for it.
    fell_back:   the model failed on a window; its reserve engine or the previous model ran that window and goes on.
    superseded:  an offer was replaced by a newer one before a window came.
    refused:     a model never came as far as the slot.
    """

    kind: EventKind
    model: ModelRef
    """The model that runs after the event."""
    text: str
    t_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    engine: Engine
    prepared: PreparedAdapter
    ref: ModelRef
    reserve: "_Model | None" = None
    """The same on the engine that goes on where this one fails."""

    @property
    def engines(self) -> tuple[Engine, ...]:
        return (self.engine,) if self.reserve is None else (self.engine, self.reserve.engine)


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    model: _Model
    kind: EventKind


class Slot:
    """Holds the model that runs, the one before it, and at most one offer.

    One thread calls `run`. Any other offers, rolls back, takes events and reaps; what it prepares is taken between two
    windows, so a window is run by exactly one model. Locks are held for a few assignments, never while a model
    is loaded, run or freed. The slot owns its engines and closes them off the live thread.
    """

    def __init__(self, engine: Engine, adapter: Adapter, clock: Clock, *, version: int = 0) -> None:
        self._clock = clock
        self._current = _model(engine, adapter, version)
        self._previous: _Model | None = None
        self._pending: _Offer | None = None
        self._retired: list[_Model] = []
        self._events: deque[SlotEvent] = deque(maxlen=EVENTS_MAX)
        self._lock = threading.Lock()
        self._offering = threading.Lock()  # taken before _lock; keeps an engine open while an offer is made for it
        self.exchanges = 0
        """Times that `run` began with another model than it ended with before."""

    @property
    def model(self) -> ModelRef:
        """The model that ran last; changes only inside `run`."""
        return self._current.ref

    @property
    def adapter(self) -> Adapter:
        """Its adapter: the names of the classes."""
        return self._current.prepared.adapter

    @property
    def engine(self) -> Engine:
        """Its engine."""
        return self._current.engine

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32]) -> tuple[Prediction, ModelRef]:
        """Takes an offer if there is one, then runs one window; says which model did it.

        If its engine fails, the model runs the same window on its reserve engine and goes on there. If it has none, or the
        model itself is at fault, the previous model does. When nothing is left the EngineError is raised. Arrays as in
        `Engine.run`.
        """
        self.take_offer()
        model, failure = self._current, None
        while True:
            try:
                return model.engine.run(frame, sound, model.prepared), model.ref
            except EngineError as error:
                if failure is not None:
                    error = EngineError(f"{error}; it ran because the model before it failed: {failure}")
                failure = error
            model = self._fall_back(failure)

    def offer(self, adapter: Adapter, *, version: int = 0, engine: Engine | None = None) -> ModelRef:
        """Prepares a model on the caller's thread; the next window takes it, unless a newer offer replaces it first.

        engine: for a bundle that no engine here runs (`runs_bundle`). It belongs to the slot from here on, also if the
            offer is refused.
        Raises AdapterRejected, or BundleRejected if the windows of the two bundles differ.
        """
        with self._offering:
            try:
                self._check_windows(engine)
                model = _model(engine or self._engine_for(adapter), adapter, version)
            except EngineError:
                if engine is not None:
                    engine.close()
                    if engine.reserve is not None:
                        engine.reserve.close()
                raise
            with self._lock:
                self._put(_Offer(model, "taken"))
            self._reap()
        return model.ref

    def runs_bundle(self, bundle_id: str) -> bool:
        """True if an engine of this bundle is here, so that `offer` needs none."""
        with self._lock:
            return any(model.engine.bundle.id == bundle_id for model in self._resident())

    def rollback(self) -> ModelRef:
        """Asks for the previous model; the next window takes it. Raises EngineError if there is none."""
        with self._lock:
            if self._previous is None:
                raise EngineError(f"nothing to roll back to: {self._current.ref} is the first model of this run")
            self._put(_Offer(self._previous, "rolled_back"))
            return self._previous.ref

    def refuse(self, text: str) -> None:
        """Records that a model never came as far as the slot."""
        self._note("refused", text)

    def take_events(self) -> Iterator[SlotEvent]:
        """The events since the last call, oldest first."""
        while self._events:
            yield self._events.popleft()

    def reap(self) -> None:
        """Frees models that are out of use. `offer` does it too; call it now and then from a thread that may wait."""
        with self._offering:
            self._reap()

    def close(self) -> None:
        """Closes all engines. Call it when no thread runs or offers any more."""
        with self._offering, self._lock:
            for model in (*self._resident(), *self._retired):
                for engine in model.engines:
                    engine.close()
            self._retired.clear()

    def _check_windows(self, engine: Engine | None) -> None:
        if engine is None:
            return
        now, then = self._current.engine.bundle.manifest, engine.bundle.manifest
        if (now.frame, now.sound) != (then.frame, then.sound):
            raise BundleRejected(
                f"bundle {then.id[:12]} takes {_window(engine)}, this stream cuts {_window(self._current.engine)}; "
                "start the stream again to change to it"
            )

    def _resident(self) -> tuple[_Model, ...]:
        """Models that may still run, newest first. Called under the lock."""
        pending = self._pending.model if self._pending else None
        return tuple(model for model in (pending, self._current, self._previous) if model is not None)

    def _engine_for(self, adapter: Adapter) -> Engine:
        with self._lock:
            for model in self._resident():
                if model.engine.bundle.id == adapter.bundle_id:
                    return model.engine
            return self._current.engine  # its `prepare` says that the adapter is of another bundle

    def _put(self, offer: _Offer) -> None:
        if self._pending is not None:
            lost = self._pending.model
            self._retired.append(lost)
            self._note("superseded", f"{lost.ref} was never used: {offer.model.ref} came before the next window")
        self._pending = offer

    def take_offer(self) -> None:
        """Exchanges references if there is an offer; frees nothing. `run` begins with it; only its thread may call it."""
        if self._pending is None:
            return
        with self._lock:
            offer, self._pending = self._pending, None
            if offer is None or offer.model is self._current:
                return
            left = self._current
            if self._previous is not None:
                self._retired.append(self._previous)
            self._current, self._previous = offer.model, left
            self.exchanges += 1
            self._note(offer.kind, f"{offer.model.ref} runs on {offer.model.engine.name}, before it {left.ref}")

    def _fall_back(self, failure: EngineError) -> _Model:
        with self._lock:
            failed = self._current
            ways = (failed.reserve, self._previous)
            # What a model says wrongly it says on every engine; what an engine fails at, it fails at for every model.
            model = next(filter(None, reversed(ways) if isinstance(failure, AnswerRejected) else ways), None)
            if model is None:
                raise failure
            if model is self._previous:
                self._previous = None
            elif self._previous is not None and self._previous.engine is failed.engine:
                self._previous = self._previous.reserve  # an engine that failed is not gone back to
            self._current = model
            self._retired.append(failed)
            self.exchanges += 1
            self._note(
                "fell_back", f"{failed.ref} failed on {failed.engine.name}, {model.ref} {_goes_on(failed, model)}: {failure}"
            )
            return model

    def _note(self, kind: EventKind, text: str) -> None:
        self._events.append(SlotEvent(kind, self._current.ref, text, self._clock.now_ns()))

    def _reap(self) -> None:
        with self._lock:
            retired, self._retired = self._retired, []
            used = {id(engine) for model in self._resident() for engine in model.engines}
        for model in retired:
            for engine in model.engines:
                if id(engine) not in used:
                    engine.close()


def _model(engine: Engine, adapter: Adapter, version: int) -> _Model:
    ref = ModelRef(version, engine.bundle.id, adapter.id)
    reserve = None if engine.reserve is None else _Model(engine.reserve, engine.reserve.prepare(adapter), ref)
    return _Model(engine, engine.prepare(adapter), ref, reserve)


def _goes_on(failed: _Model, model: _Model) -> str:
    return f"goes on with {model.engine.name}" if model is failed.reserve else "runs again"


def _window(engine: Engine) -> str:
    manifest = engine.bundle.manifest
    return (
        f"{manifest.frame.width_px}x{manifest.frame.height_px} px with {manifest.sound.samples} samples at "
        f"{manifest.sound.rate_hz} Hz (look-ahead {manifest.sound.lookahead_samples})"
    )
