"""The lesson that is being learned, on disk: what lets the learner go on where it was after a kill at any instruction.

STORE/learner/task/task.json          which lesson, from which version, on which exemplars, how far (`TaskRecord`)
STORE/learner/task/training.safetensors   the training as it was some seconds ago
STORE/learner/task/candidate/         the adapter that is before the gate
STORE/learner/task/verdict.json       what the gate said

Each is exchanged by a rename. A new task clears what the one before left.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from cavs.adapt.serve.school import Arrays
from cavs.adapt.serve.verdict import VERDICT_FILE, Verdict
from cavs.runtime.adapter import Adapter, write_adapter
from cavs.runtime.disk import Disk
from cavs.runtime.errors import TrainingStopped
from cavs.runtime.lesson import LessonId
from cavs.runtime.manifest import Count, Record, Sha256, to_json

TASK_FILE, TRAINING_FILE, CANDIDATE = "task.json", "training.safetensors", "candidate"

Phase = Literal["train", "gate", "commit"]


class TaskRecord(Record):
    """`task.json`.

    names:     the classes that the lesson teaches; forgotten: the one that it removes.
    base_*:    the version that it is learned from. incumbent, incumbent_version: what was current then.
    new, held: ids of the lesson's exemplars, to learn from and to try the candidate on.
    memory:    ids of the rehearsed exemplars, some of them more than once.
    candidate: id of the adapter before the gate.
    restarts:  how often it began again because another version became current.
    forgot:    what the first candidate forgot; none before the gate said so. There is no third one.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    lesson: LessonId
    phase: Phase = "train"
    names: tuple[str, ...] = ()
    forgotten: str | None = None
    base_version: Count
    base_bundle: Sha256
    base_adapter: Sha256
    incumbent: Sha256
    incumbent_version: Count
    new: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    seed: Count = 0
    candidate: Sha256 | None = None
    restarts: Count = 0
    forgot: tuple[str, ...] = ()
    began_wall_ns: Count = 0


class TaskFolder:
    """The files of the one task. One writer."""

    def __init__(self, path: Path, *, disk: Disk | None = None) -> None:
        self.path = path
        self._disk = disk or Disk()

    @property
    def candidate(self) -> Path:
        """Where the adapter lies that is before the gate."""
        return self.path / CANDIDATE

    def task(self) -> TaskRecord | None:
        """The task that is under way. A torn record is none: the lesson begins again."""
        try:
            return TaskRecord.model_validate_json((self.path / TASK_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def begin(self, task: TaskRecord) -> None:
        """Clears what was there and writes a new task."""
        self.clear()
        self._disk.make_directory(self.path)
        self.note(task)

    def note(self, task: TaskRecord) -> None:
        """Exchanges the record."""
        self._exchange(TASK_FILE, to_json(task))

    def clear(self) -> None:
        """No task any more."""
        self._disk.remove(self.path / TASK_FILE)  # first: without it the rest means nothing
        self._disk.remove(self.path)

    def keep_training(self, state: Arrays) -> None:
        """Exchanges the state of the training."""
        self._exchange(TRAINING_FILE, bytes(save_tensors(dict(state))))

    def training(self) -> Arrays | None:
        """The state that was kept last; none if none was or it cannot be read, so that the training begins again."""
        try:
            tensors: Arrays = load_tensors((self.path / TRAINING_FILE).read_bytes())
        except (FileNotFoundError, SafetensorError, ValueError, KeyError):
            return None
        return tensors

    def keep_candidate(self, adapter: Adapter) -> None:
        """Puts an adapter before the gate."""
        self._disk.remove(self.candidate)
        write_adapter(adapter, self.candidate, self._disk)

    def keep_verdict(self, verdict: Verdict) -> None:
        """Writes `verdict.json`."""
        self._exchange(VERDICT_FILE, to_json(verdict))

    def verdict(self) -> Verdict | None:
        """What the gate said; none if it has not, or the file is torn, so that the candidate is tried again."""
        try:
            return Verdict.model_validate_json((self.path / VERDICT_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _exchange(self, name: str, content: bytes) -> None:
        staged = self.path / f".{name}.writing"
        try:
            self._disk.write(staged, content)
            self._disk.rename(staged, self.path / name)
            self._disk.sync_directory(self.path)
        except OSError as error:
            raise TrainingStopped(
                f"{self.path / name}: {error.strerror}; the state kept before is untouched, free some space"
            ) from error
