"""Labels the lessons that wait for it: which windows would be learned, and which of them the gate is to try the candidate on.

STORE/lessons/<id>/proposal/   what the school writes (labels, previews), proposal.json, and
    new/, held/                the exemplars to learn from and to be tried on (`exemplar_files`)
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from cavs.adapt.learn.exemplar import Exemplar, without_pauses
from cavs.adapt.serve.exemplar_files import ExemplarFolder, Kept
from cavs.adapt.serve.folders import FolderReader
from cavs.adapt.serve.options import ServeOptions
from cavs.adapt.serve.school import School
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdaptError, LessonRejected
from cavs.runtime.lesson import MASK_FILE, PROPOSAL, PROPOSAL_FILE, LessonRequest, Lessons, ProposalRecord, WindowVerdict
from cavs.runtime.manifest import to_json
from cavs.runtime.store_read import StoredModel

NEW, HELD = "new", "held"
STAGED = ".writing-proposal"


class Proposals:
    """One writer: the learner."""

    def __init__(
        self, lessons: Lessons, school: School, options: ServeOptions, *, disk: Disk, between: Callable[[], None]
    ) -> None:
        self._lessons = lessons
        self._school = school
        self._options = options
        self._disk = disk
        self._between = between

    def label(self, request: LessonRequest, model: StoredModel) -> None:
        """Writes the proposal of a lesson; it appears whole. Raises LessonRejected if there is nothing to learn in it."""
        check_teaching(request, model)
        home = self._lessons.directory(request.id)
        staged = home / STAGED
        try:
            self._disk.remove(staged)
            self._disk.make_directory(staged)
            if request.kind == "learn":
                record, new, held = self._of_folder(request, model)
            else:
                record, new, held = self._of_windows(request, model, home, staged)
            for name, exemplars in ((NEW, new), (HELD, held)):
                folder = ExemplarFolder(staged / name, disk=self._disk)
                for one in exemplars:
                    folder.add(one, model.bundle.manifest.sound.rate_hz)
                    self._between()
            self._disk.write(staged / PROPOSAL_FILE, to_json(record))
            self._disk.sync_directory(staged)
            self._disk.rename(staged, home / PROPOSAL)
            self._disk.sync_directory(home)
        except OSError as error:
            raise AdaptError(f"{error.filename or home}: {error.strerror}; the lesson waits, free some space") from error

    def exemplars(self, lesson: str) -> tuple[tuple[Kept, ...], tuple[Kept, ...]]:
        """(to learn from, to be tried on) of a labelled lesson."""
        home = self._lessons.directory(lesson) / PROPOSAL
        return ExemplarFolder(home / NEW).kept(), ExemplarFolder(home / HELD).kept()

    def _of_windows(
        self, request: LessonRequest, model: StoredModel, home: Path, staged: Path
    ) -> tuple[ProposalRecord, Sequence[Exemplar], Sequence[Exemplar]]:
        windows = self._lessons.windows(request.id)
        frame, sound = model.bundle.manifest.frame, model.bundle.manifest.sound
        if windows.frames.shape[1:3] != (frame.height_px, frame.width_px) or windows.rate_hz != sound.rate_hz:
            raise LessonRejected(
                f"lesson {request.id}: windows of {windows.frames.shape[1:3]} at {windows.rate_hz} Hz, the bundle of the store "
                f"takes {(frame.height_px, frame.width_px)} at {sound.rate_hz} Hz: taught on another one, teach it again"
            )
        mask = home / MASK_FILE
        proposed = self._school.propose(model.bundle, model.adapter, request, windows, mask if mask.exists() else None, staged)
        new, held = self._split(proposed.exemplars)
        usable = sum(bool(one.marks) for one in proposed.exemplars) if request.sounding else len(proposed.exemplars)
        if usable < self._options.least_windows:
            dropped = ", ".join(f"{count} {reason}" for reason, count in proposed.record.dropped.items())
            raise LessonRejected(
                f"lesson {request.id}: {usable} of {len(windows)} windows can be learned from, at least "
                f"{self._options.least_windows} expected ({dropped or 'none dropped'}); teach it while it sounds and is seen"
            )
        return proposed.record, new, held

    def _of_folder(
        self, request: LessonRequest, model: StoredModel
    ) -> tuple[ProposalRecord, Sequence[Exemplar], Sequence[Exemplar]]:
        assert request.path is not None  # a lesson of kind learn has one: LessonRequest checks it
        new: list[Exemplar] = []
        held: list[Exemplar] = []
        for labelled in FolderReader(model.bundle, request.id, request.asked_wall_ns).read(Path(request.path)):
            (held if labelled.held else new).append(labelled.exemplar)
            self._between()
        if not held:
            new, held = (list(part) for part in self._split(new))
        names = sorted({name for one in new for name in one.names})
        if not names:
            raise LessonRejected(f"lesson {request.id}: no frame of {request.path} for training marks anything that sounds")
        count = len(new) + len(held)
        verdicts = tuple(WindowVerdict(frame=k, kept=True, score=1.0) for k in range(count))
        return ProposalRecord(name=request.name, windows=verdicts, note=f"{count} windows of {', '.join(names)}"), new, held

    def _split(self, exemplars: Sequence[Exemplar]) -> tuple[Sequence[Exemplar], Sequence[Exemplar]]:
        """The newest are held out: neighbours in time look alike, so a split in between would hide what was not learned."""
        others, pauses = without_pauses(exemplars)
        count = max(1, round(len(others) * self._options.held_share))
        return (*others[:-count], *pauses), others[-count:]


def check_teaching(request: LessonRequest, model: StoredModel) -> None:
    """Raises LessonRejected for a lesson that cannot be given to this model."""
    known = {name for _, name in model.adapter.classes}
    if request.kind == "teach" and request.name in known:
        raise LessonRejected(
            f"class {request.name!r} is known already; show more of it with: cavs-adapt teach --correct {request.name}"
        )
    if request.kind == "forget" and request.name not in known:
        raise LessonRejected(
            f"class {request.name!r} is not known, so it cannot be forgotten; known: {', '.join(sorted(known))}"
        )
