"""What follows from a probation: the version stays, or the one before it comes back and it goes into quarantine."""

from cavs.adapt.serve.desk import Desk
from cavs.adapt.serve.lookout import what_is_wrong
from cavs.adapt.serve.probation import Probation, ProbationRecord
from cavs.adapt.serve.trial import Contender
from cavs.runtime.errors import CavsError, LessonRejected, StoreError
from cavs.runtime.lesson import Outcome

LOOK_SECONDS, LOOK_WINDOWS = 8.0, 24
"""Of the stream's last windows that both versions are run on."""


class Proving:
    """Ends probations. One thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.probation = Probation(desk.home, self._inspect, desk.options.probation, disk=desk.disk)
        desk.note(proving=self.probation.record.version if self.probation.record else None)

    def step(self) -> None:
        """Looks at the version on probation."""
        record = self.probation.record
        if record is None:
            return
        version = self._version_of(record)
        if version is None:
            return
        pointer = self._desk.store.pointer()
        fault = self.probation.fault()
        if fault:
            self._withdraw(record, version, fault)
        elif pointer is not None and pointer.version != version:
            self._end(f"version {version} is no longer current: its probation is over")
        elif self.probation.proven():
            self._end(f"version {version} is proven")

    def _version_of(self, record: ProbationRecord) -> int | None:
        """The version on probation. Without a number it was cut short at its commit: the task does that again."""
        if record.version is None and self._desk.task.task() is None:
            self._end("")  # a commit that never came: nothing is on probation
        elif record.version is not None:
            return record.version
        return None

    def _withdraw(self, record: ProbationRecord, version: int, fault: str) -> None:
        """Rolls back, then quarantine, then the lesson's end; a kill in between is made good by doing it again."""
        desk, numbers = self._desk, self.probation.numbers()
        reason = f"rolled back on probation: {fault}"
        try:
            pointer = desk.store.pointer()
            if pointer is not None and pointer.version == version:
                desk.store.rollback()
            if desk.store.quarantined(version) is None:
                desk.store.quarantine(version, reason, numbers)
        except StoreError as error:
            desk.note(trouble=f"version {version} should go ({fault}), but: {error}", now=True)
            return
        try:
            before = desk.lessons.outcome(record.lesson)
            verdict = before.verdict if before is not None else {}
            outcome = Outcome(state="refused", version=version, reason=reason, verdict={**verdict, "probation": numbers})
            desk.lessons.finish(record.lesson, outcome)
        except LessonRejected:  # a consolidation is no lesson
            pass
        now = desk.store.load_current().version
        desk.note(trouble=reason, version=now)
        self._end(f"version {version} {reason}; version {now} runs again")

    def _end(self, text: str) -> None:
        self.probation.end()
        self._desk.note(proving=None, now=True)
        if text:
            self._desk.link.say("learner", "probation", text)

    def _inspect(self) -> str:
        """Both versions on the stream's last windows; empty where that cannot be done."""
        desk, record = self._desk, self.probation.record
        pointer = desk.store.pointer()
        if record is None or record.version is None or pointer is None or not pointer.trail:
            return ""
        live = desk.link.recent(LOOK_SECONDS, LOOK_WINDOWS)
        try:
            new, before = desk.store.load(record.version), desk.store.load(pointer.trail[-1])
            frame = new.bundle.manifest.frame
            if live is None or live.frames.shape[1:3] != (frame.height_px, frame.width_px):
                return ""
            desk.working = True
            return what_is_wrong(
                Contender(desk.engine(new.bundle), new.adapter),
                Contender(desk.engine(before.bundle), before.adapter),
                live,
                desk.options.gate.muted_mass,
            )
        except StoreError:  # the version before is gone: nothing to compare with
            return ""
        except CavsError as error:
            return str(error)
