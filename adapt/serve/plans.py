"""From a lesson to a task: what is learned from which version, and what is rehearsed with it."""

import numpy as np

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.desk import Desk, doubled, free_rows
from cavs.adapt.serve.exemplar_files import Kept
from cavs.adapt.serve.proposals import Proposals, check_teaching
from cavs.adapt.serve.rehearsal import draw_rehearsal
from cavs.adapt.serve.task import TaskRecord
from cavs.adapt.serve.trial import UNKNOWN
from cavs.runtime.errors import AdaptError, LessonRejected, StoreError
from cavs.runtime.lesson import LessonRequest
from cavs.runtime.store_read import StoredModel


class NoRoom(AdaptError):
    """The class table has no row left for the lesson. capacity: rows that a larger bundle shall have."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"the class table of {rows} rows is full")
        self.capacity = doubled(rows)


class Plans:
    """Makes tasks of lessons. One thread."""

    def __init__(self, desk: Desk, proposals: Proposals) -> None:
        self._desk = desk
        self._proposals = proposals

    def plan(self, request: LessonRequest, restarts: int) -> TaskRecord:
        """The task of a lesson that was labelled and accepted. Raises NoRoom, or LessonRejected if it cannot be learned."""
        desk = self._desk
        current = desk.store.load_current()
        check_teaching(request, current)
        plan = self._forget(request, current) if request.kind == "forget" else self._teach(request, current)
        return plan.model_copy(update={"restarts": restarts, "seed": desk.options.seed, "began_wall_ns": desk.wall_ns()})

    def exemplars(self, task: TaskRecord) -> tuple[list[Exemplar], list[Exemplar], list[Exemplar]]:
        """(to learn from, rehearsed, held out) of a task, decoded. What was removed from the memory since is left out."""
        memory = {one.id: one for one in self._desk.memory.folder.kept()}
        if task.forgotten is None:
            new, held = self._proposals.exemplars(task.lesson)
        else:
            new, held = tuple(memory[number] for number in task.new if number in memory), ()
        base = self._desk.store.load(task.base_version)
        rehearsed = [memory[number] for number in dict.fromkeys(task.memory) if number in memory]
        by_id = self._decoded((*new, *held, *rehearsed), base)
        return (
            [by_id[number] for number in task.new if number in by_id],
            [by_id[number] for number in task.memory if number in by_id],
            [by_id[number] for number in task.held if number in by_id],
        )

    def _teach(self, request: LessonRequest, current: StoredModel) -> TaskRecord:
        new, held = self._proposals.exemplars(request.id)
        if not new:
            raise LessonRejected(f"lesson {request.id}: its exemplars are gone; teach it again")
        names = {name for one in (*new, *held) for name in one.record.names} - {UNKNOWN}
        known = {name for _, name in current.adapter.classes}
        if len(names - known) > free_rows(current):
            raise NoRoom(current.bundle.manifest.adapter.class_capacity)
        return self._task(request, current, current, new, held, names)

    def _forget(self, request: LessonRequest, current: StoredModel) -> TaskRecord:
        """Everything that shows the class goes first; then the rest is learned again from the last version without it."""
        desk, name = self._desk, request.name
        assert name is not None  # LessonRequest checks it
        desk.memory.forget(name)
        desk.anchors.forget(name)
        desk.asked.clear()
        for lesson in desk.lessons.ids():
            if _is_about(desk, lesson, name):
                desk.lessons.drop_windows(lesson)
        base = self._last_without(name, current)
        since = {label for _, label in current.adapter.classes} - {label for _, label in base.adapter.classes} - {name}
        new = tuple(one for one in desk.memory.folder.kept() if set(one.record.names) & since)
        taught = {label for one in new for label in one.record.names} & since
        if lost := sorted(since - taught):
            raise LessonRejected(
                f"class {name!r} cannot be forgotten by itself: {', '.join(lost)} was learned after it, and the memory holds "
                "nothing of it to learn it again from; forget that too, or teach it again first"
            )
        if base.version != current.version and len(since) > free_rows(base):
            raise NoRoom(base.bundle.manifest.adapter.class_capacity)
        task = self._task(request, current, base, new, (), taught)
        return task.model_copy(update={"forgotten": name})

    def _last_without(self, name: str, current: StoredModel) -> StoredModel:
        """The newest usable version that never knew the class; the current one itself if all do (the bundle knows it)."""
        for version in reversed(self._desk.store.versions()):
            if version >= current.version:
                continue
            try:
                model = self._desk.store.load(version)
            except StoreError:  # damaged, or in quarantine
                continue
            if all(label != name for _, label in (*model.adapter.classes, *model.bundle.manifest.classes)):
                return model
        return current

    def _task(  # noqa: PLR0917  what a task is made of
        self,
        request: LessonRequest,
        current: StoredModel,
        base: StoredModel,
        new: tuple[Kept, ...],
        held: tuple[Kept, ...],
        names: set[str],
    ) -> TaskRecord:
        return TaskRecord(
            lesson=request.id,
            names=tuple(sorted(names)),
            base_version=base.version,
            base_bundle=base.bundle.id,
            base_adapter=base.adapter.id,
            incumbent=current.adapter.id,
            incumbent_version=current.version,
            new=tuple(one.id for one in new),
            held=tuple(one.id for one in held),
            memory=self._rehearsed(request.id, base, new, names) if new else (),
        )

    def _rehearsed(self, lesson: str, base: StoredModel, new: tuple[Kept, ...], names: set[str]) -> tuple[str, ...]:
        """Ids of the memory's exemplars that the base can rehearse, those of classes that collide more often (CSR)."""
        desk = self._desk
        rows = {name: row for row, name in base.adapter.classes}
        allowed = {*rows, *names, UNKNOWN}
        own = {one.id for one in new}
        usable = [one for one in desk.memory.folder.kept() if one.id not in own and set(one.record.names) <= allowed]
        learned = list(self._decoded(new, base).values())
        said = desk.contender(base).say_all(learned, desk.breathe)
        return draw_rehearsal(usable, learned, said, rows, np.random.default_rng(desk.options.seed))

    def _decoded(self, kept: tuple[Kept, ...], base: StoredModel) -> dict[str, Exemplar]:
        frame, sound = base.bundle.manifest.frame, base.bundle.manifest.sound
        return self._desk.memory.read(kept, (frame.height_px, frame.width_px), sound.samples)


def _is_about(desk: Desk, lesson: str, name: str) -> bool:
    """Whether a lesson shows a class; one that cannot be read is not known to."""
    try:
        return desk.lessons.request(lesson).name == name
    except LessonRejected:
        return False
