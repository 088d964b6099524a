"""A store with the tiny bundle, lessons of coloured squares, and a learner without a stream."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.desk import Desk
from cavs.adapt.serve.learner import Learner
from cavs.adapt.serve.link import Link
from cavs.adapt.serve.options import ServeOptions
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import Clock, ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.lesson import Lessons
from cavs.runtime.store import ModelStore
from tests.lessons import give_lesson, shown
from tests.tiny_school import TinySchool

STEPS_MAX = 400


@dataclass
class Room:
    """store: version 1 is the tiny bundle; it knows red, green and blue."""

    store: ModelStore
    bundle: Bundle
    school: TinySchool = field(default_factory=TinySchool)
    clock: Clock = field(default_factory=ManualClock)

    @property
    def lessons(self) -> Lessons:
        return Lessons(self.store.path)

    def desk(self, disk: Disk | None = None, **options: object) -> Desk:
        store = ModelStore(self.store.path, clock=self.clock, disk=disk)
        link = Link(None, self.clock)
        return Desk(store, self.school, link, self.clock, ServeOptions.model_validate(options), disk=disk)

    def learner(self, disk: Disk | None = None, **options: object) -> Learner:
        learner = Learner(self.desk(disk, **options))
        learner.start()
        return learner

    def teach(self, name: str | None, colour: tuple[float, ...], **fields: object) -> str:
        return give_lesson(self.store.path, self.bundle, name, colour, **fields)  # type: ignore[arg-type]

    def ended(self, lesson: str) -> bool:
        return self.lessons.outcome(lesson) is not None

    def learn(self, lesson: str, **options: object) -> str:
        """Runs a learner until a lesson has ended; how."""
        learner = self.learner(None, **options)
        run(learner, lambda: self.ended(lesson))
        outcome = self.lessons.outcome(lesson)
        assert outcome is not None
        return f"{outcome.state}: {outcome.reason}"

    def classes(self) -> set[str]:
        """What the current version knows."""
        return {name for _, name in self.store.load_current().adapter.classes}


def run(learner: Learner, done: Callable[[], bool], steps: int = STEPS_MAX) -> None:
    for _ in range(steps):
        if done():
            return
        learner.step()
    pytest.fail(f"not done after {steps} steps")


@pytest.fixture
def room(tmp_path: Path, tiny_bundle: Bundle) -> Room:
    store = ModelStore(tmp_path / "store")
    store.commit(None, store.add_bundle(tiny_bundle.root))
    return Room(store, tiny_bundle)


@pytest.fixture
def primaries(tiny_bundle: Bundle) -> list[Exemplar]:
    """Three windows of red, green and blue each."""
    colours = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}
    return [one for name, colour in colours.items() for one in shown(tiny_bundle, name, colour, count=3)]
