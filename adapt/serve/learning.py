"""One lesson from its task to the store: train in small slices, the gate, commit. Every step can be cut short.

What was decided lies in `task.json`; all that follows from it can be done again, so a learner that was killed anywhere does it
again and comes to the same end.
"""

from contextlib import suppress

from cavs.adapt.serve.desk import Desk
from cavs.adapt.serve.gate import Gate
from cavs.adapt.serve.ground import Ground
from cavs.adapt.serve.plans import Plans
from cavs.adapt.serve.probation import Probation
from cavs.adapt.serve.proposals import Proposals
from cavs.adapt.serve.school import Training
from cavs.adapt.serve.task import TaskRecord
from cavs.adapt.serve.trial import Contender
from cavs.adapt.serve.verdict import Verdict
from cavs.runtime.adapter import Adapter, make_adapter, read_adapter
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import LessonRejected, StoreError, TrainingStopped
from cavs.runtime.lesson import LessonRequest, Outcome, State
from cavs.runtime.store_read import StoredModel

RESTARTS_MAX = 3
"""How often a lesson begins again because another version became current meanwhile."""
LEARNED_ENOUGH_STEPS = 5
"""Steps from which on the time that is left can be told."""
ALL_VERSIONS = 1 << 30


class Learning:
    """Carries one lesson through. One thread."""

    def __init__(self, desk: Desk, proposals: Proposals, probation: Probation) -> None:
        self._desk = desk
        self._proposals = proposals
        self._probation = probation
        self._plans = Plans(desk, proposals)
        self._gate = Gate(desk.school, desk.options.gate, desk.breathe)
        self._training: Training | None = None
        self._kept_ns = self._began_ns = 0
        self._began_step = 0

    def begin(self, request: LessonRequest, restarts: int = 0) -> None:
        """Starts a lesson from the current version. Raises NoRoom, or LessonRejected if it cannot be learned."""
        desk = self._desk
        desk.working = True
        task = self._plans.plan(request, restarts)
        self._training = None
        desk.task.begin(task)
        what = f"forgetting {request.name}" if request.kind == "forget" else f"learning {request.name or 'a correction'}"
        desk.turn("training", what, lesson=request.id, name=request.name, step=0, steps=0, verdict=None, trouble="")

    def step(self, task: TaskRecord) -> None:
        """The next small part of a task."""
        {"train": self._train, "gate": self._judge, "commit": self._commit}[task.phase](task)

    def give_up(self, lesson: str, state: State, reason: str) -> None:
        """Ends a lesson that cannot be learned."""
        desk = self._desk
        desk.lessons.finish(lesson, Outcome(state=state, reason=reason))
        self._end(lesson)
        desk.turn("idle", f"lesson {lesson} {state}: {reason}", lesson=None, name=None, trouble=reason)

    def _train(self, task: TaskRecord) -> None:
        desk, clock = self._desk, self._desk.clock
        if not task.new:  # a class is forgotten, and nothing was learned after it
            self._to_the_gate(task, self._unlearned(task))
            return
        training = self._training = self._training or self._resume(task)
        began_ns, loss = clock.now_ns(), desk.status.loss
        while training.done < training.steps and clock.now_ns() - began_ns < desk.options.slice_s * NS_PER_S:
            desk.working = True
            loss = training.step()
            desk.breathe()
        desk.turn("training", step=training.done, steps=training.steps, loss=loss, seconds_left=self._left(training))
        if training.done >= training.steps:
            self._to_the_gate(task, training.adapter(desk.store.bundle(task.base_bundle)))
        elif clock.now_ns() - self._kept_ns >= desk.options.keep_s * NS_PER_S:
            desk.task.keep_training(training.state())
            self._kept_ns = clock.now_ns()

    def _resume(self, task: TaskRecord) -> Training:
        """The training as the task says, from the state that was kept last."""
        desk = self._desk
        base = desk.store.load(task.base_version)
        new, rehearsed, _ = self._plans.exemplars(task)
        said = base.bundle, base.adapter, new, rehearsed, task.seed, task.forgot
        training = desk.school.training(*said)
        state = desk.task.training()
        if state is not None:
            try:
                training.load(state)
            except TrainingStopped:  # of other exemplars, since the memory changed, or of the first candidate: from the start
                training = desk.school.training(*said)
        self._kept_ns = self._began_ns = desk.clock.now_ns()
        self._began_step = training.done
        return training

    def _unlearned(self, task: TaskRecord) -> Adapter:
        """The base of a task that forgets, without the class: itself, unless the class is older than all versions."""
        desk = self._desk
        base = desk.store.load(task.base_version)
        assert task.forgotten is not None
        if any(name == task.forgotten for _, name in base.adapter.classes):
            return desk.school.without(base.bundle, base.adapter, task.forgotten)
        manifest = base.adapter.manifest
        return make_adapter(
            base.adapter.tensors, bundle=base.bundle, classes=manifest.classes, method="forget", parent=base.adapter.id
        )

    def _to_the_gate(self, task: TaskRecord, candidate: Adapter) -> None:
        self._desk.task.keep_candidate(candidate)
        self._desk.task.note(task.model_copy(update={"phase": "gate", "candidate": candidate.id}))
        self._training = None

    def _judge(self, task: TaskRecord) -> None:
        """The gate; then on to the store, or into quarantine, or from the start if another version became current."""
        desk = self._desk
        current = desk.store.load_current()
        if current.version != task.incumbent_version:
            self._begin_again(task, current)
            return
        desk.turn("gate", f"trying the candidate of lesson {task.lesson}", seconds_left=None)
        verdict = desk.task.verdict()
        if verdict is None or verdict.lesson != task.lesson or verdict.adapter != task.candidate:
            desk.working = True
            verdict = self._gate.judge(desk.task.candidate, self._ground(task, current), desk.wall_ns())
            desk.task.keep_verdict(verdict)
        desk.note(verdict=verdict.numbers())
        if verdict.accepted:
            desk.task.note(task.model_copy(update={"phase": "commit"}))
        elif verdict.forgot and task.new and not task.forgot:
            self._once_more(task, verdict)
        else:
            self._refuse(task, verdict)

    def _once_more(self, task: TaskRecord, verdict: Verdict) -> None:
        """A lesson that made the candidate forget something is learned again with that shown more often."""
        desk = self._desk
        self._quarantine(verdict)
        desk.task.note(task.model_copy(update={"phase": "train", "candidate": None, "forgot": verdict.forgot}))
        how = f"learned once more with {', '.join(verdict.forgot)} shown more often"
        text = f"lesson {task.lesson}: {verdict.reason}; {how}"
        desk.turn("training", text, step=0, seconds_left=None, trouble=text)

    def _ground(self, task: TaskRecord, current: StoredModel) -> Ground:
        desk = self._desk
        base = desk.store.load(task.base_version)
        frame, sound = base.bundle.manifest.frame, base.bundle.manifest.sound
        live = desk.live()
        return Ground(
            lesson=task.lesson,
            names=task.names,
            forgotten=task.forgotten,
            parent=base.adapter.id,
            rows={name: row for row, name in base.adapter.classes if name != task.forgotten},
            bundle=base.bundle,
            engine=desk.engine(base.bundle),
            incumbent=Contender(desk.engine(current.bundle), current.adapter),
            anchors=desk.anchors.read((frame.height_px, frame.width_px), sound.samples),
            held_out=tuple(self._plans.exemplars(task)[2]),
            live=live,
            why_not_live="" if live is not None else desk.link.why_not,
        )

    def _refuse(self, task: TaskRecord, verdict: Verdict) -> None:
        desk, number, numbers = self._desk, self._quarantine(verdict), verdict.numbers()
        desk.lessons.finish(task.lesson, Outcome(state="refused", version=number, reason=verdict.reason, verdict=numbers))
        self._end(task.lesson)
        desk.turn("idle", f"lesson {task.lesson} refused: {verdict.reason}", lesson=None, name=None, trouble=verdict.reason)

    def _quarantine(self, verdict: Verdict) -> int:
        """The number under which the store keeps what was said; a kill before the next write finds it done."""
        store, numbers = self._desk.store, verdict.numbers()
        kept = (store.quarantined(line.version) for line in store.history() if line.quarantined)
        number = next((one.version for one in kept if one is not None and one.scores == numbers), None)
        return store.refuse(verdict.reason, numbers) if number is None else number

    def _commit(self, task: TaskRecord) -> None:
        """Into the store, current, and on probation; what the lesson leaves is kept. Can be done again at any point."""
        desk = self._desk
        verdict, pointer, version = desk.task.verdict(), desk.store.pointer(), self._version_of(task)
        if version is None:
            current = desk.store.load_current()
            if current.version != task.incumbent_version:
                self._begin_again(task, current)
                return
            adapter = _with_scores(read_adapter(desk.task.candidate), verdict)
            self._probation.begin(task.lesson, adapter.id, adapter.bundle_id, desk.wall_ns())
            version = desk.store.commit(adapter, adapter.bundle_id)
        elif pointer is not None and version not in (pointer.version, *pointer.trail):
            desk.store.use(version)  # killed after it was written and before it was made current
        self._probation.committed(version)
        self._leave(task)
        numbers = verdict.numbers() if verdict is not None else {}
        desk.lessons.finish(task.lesson, Outcome(state="live", version=version, verdict=numbers))
        self._end(task.lesson)
        what = f"{task.forgotten} is forgotten" if task.forgotten else f"{', '.join(task.names) or 'the correction'} learned"
        desk.turn("idle", f"{what}: version {version} is live", version=version, lesson=None, name=None, trouble="")

    def _leave(self, task: TaskRecord) -> None:
        """The lesson's exemplars go into the memory and among the anchors; or what was forgotten goes out of the store."""
        desk = self._desk
        new, held = self._proposals.exemplars(task.lesson)
        for one in new:
            desk.memory.folder.adopt(one)
        desk.memory.trim(desk.wall_ns())
        desk.anchors.grow([one for one in held if one.record.names])
        if task.forgotten is None:
            return
        pointer = desk.store.pointer()
        for line in desk.store.history():
            if line.quarantined is None and (pointer is None or line.version != pointer.version):
                with suppress(StoreError):  # one that cannot be read cannot be used either
                    if any(name == task.forgotten for _, name in desk.store.load(line.version).adapter.classes):
                        desk.store.quarantine(line.version, f"class {task.forgotten} was forgotten")
        desk.store.gc(ALL_VERSIONS)

    def _version_of(self, task: TaskRecord) -> int | None:
        """The version that a commit before a kill has written."""
        for version in reversed(self._desk.store.versions()):
            if version <= task.incumbent_version:
                return None
            try:
                if self._desk.store.record(version).adapter_id == task.candidate:
                    return version
            except StoreError:
                continue
        return None

    def _begin_again(self, task: TaskRecord, current: StoredModel) -> None:
        """Another version became current: the lesson is learned on top of that one."""
        if task.restarts >= RESTARTS_MAX:
            self.give_up(task.lesson, "failed", f"another version became current {RESTARTS_MAX + 1} times while it was learned")
            return
        text = f"version {current.version} became current: lesson {task.lesson} begins again on it"
        self._desk.turn("training", text, trouble=text)
        try:
            self.begin(self._desk.lessons.request(task.lesson), task.restarts + 1)
        except LessonRejected as error:
            self.give_up(task.lesson, "failed", str(error))

    def _end(self, lesson: str) -> None:
        """Nothing of a lesson stays but its words, its end and what went into the memory."""
        self._desk.lessons.drop_windows(lesson)
        self._desk.task.clear()
        self._training = None
        self._desk.note(step=0, steps=0, loss=None, seconds_left=None)

    def _left(self, training: Training) -> float | None:
        made = training.done - self._began_step
        if made < LEARNED_ENOUGH_STEPS:
            return None
        spent_s = (self._desk.clock.now_ns() - self._began_ns) / NS_PER_S
        return round(spent_s / made * (training.steps - training.done), 1)


def _with_scores(adapter: Adapter, verdict: Verdict | None) -> Adapter:
    """The adapter with what the gate measured beside it; its id does not cover that."""
    if verdict is None:
        return adapter
    return Adapter(adapter.tensors, adapter.manifest.model_copy(update={"scores": verdict.numbers()}))
