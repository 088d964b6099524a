"""A method of learning for the tiny bundle of tests: a new class is the mean colour of what was marked. No torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.recalled import Recalled
from cavs.adapt.serve.school import Arrays, Proposed
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, make_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT, LABEL_UNKNOWN
from cavs.runtime.errors import AdaptError, LessonRejected, TrainingStopped
from cavs.runtime.lesson import PREVIEW_FILE, LessonRequest, ProposalRecord, WindowVerdict
from cavs.runtime.lesson_windows import Windows
from tests.tiny_bundle import DOWN, LOUD_GAIN, UP, make_tiny_bundle

STEPS = 6
BRIGHT = 60
"""A pixel brighter than this is what sounds, while there is sound."""
Labels = npt.NDArray[np.uint8]


class TinyTraining:
    """Moves the rows of the classes that are taught towards the colours they are shown in, a part of the way in each step."""

    def __init__(
        self,
        parent: Adapter,
        new: Sequence[Exemplar],
        spoil: Callable[[dict[str, object]], None] | None,
        forgot: Sequence[str],
    ) -> None:
        self.parent, self.steps, self.done = parent, STEPS, 0
        self._spoil, self._again = spoil, np.array([bool(forgot)])
        self._colours = {name: _colour(new, name) for one in new for name in one.names if name != "unknown"}
        rows = {name: row for row, name in parent.classes}
        free = [row for row in range(len(parent.tensors[contract.CLASS_USED])) if row not in rows.values()]
        for name in sorted(self._colours.keys() - rows.keys()):
            if not free:
                raise AdaptError("no free row")
            rows[name] = free.pop(0)
        self._rows = rows
        self._moved = 0.0

    def step(self) -> float | None:
        self._moved = 1 - (1 - self._moved) * 0.2
        self.done += 1
        return 1 - self._moved

    def state(self) -> Arrays:
        return {"done": np.array([self.done], np.int64), "moved": np.array([self._moved], np.float64), "again": self._again}

    def load(self, state: Arrays) -> None:
        if set(state) != {"done", "moved", "again"} or state["again"] != self._again:
            raise TrainingStopped("the state is of another training")
        self.done, self._moved = int(state["done"][0]), float(state["moved"][0])

    def adapter(self, bundle: Bundle) -> Adapter:
        tensors = {name: tensor.copy() for name, tensor in self.parent.tensors.items()}
        for name, colour in self._colours.items():
            row = self._rows[name]
            mixed = (1 - self._moved) * tensors[contract.CLASS_TABLE][row] + self._moved * colour
            tensors[contract.CLASS_TABLE][row] = mixed / np.linalg.norm(mixed)
            tensors[contract.CLASS_USED][row] = 1
        made: dict[str, object] = {
            "tensors": tensors,
            "classes": tuple((row, name) for name, row in self._rows.items()),
            "parent": self.parent.id,
        }
        if self._spoil is not None:
            self._spoil(made)
        return make_adapter(bundle=bundle, method="tiny", **made)  # type: ignore[arg-type]


class TinySchool:
    """spoil: changes what a candidate is made of, to see what the gate says of it."""

    def __init__(self, spoil: Callable[[dict[str, object]], None] | None = None) -> None:
        self.spoil = spoil
        self.trainings = 0
        self.forgot: list[tuple[str, ...]] = []

    def propose(  # noqa: PLR0917
        self, bundle: Bundle, adapter: Adapter, request: LessonRequest, windows: Windows, mask: Path | None, out: Path
    ) -> Proposed:
        (out / PREVIEW_FILE).write_bytes(b"a picture")
        samples = bundle.manifest.sound.samples
        exemplars, verdicts = [], []
        for frame in range(len(windows)):
            heard = windows.sound_of(frame, samples)
            bright = windows.frames[frame].max(axis=2) > BRIGHT
            kept = bool(np.abs(heard).max() > 0.01 and bright.any())
            verdicts.append(WindowVerdict(frame=frame, kept=kept, reason="" if kept else "silent", score=1.0))
            if kept:
                marks = ((request.name or "unknown", bright),) if request.sounding else ()
                exemplars.append(Exemplar(windows.frames[frame], heard, marks, request.id, request.asked_wall_ns, 1.0))
        if not exemplars:
            raise LessonRejected("these seconds are silent; teach it while it sounds")
        return Proposed(tuple(exemplars), ProposalRecord(name=request.name, windows=tuple(verdicts)))

    def training(  # noqa: PLR0917
        self,
        bundle: Bundle,
        parent: Adapter,
        new: Sequence[Exemplar],
        memory: Sequence[Exemplar],
        seed: int,
        forgot: Sequence[str] = (),
    ) -> TinyTraining:
        self.trainings += 1
        self.forgot.append(tuple(forgot))
        return TinyTraining(parent, new, self.spoil, forgot)

    def labels(
        self, bundle: Bundle, adapter: Adapter, frames: npt.NDArray[np.uint8], sounds: npt.NDArray[np.float32]
    ) -> Labels:
        return np.stack([tiny_labels(adapter, frame, sound) for frame, sound in zip(frames, sounds, strict=True)])

    def recalled(self, bundle: Bundle, adapter: Adapter) -> dict[str, Recalled]:
        """Blue is what nobody has pictures of: is its colour still nearest to its row?"""
        rows = {name: row for row, name in adapter.classes}
        blue = np.full((1, 1, 3), (0, 0, 255), np.uint8)
        named = tiny_labels(adapter, blue, np.ones(8, np.float32))[0, 0]
        return {"blue": Recalled(float(named == LABEL_FIRST_CLASS + rows["blue"]), 1.0)} if "blue" in rows else {}

    def embedding(
        self, bundle: Bundle, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        colour = frame[mask].mean(axis=0) + 1e-6
        return np.asarray(colour / np.linalg.norm(colour), np.float32)

    def without(self, bundle: Bundle, adapter: Adapter, name: str) -> Adapter:
        tensors = {key: tensor.copy() for key, tensor in adapter.tensors.items()}
        for row, label in adapter.classes:
            if label == name:
                tensors[contract.CLASS_TABLE][row] = tensors[contract.CLASS_USED][row] = 0
        classes = tuple((row, label) for row, label in adapter.classes if label != name)
        return make_adapter(tensors, bundle=bundle, classes=classes, method="forget", parent=adapter.id)

    def folded(self, bundle: Bundle, adapter: Adapter, out: Path, class_capacity: int, between: Callable[[], None]) -> Bundle:
        """Only an adapter without a pair can be folded into this graph: its weights are its inputs."""
        if np.any(adapter.tensors[UP]):
            raise AdaptError("the tiny graph has no weights to fold a pair into")
        between()
        manifest = bundle.manifest
        colours = {name: tuple(adapter.tensors[contract.CLASS_TABLE][row].tolist()) for row, name in adapter.classes}
        return make_tiny_bundle(
            out,
            height=manifest.frame.height_px,
            width=manifest.frame.width_px,
            samples=manifest.sound.samples,
            class_capacity=class_capacity,
            classes=tuple(name for _, name in adapter.classes),
            colours=colours,
            name=manifest.name,
        )


def tiny_labels(adapter: Adapter, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32]) -> Labels:
    """The tiny graph in numpy."""
    x = frame.astype(np.float32) / 255
    embedding = x + x @ adapter.tensors[DOWN].T @ adapter.tensors[UP].T
    length = np.linalg.norm(embedding, axis=-1)
    loudness = np.clip(np.sqrt(np.mean(np.square(sound))) * LOUD_GAIN, 0, 1)
    cosine = embedding / (length[..., None] + 1e-6) @ adapter.tensors[contract.CLASS_TABLE].T
    near = cosine + 2 * (adapter.tensors[contract.CLASS_USED] - 1)
    above, known = adapter.tensors[contract.THRESHOLDS]
    named = np.where(near.max(-1) > known, near.argmax(-1) + LABEL_FIRST_CLASS, LABEL_UNKNOWN)
    return np.where(np.clip(length, 0, 1) * loudness > above, named, LABEL_SILENT).astype(np.uint8)


def _colour(new: Sequence[Exemplar], name: str) -> npt.NDArray[np.float32]:
    pixels = np.concatenate([one.frame[mark] for one in new for label, mark in one.marks if label == name])
    mean = pixels.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
