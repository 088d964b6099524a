"""The learner: hears the stream, takes lessons oldest first, and carries each through. `step` is one small part of it all."""

from cavs.adapt.serve.anchors import drawn_anchors
from cavs.adapt.serve.asking import Persisting, thumbnail
from cavs.adapt.serve.consolidation import Consolidation
from cavs.adapt.serve.desk import Desk
from cavs.adapt.serve.folders import FolderReader
from cavs.adapt.serve.learning import Learning
from cavs.adapt.serve.listening import HeardEvent, HeardHello, HeardMasks, HeardObject
from cavs.adapt.serve.plans import NoRoom
from cavs.adapt.serve.proposals import Proposals
from cavs.adapt.serve.proving import Proving
from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.runtime.engine import LABEL_UNKNOWN
from cavs.runtime.errors import AdaptError, CavsError, DataRejected, EngineError, LessonRejected
from cavs.runtime.lesson import LessonRequest

IDLE_NS = 200 * NS_PER_MS
"""Between two looks at the lessons while there is nothing to do."""
TRIES = 4
AGAIN_NS = (5 * NS_PER_S, 20 * NS_PER_S, 60 * NS_PER_S)
"""After trouble that may pass, such as a full disk, a lesson is tried again after so long; then it is given up."""
TIDY_NS = 600 * NS_PER_S
"""Between two looks at what has become too old."""
ANCHORS_SOURCE = "folder"


