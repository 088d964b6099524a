"""What all parts of the learner share: the store, the stream, the engines, and the habit of giving way between two windows."""

from collections.abc import Callable
from pathlib import Path

from cavs.adapt.serve.anchors import Anchors
from cavs.adapt.serve.asking import Asked
from cavs.adapt.serve.link import Link
from cavs.adapt.serve.memory import MIB, Bounds, Memory
from cavs.adapt.serve.options import ServeOptions
from cavs.adapt.serve.school import School
from cavs.adapt.serve.status import LEARNER, Doing, LearnerStatus, write_status
from cavs.adapt.serve.task import TaskFolder
from cavs.adapt.serve.trial import Contender
from cavs.adapt.serve.yielding import Yielding
from cavs.runtime.bundle import Bundle
from cavs.runtime.choose import open_engine
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.disk import Disk
from cavs.runtime.engine import Engine
from cavs.runtime.lesson import Lessons, wall_now_ns
from cavs.runtime.lesson_windows import Windows
from cavs.runtime.manifest import CAPACITY_MAX
from cavs.runtime.store import ModelStore
from cavs.runtime.store_read import StoredModel

ENGINES_KEPT = 2
"""Of the current bundle, and of one that is being compared with it."""
STATUS_NS = NS_PER_S
PAUSED_NS = 100 * NS_PER_MS
"""Between two looks at whether it may go on."""


class Stopped(Exception):
    """The learner was told to end; what it was doing is on the disk as far as it must be."""


class Desk:
    """One learner's things. One thread.

    attend: called between two windows or steps; hears the stream. Set by the learner.
    """

    def __init__(
        self,
        store: ModelStore,
        school: School,
        link: Link,
        clock: Clock,
        options: ServeOptions,
        *,
        disk: Disk | None = None,
    ) -> None:
        self.store, self.school, self.link, self.clock, self.options = store, school, link, clock, options
        self.disk = disk or Disk()
        self.home = store.path / LEARNER
        self.lessons = Lessons(store.path, disk=self.disk)
        self.task = TaskFolder(self.home / "task", disk=self.disk)
        bounds = Bounds(round(options.memory_mib * MIB), options.memory_days)
        self.memory = Memory(self.home / "memory", bounds, disk=self.disk)
        self.anchors = Anchors(self.home / "anchors", disk=self.disk)
        self.asked = Asked(self.home / "asked", options.ask, disk=self.disk)
        self.yielding = Yielding(clock, options.give_way)
        self.status = LearnerStatus(pid=0, doing="idle")
        self.working = False
        """Whether it computes for a lesson now; the stream's own p99 is taken from seconds without."""
        self.attend: Callable[[], None] = lambda: None
        self.stopping: Callable[[], bool] = lambda: False
        self._engines: dict[str, Engine] = {}
        self._written_ns: int | None = None

    def wall_ns(self) -> int:
        """Wall time, for people and for the age of exemplars."""
        return wall_now_ns()

    def engine(self, bundle: Bundle) -> Engine:
        """An engine of the learner's own, one thread: the trial's windows must not take the stream's cores."""
        if bundle.id not in self._engines:
            while len(self._engines) >= ENGINES_KEPT:
                self._engines.pop(next(iter(self._engines))).close()
            self._engines[bundle.id] = open_engine(bundle, "onnx", 1)[0]
        return self._engines[bundle.id]

    def contender(self, model: StoredModel) -> Contender:
        """A version on an engine."""
        return Contender(self.engine(model.bundle), model.adapter)

    def live(self) -> Windows | None:
        """What the stream saw just now; none if it cannot be asked."""
        return self.link.recent(self.options.live_seconds, self.options.live_windows)

    def breathe(self) -> None:
        """Between two windows or steps: hears the stream, and stands still while it must. Raises Stopped."""
        while True:
            self.attend()
            if self.stopping():
                raise Stopped
            reason = self.yielding.reason()
            if reason != self.status.paused:
                self.note(paused=reason, now=True)
            if not reason:
                return
            self.working = False
            self.clock.sleep_ns(PAUSED_NS)

    def note(self, *, now: bool = False, **fields: object) -> None:
        """Changes the status; it is written when it is a second old, or at once."""
        self.status = self.status.model_copy(update=fields)
        now_ns = self.clock.now_ns()
        if now or self._written_ns is None or now_ns - self._written_ns >= STATUS_NS:
            self._written_ns = now_ns
            self.status = self.status.model_copy(update={"wall_ns": self.wall_ns()})
            write_status(self.store.path, self.status)

    def turn(self, doing: Doing, text: str = "", **fields: object) -> None:
        """Begins another phase: status and, with a text, an event on the wire."""
        changed = doing != self.status.doing
        self.note(now=changed or bool(text), doing=doing, **fields)
        if text:
            self.link.say("learner", doing, text)

    def close(self) -> None:
        """Frees the engines and the line to the stream."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self.link.close()


def free_rows(model: StoredModel) -> int:
    """Rows of the class table that no class has."""
    return model.bundle.manifest.adapter.class_capacity - len(model.adapter.classes)


def doubled(capacity: int) -> int:
    """Twice as many rows, as far as labels go."""
    return min(2 * capacity, CAPACITY_MAX)


def clear_staged(home: Path, disk: Disk) -> None:
    """Removes what a killed learner left half written in its own directory."""
    for torn in home.glob(".*.writing*"):
        disk.remove(torn)
