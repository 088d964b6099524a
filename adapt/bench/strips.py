"""Strips: the middle frame of a test clip, what truly sounds in it, and what each method marks after its last task."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from cavs.adapt.bench.clip_store import StoredClip
from cavs.adapt.bench.labels import label_table
from cavs.adapt.bench.plots import file_name
from cavs.adapt.bench.report import RUN_FILE, RunRecord, read_runs
from cavs.adapt.bench.runner import BenchRun
from cavs.adapt.bench.scoring import sounding_probability, tasks_of
from cavs.adapt.bench.start import reopen
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.data.palette import palette
from cavs.adapt.methods.method import IGNORED
from cavs.runtime.errors import AdaptError, DataRejected

FRAME_PX = 192
CAPTION_PX = 16
VEIL = 0.6
"""Share of the class's colour in a marked pixel."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished run and its folder."""

    folder: Path
    record: RunRecord


def write_strips(folder: Path, out: Path, clips: int) -> list[Path]:
    """One picture for each protocol below `folder`, a row for each of `clips` test clips, spread over the tasks.

    A method is shown by its run of the lowest seed. DataRejected for runs of one protocol on different data sets.
    """
    shown: dict[str, dict[str, Kept]] = {}
    for file in sorted(folder.rglob(RUN_FILE)):
        (record,) = read_runs(file.parent)
        of_protocol = shown.setdefault(record.protocol, {})
        if record.label not in of_protocol or record.seed < of_protocol[record.label].record.seed:
            of_protocol[record.label] = Kept(file.parent, record)
    return [_write(_picture(kept, clips), out / f"{file_name(protocol)}-strips.png") for protocol, kept in shown.items()]


def _picture(kept: dict[str, Kept], clips: int) -> Pixels:
    columns: list[list[Pixels]] = []
    first: BenchRun | None = None
    for label, one in kept.items():
        run = reopen(one.folder)
        if first is None:
            first = run
            chosen = choose_clips(run, clips)
            inputs = [(_middle(run, clip), clip) for clip in chosen]
            columns = [
                [_caption("input"), *(_sized(frame) for (frame, _), _ in inputs)],
                [_caption("truth"), *(_painted(frame, truth) for (frame, truth), _ in inputs)],
            ]
        elif run.plan.data != first.plan.data:
            raise DataRejected(f"{one.folder}: run on {', '.join(run.plan.data)}, others of its protocol on {first.plan.data}")
        marks = [_painted(frame, _marked(run, clip)) for (frame, _), clip in inputs]
        columns.append([_caption(label), *marks])
    return np.concatenate([np.concatenate(column) for column in columns], axis=1)


def choose_clips(run: BenchRun, count: int) -> list[StoredClip]:
    """Test clips of every task in turn, from the beginning of each."""
    by_task = [run.protocol.clips_with(run.store.clips, number, "test") for number in range(len(run.protocol.tasks))]
    deepest = max(map(len, by_task), default=0)
    turns = [clips[depth] for depth in range(deepest) for clips in by_task if depth < len(clips)]
    return list(dict.fromkeys(turns))[:count]


def _middle(run: BenchRun, clip: StoredClip) -> tuple[Pixels, Pixels]:
    """The middle one of the annotated frames and its labels, by the rule of testing; ignored pixels are background."""
    labelled = run.store.labelled(clip.key)
    annotated = np.flatnonzero(labelled.annotated)
    frame = int(annotated[len(annotated) // 2])
    labels = label_table(run.protocol, run.store.classes, len(run.protocol.tasks) - 1, "test")[labelled.masks[frame]]
    return labelled.frames[frame], np.where(labels == IGNORED, 0, labels).astype(np.uint8)


@torch.no_grad()
def _marked(run: BenchRun, clip: StoredClip) -> Pixels:
    """Labels (h, w) of the middle frame, as the run's network has them at the end."""
    last = len(run.protocol.tasks) - 1
    rows = TaskData(run.store, run.protocol, last, run.method).of_clip(clip.key)
    middle = rows.only(len(rows.clips) // 2)
    logits = run.segmenter.eval()(middle.inputs).logits
    if run.protocol.outputs == "classes":
        classes: npt.NDArray[np.uint8] = logits[0].argmax(0).numpy().astype(np.uint8)
        return classes
    output = max(tasks_of(run.protocol, clip), default=0) if run.protocol.task_known else 0
    label = output + 1
    marked = np.asarray(sounding_probability(logits, [output])[0].numpy() > 0.5)
    labels: npt.NDArray[np.uint8] = (marked * label).astype(np.uint8)
    return labels


def _painted(frame: Pixels, labels: Pixels) -> Pixels:
    """The frame with its marked pixels in the colour of their label."""
    size = (FRAME_PX, FRAME_PX)
    large = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    colours = palette(255)[large]
    small = _sized(frame)
    veiled = ((1 - VEIL) * small + VEIL * colours).astype(np.uint8)
    return np.where(large[..., None] > 0, veiled, small)


def _sized(frame: Pixels) -> Pixels:
    return np.asarray(cv2.resize(frame, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _caption(text: str) -> Pixels:
    line = np.full((CAPTION_PX, FRAME_PX, 3), 255, np.uint8)
    cv2.putText(line, text, (2, CAPTION_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def _write(picture: Pixels, file: Path) -> Path:
    done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"{file.name}: no PNG of shape {picture.shape}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded.tobytes())
    except OSError as error:
        raise AdaptError(f"{file}: not written ({error.strerror}); give another --out") from error
    return file
