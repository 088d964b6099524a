"""What the stream does when it is asked. Runs in the control thread: it may write to a disk, the live loop may not."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cavs.runtime.clock import Clock
from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson import (
    PREVIEW_FILE,
    PROPOSAL,
    Decision,
    Hint,
    LessonModel,
    LessonRequest,
    Lessons,
    check_class_name,
    new_lesson_id,
    wall_now_ns,
)
from cavs.runtime.lesson_standing import learner_standing, newest, standing
from cavs.runtime.lesson_windows import Windows
from cavs.runtime.slot import Slot
from cavs.runtime.store import ModelStore
from cavs.stream import control_requests as asked
from cavs.stream.control_hints import hint_of
from cavs.stream.health import Health
from cavs.stream.items import SourceEvent
from cavs.stream.recent import Recent
from cavs.stream.said import WAITING_MAX, Said

Answer = dict[str, Any]
LESSONS_TOLD = 10
LESSONS_OPEN_MAX = 20
"""A client that teaches again and again must not fill the disk: 20 MiB each."""
PREVIEW_BYTES_MAX = 32 << 20


@dataclass(frozen=True, slots=True)
class Stream:
    """What can be asked about and acted upon.

    publishes: the address of the masks. encrypted: whether one needs keys there.
    learner: how the learner's process is; None if this stream has started none.
    virtual_time: the source's time line is not the clock's (a file read fast).
    """

    name: str
    publishes: str
    slot: Slot
    recent: Recent
    health: Health
    said: Said
    clock: Clock
    store: Path | None = None
    virtual_time: bool = False
    encrypted: bool = False
    learner: Callable[[], Answer] | None = None


class Answers:
    """Answers one request after the other. Raises CavsError for what cannot be done."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._do: dict[type[Any], Callable[[Any], Answer]] = {
            asked.Teach: self._teach,
            asked.Correct: self._correct,
            asked.Lesson: self._lesson,
            asked.Decide: self._decide,
            asked.RecentWindows: self._recent,
            asked.Say: self._say,
            asked.Status: self._status,
            asked.Rollback: self._rollback,
        }

    def answer(self, request: asked.Request) -> Answer:
        """What to answer, without `ok`."""
        return self._do[type(request)](request)

    def _teach(self, request: asked.Teach) -> Answer:
        name = check_class_name(request.name)
        store = self._needs_store()
        windows = self._windows(request)
        known = name in dict(self._stream.slot.adapter.classes).values()
        lesson = self._write(store, "teach", request, name, windows, mask=request.mask)
        return {**lesson, "known": known}

    def _correct(self, request: asked.Correct) -> Answer:
        name = None if request.name is None else check_class_name(request.name)
        store = self._needs_store()
        if request.box is None and request.point is None and request.object is None:
            request = request.model_copy(update={"object": self._the_object()})
        windows = self._windows(request)
        return self._write(store, "correct", request, name, windows, sounding=request.sounding)

    def _lesson(self, request: asked.Lesson) -> Answer:
        lessons = Lessons(self._needs_store())
        told = standing(lessons, request.lesson)
        picture = lessons.directory(request.lesson) / PROPOSAL / PREVIEW_FILE
        if request.preview and picture.is_file() and picture.stat().st_size <= PREVIEW_BYTES_MAX:
            told["preview"] = picture.read_bytes()
        return {**told, "directory": str(lessons.directory(request.lesson)), "learner": self._learner()}

    def _decide(self, request: asked.Decide) -> Answer:
        lessons = Lessons(self._needs_store())
        lessons.decide(request.lesson, Decision(accept=request.accept, by=request.by, wall_ns=wall_now_ns()))
        return {}

    def _recent(self, request: asked.RecentWindows) -> Answer:
        windows = self._stream.recent.windows(request.seconds, self._now_ns(), most=request.most)
        if windows is None:
            raise ControlRefused(_nothing_recent(request.seconds))
        return {
            "frames": windows.frames.data,
            "shape": list(windows.frames.shape),
            "t_ns": windows.t_ns.tolist(),
            "sound": windows.sound.astype("<f4").data,
            "sound_start_ns": windows.sound_start_ns,
            "rate_hz": windows.rate_hz,
            "model": self._model(),
        }

    def _say(self, request: asked.Say) -> Answer:
        now_ns = self._stream.clock.now_ns()
        if not self._stream.said.say(SourceEvent(request.kind, request.subject, request.text, now_ns, request.thumb)):
            raise ControlRefused(f"{WAITING_MAX} events wait to be published; say it again later")
        return {}

    def _status(self, request: asked.Status) -> Answer:
        stream, recent = self._stream, self._stream.recent
        held = recent.held(self._now_ns())
        store = stream.store
        return {
            "stream": stream.name,
            "publishes": stream.publishes,
            "encrypted": stream.encrypted,
            "store": None if store is None else str(store),
            "model": self._model(),
            "classes": [name for _, name in stream.slot.adapter.classes],
            "health": stream.health.snapshot()["gauges"],
            "recent": {
                **asdict(held),
                "most_seconds": recent.seconds,
                "mib": round(recent.mib, 1),
            },
            "learner": self._learner(),
            "lessons": [] if store is None else newest(Lessons(store), LESSONS_TOLD),
        }

    def _rollback(self, request: asked.Rollback) -> Answer:
        return {"version": ModelStore(self._needs_store(), clock=self._stream.clock).rollback()}

    def _write(
        self,
        store: Path,
        kind: str,
        request: asked.Teach | asked.Correct,
        name: str | None,
        windows: Windows,
        *,
        sounding: bool = True,
        mask: bytes | None = None,
    ) -> Answer:
        lessons, source = Lessons(store), self._stream.recent.held(None).source
        if len(lessons.open()) >= LESSONS_OPEN_MAX:
            raise ControlRefused(f"{LESSONS_OPEN_MAX} lessons wait already; does a learner run? see: cavs-adapt status")
        model, wall_ns = self._stream.slot.model, wall_now_ns()
        lesson = LessonRequest.model_validate(
            {
                "id": new_lesson_id(wall_ns),
                "kind": kind,
                "name": name,
                "sounding": sounding,
                "hint": Hint() if source is None else hint_of(request, source),
                "yes": request.yes,
                "asked_wall_ns": wall_ns,
                "stream": self._stream.name,
                "model": LessonModel(bundle=model.bundle_id, adapter=model.adapter_id, version=model.version),
                "rate_hz": windows.rate_hz,
            }
        )
        lessons.write(lesson, windows, mask)
        seconds = (int(windows.t_ns[-1]) - int(windows.t_ns[0])) / 1e9
        return {"lesson": lesson.id, "windows": len(windows), "seconds": round(seconds, 3), "learner": self._learner()}

    def _windows(self, request: asked.Teach | asked.Correct) -> Windows:
        recent, now_ns = self._stream.recent, self._now_ns()
        if request.object is not None:
            windows = recent.windows_of(request.object, request.seconds, now_ns)
            if windows is None:
                raise ControlRefused(f"object {request.object} was not marked in the last {recent.seconds:g} s")
            return windows
        windows = recent.windows(request.seconds, now_ns)
        if windows is None:
            raise ControlRefused(_nothing_recent(request.seconds))
        return windows

    def _the_object(self) -> int:
        """The one that was marked last; a correction that could mean several is not guessed."""
        seen = self._stream.recent.objects(self._now_ns())
        if not seen:
            raise ControlRefused(f"nothing was marked in the last {self._stream.recent.seconds:g} s; nothing to correct")
        if len(seen) > 1:
            names = ", ".join(f"{thing.id} {thing.cls}" for thing in seen)
            raise ControlRefused(f"{len(seen)} things were marked: {names}; say which by its number (object)")
        return seen[0].id

    def _needs_store(self) -> Path:
        if self._stream.store is None:
            raise ControlRefused("this stream has no model store, so it cannot learn; start it with --adapt or --store DIR")
        return self._stream.store

    def _now_ns(self) -> int | None:
        return None if self._stream.virtual_time else self._stream.clock.now_ns()

    def _model(self) -> Answer:
        model = self._stream.slot.model
        return {"bundle": model.bundle_id, "adapter": model.adapter_id, "version": model.version}

    def _learner(self) -> Answer:
        """The process that this stream started, or one that works on the same store by itself."""
        stream = self._stream
        if stream.store is None:
            return {"alive": False, "status": None}
        return {**learner_standing(stream.store), **({} if stream.learner is None else stream.learner())}


def _nothing_recent(seconds: float) -> str:
    return f"nothing recent yet: the stream has formed no window in the last {seconds:g} s"