class Learner:
    """One thread calls `step` again and again; it says how long to wait before the next."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.attend = self._attend
        self._proposals = Proposals(desk.lessons, desk.school, desk.options, disk=desk.disk, between=desk.breathe)
        self._proving = Proving(desk)
        self._learning = Learning(desk, self._proposals, self._proving.probation)
        self._consolidation = Consolidation(desk, self._proving.probation)
        self._persisting = Persisting(desk.options.ask)
        self._unknown: tuple[str, HeardObject, tuple[int, int]] | None = None
        self._tries: dict[str, int] = {}
        self._ended: set[str] = set()
        self._drawn_for = ""
        self._not_before_ns = desk.clock.now_ns()
        self._lesson_ns = desk.clock.now_ns()
        self._tidy_ns = desk.clock.now_ns() - TIDY_NS
        self._gave_up_folding = ""

    def start(self) -> None:
        """Clears what a killed learner left half done; takes in the user's anchors."""
        desk = self._desk
        desk.lessons.sweep()
        for folder in (desk.memory.folder, desk.anchors.folder):
            folder.sweep()
        current = desk.store.load_current()
        desk.note(version=current.version)
        if desk.options.anchors is not None:
            reader = FolderReader(current.bundle, ANCHORS_SOURCE, desk.wall_ns())
            taken = (labelled.exemplar for labelled in reader.read(desk.options.anchors))
            desk.anchors.take(taken, current.bundle.manifest.sound.rate_hz)

    def step(self) -> int:
        """One small part of the work; nanoseconds to wait before the next. Raises Stopped when it was told to end."""
        desk = self._desk
        desk.working = False
        desk.breathe()
        self._proving.step()
        if desk.clock.now_ns() < self._not_before_ns:
            desk.note()
            return IDLE_NS
        lesson = None
        try:
            task = desk.task.task()
            if task is not None and desk.lessons.outcome(task.lesson) is None:
                lesson = task.lesson
                self._learning.step(task)
                return 0
            if task is not None:  # killed between the lesson's end and the task's
                desk.task.clear()
            lesson = self._next()
            if lesson is not None:
                self._lesson_ns = desk.clock.now_ns()
                self._take(desk.lessons.request(lesson))
                return 0
            return self._idle()
        except (LessonRejected, DataRejected, EngineError) as error:
            self._end(lesson, error)
        except CavsError as error:
            self._retry(lesson, error)
        return IDLE_NS

    def _next(self) -> str | None:
        """The oldest lesson for which something can be done now."""
        desk = self._desk
        waiting, asking, found = 0, [], None
        for lesson in desk.lessons.ids():
            if lesson in self._ended:
                continue
            if desk.lessons.outcome(lesson) is not None:
                self._ended.add(lesson)
                continue
            waiting += 1
            if found is None and self._is_ready(lesson):
                found = lesson
            elif desk.lessons.proposal(lesson) is not None and desk.lessons.decision(lesson) is None:
                asking.append(lesson)
        desk.note(waiting=waiting, asking=tuple(asking))
        return found

    def _is_ready(self, lesson: str) -> bool:
        lessons = self._desk.lessons
        try:
            request = lessons.request(lesson)
            unlabelled = request.kind != "forget" and lessons.proposal(lesson) is None
            return unlabelled or request.yes or lessons.decision(lesson) is not None
        except LessonRejected:  # torn: taking it ends it with the reason
            return True

    def _take(self, request: LessonRequest) -> None:
        """Labels a lesson, or begins to learn it, or ends it if a person said no."""
        desk, lessons = self._desk, self._desk.lessons
        if request.kind != "forget" and lessons.proposal(request.id) is None:
            desk.turn("labelling", f"labelling lesson {request.id}", lesson=request.id, name=request.name)
            desk.working = True
            self._proposals.label(request, desk.store.load_current())
            text = "" if request.yes else f"lesson {request.id} waits for its proposal to be accepted"
            desk.turn("idle", text, lesson=None, name=None)
            return
        decision = lessons.decision(request.id)
        if decision is not None and not decision.accept:
            by = f" by {decision.by}" if decision.by else ""
            self._learning.give_up(request.id, "rejected", f"the proposal was not accepted{by}")
            return
        try:
            self._learning.begin(request)
        except NoRoom as full:
            self._consolidation.run(full.capacity)

    def _idle(self) -> int:
        """What can wait: questions, anchors, what is too old, folding."""
        desk = self._desk
        desk.turn("idle", lesson=None, name=None)
        if self._unknown is not None:
            self._ask()
            return 0
        current = desk.store.load_current()
        desk.note(version=current.version)
        known = [name for _, name in current.adapter.classes]
        if self._drawn_for != current.adapter.id and desk.anchors.lacks_drawn(current.bundle, known):
            desk.working = True
            for one in drawn_anchors(current.bundle, known):
                desk.anchors.folder.add(one, current.bundle.manifest.sound.rate_hz)
                desk.breathe()
            self._drawn_for = current.adapter.id
            return 0
        now_ns = desk.clock.now_ns()
        if now_ns - self._tidy_ns >= TIDY_NS:
            self._tidy_ns = now_ns
            desk.memory.trim(desk.wall_ns())
        idle = now_ns - self._lesson_ns >= desk.options.idle_s * NS_PER_S and self._proving.probation.record is None
        if idle and self._gave_up_folding != current.adapter.id and self._consolidation.is_due(current):
            self._gave_up_folding = current.adapter.id  # tried once for each version
            self._consolidation.run()
            return 0
        return IDLE_NS

    def _attend(self) -> None:
        """Hears what the stream published since the last look."""
        desk, probation = self._desk, self._proving.probation
        for heard in desk.link.hear():
            if isinstance(heard, HeardMasks):
                probation.hear_masks(heard)
                thing = self._persisting.hear(heard) if desk.options.ask_names else None
                if thing is not None:
                    self._unknown = (heard.stream, thing, heard.size)
            elif isinstance(heard, HeardHello):
                desk.yielding.hear(heard.number("latency_p99_ms"), desk.working)
            elif isinstance(heard, HeardEvent):
                probation.hear_event(heard)
        if not desk.link.alive:
            desk.yielding.lost()

    def _ask(self) -> None:
        """Asks what an unknown thing is, unless one like it was asked for."""
        assert self._unknown is not None
        desk = self._desk
        (stream, thing, size), self._unknown = self._unknown, None
        live = desk.link.recent(1.0, 1)
        if live is None:
            return
        current = desk.store.load_current()
        frame, sound = current.bundle.manifest.frame, current.bundle.manifest.sound
        if live.frames.shape[1:3] != (frame.height_px, frame.width_px):
            return
        desk.working = True
        heard = live.sound_of(len(live) - 1, sound.samples, sound.lookahead_samples)
        mask = desk.contender(current).say(live.frames[-1], heard) == LABEL_UNKNOWN
        x, y, width, height = thing.box
        inside = mask[y : y + height, x : x + width]
        if not inside.any():  # it has fallen silent, or moved on
            return
        mask[:] = False
        mask[y : y + height, x : x + width] = True
        embedding = desk.school.embedding(current.bundle, live.frames[-1], heard, mask)
        if desk.asked.knows(embedding):
            return
        thumb = thumbnail(live.frames[-1], thing.box, size)
        desk.asked.note(embedding, stream, thumb, desk.wall_ns())
        text = f"something unknown keeps sounding; if it has a name: cavs-adapt teach NAME --object {thing.id}"
        desk.link.say("question", str(thing.id), text, thumb)

    def _end(self, lesson: str | None, error: CavsError) -> None:
        """Of a lesson that cannot be learned; without one it is trouble like any other."""
        if lesson is None:
            self._retry(None, error)
            return
        try:
            self._learning.give_up(lesson, "failed", str(error))
        except CavsError as again:  # the disk refuses its end too
            self._retry(lesson, again)

    def _retry(self, lesson: str | None, error: CavsError) -> None:
        """Trouble that may pass: waits longer each time; a lesson that never works is given up."""
        desk, key = self._desk, lesson or ""
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        desk.note(trouble=str(error), now=True)
        self._not_before_ns = desk.clock.now_ns() + AGAIN_NS[min(tries, len(AGAIN_NS)) - 1]
        if lesson is not None and tries >= TRIES:
            self._tries.pop(key)
            try:
                self._learning.give_up(lesson, "failed", str(error))
            except AdaptError as again:
                desk.note(trouble=str(again), now=True)
