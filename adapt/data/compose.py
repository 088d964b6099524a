"""Writes a composed data set in one of the papers' layouts, in several processes, and goes on where it was stopped.

Every clip has its own seed, so the data depend neither on the number of processes nor on interruptions. Clips are written
to `<out>.partial`, which is renamed to `<out>` when all are there.
"""

import json
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cavs.adapt.data.avss import write_avss_clip, write_avss_index
from cavs.adapt.data.cast import known_targets
from cavs.adapt.data.clip import Clip, annotated_moments, compose_clip
from cavs.adapt.data.clip_set import LabelledClip
from cavs.adapt.data.compose_plan import SHORT_S, ComposePlan, check_names
from cavs.adapt.data.ingredients import Ingredients, Pixels
from cavs.adapt.data.metadata import AvssRow
from cavs.adapt.data.movie import write_movie
from cavs.adapt.data.ms3 import write_ms3_clip, write_ms3_index
from cavs.adapt.data.palette import AVSS_CLASSES
from cavs.adapt.data.s4 import write_s4_clip, write_s4_index
from cavs.adapt.ingredient_sets import load_sets
from cavs.runtime.errors import DataRejected

FPS = 25.0
REDRAWS = 16
"""Clips drawn until something that sounds is seen at the annotated moments."""
AHEAD = 4
"""Clips handed out per process: enough to keep it busy, few enough to stop quickly."""
LOG = "clips.jsonl"
PLAN = "plan.json"
DATASET = "dataset.json"
SCHEMA = 1

Line = dict[str, Any]


class Composer:
    """Composes and writes clip number n of a plan; one per process."""

    def __init__(self, plan: ComposePlan, out: Path) -> None:
        cv2.setNumThreads(1)  # clips are composed in parallel already
        self.plan = plan
        self.out = out

    @cached_property
    def ingredients(self) -> Ingredients:
        """The plan's split, read when it is first needed."""
        return load_sets(self.plan.ingredients, self.plan.split, self.plan.exclude)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names by mask index: the papers' 71 where all targets are among them, otherwise the targets alone."""
        targets = known_targets(self.ingredients, self.plan.classes)
        standard = self.plan.layout == "avss" and set(targets) <= set(AVSS_CLASSES)
        return AVSS_CLASSES if standard else ("background", *targets)

    def write(self, number: int) -> Line:
        """Writes the files of one clip; returns its line for the log."""
        clip = self.clip(number)
        labelled = self._labelled(clip)
        if self.plan.layout == "s4":
            entry: object = write_s4_clip(self.out, labelled)
            movie = self.out / "s4_data" / "raw_videos" / clip.split / clip.classes[0] / f"{clip.name}.mp4"
        elif self.plan.layout == "ms3":
            entry = write_ms3_clip(self.out, labelled)
            movie = self.out / "ms3_data" / "raw_videos" / f"{clip.name}.mp4"
        else:
            row = write_avss_clip(self.out, labelled, self.classes)
            entry, movie = asdict(row), self.out / row.label / row.uid / "video.mp4"
        if self.plan.mp4:
            write_movie(movie, clip)
        seen = [[asdict(one) for one in frame] for frame in _kept(clip, clip.visible)]
        return {"number": number, "name": clip.name, "classes": clip.classes, "offscreen": clip.offscreen,
                "visible": seen, "sources": clip.sources, "entry": entry}  # fmt: skip

    def clip(self, number: int) -> Clip:
        """Clip `number` in memory: all frames for a video, otherwise one per second."""
        moments = annotated_moments(self.plan.seconds)
        for draw in range(REDRAWS):
            clip = compose_clip(
                self.ingredients,
                np.random.default_rng([self.plan.seed, number, draw]),
                name=f"{self.plan.split}_{self.plan.seed}_{number:06d}",
                seconds=self.plan.seconds,
                fps=FPS,
                times_s=None if self.plan.mp4 else moments,
                size=self.plan.size_px,
                class_names=self.classes[1:],
                wish=self.plan.wish(),
            )
            masks = np.stack(list(_kept(clip, clip.masks)))
            names = tuple(self.classes[value] for value in np.unique(masks).tolist() if value)
            if names and self._marks_what_counts(masks, names):
                return replace(clip, classes=names)
        raise DataRejected(f"clip {number}: nothing that sounds was seen in {REDRAWS} draws; larger size or fewer classes")

    def _marks_what_counts(self, masks: Pixels, names: tuple[str, ...]) -> bool:
        """Whether the first mask shows something, where it is the only one that the layout keeps."""
        short_of_one = self.plan.layout == "s4" or (self.plan.layout == "avss" and len(masks) == SHORT_S and len(names) == 1)
        return bool(masks[0].any()) or not (short_of_one and self.plan.split == "train")

    def _labelled(self, clip: Clip) -> LabelledClip:
        frames, masks = (np.stack(list(_kept(clip, values))) for values in (clip.frames, clip.masks))
        annotated = np.ones(len(frames), bool)
        return LabelledClip(clip.name, clip.split, clip.classes, frames, masks, annotated, clip.sound, clip.rate_hz)


def _kept(clip: Clip, values: Sequence[Any] | np.ndarray[Any, Any]) -> Iterator[Any]:
    """Of values per frame, those of the annotated frames."""
    times = np.asarray(clip.times_s)
    for moment in annotated_moments(len(clip.sound) / clip.rate_hz):
        yield values[int(np.argmin(np.abs(times - moment)))]


def compose_data_set(
    plan: ComposePlan, out: Path, *, workers: int = 2, done: Callable[[int], None] = lambda clips: None
) -> list[Line]:
    """Writes all clips of the plan to `out`. `done` hears how many clips are there, from time to time."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataRejected(f"{out}: not empty; name a new folder, or remove this one")
    partial = out.with_name(out.name + ".partial")
    try:
        return _compose(plan, out, partial, workers, done)
    except BrokenProcessPool:
        raise DataRejected(f"{partial}: a process was killed, perhaps for memory; fewer --workers go on from here") from None
    except OSError as error:
        raise DataRejected(f"{partial}: {error.strerror}; the same command goes on when that is mended") from None


def _compose(plan: ComposePlan, out: Path, partial: Path, workers: int, done: Callable[[int], None]) -> list[Line]:
    lines = _finished(plan, partial)
    composer = Composer(plan, partial)
    check_names(plan, composer.ingredients)
    classes = composer.classes
    partial.mkdir(parents=True, exist_ok=True)
    (partial / PLAN).write_text(_text_of(plan), encoding="utf-8")
    (partial / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines.values()), encoding="utf-8")
    done(len(lines))
    todo = [number for number in range(plan.clips) if number not in lines]
    with (partial / LOG).open("a", encoding="utf-8") as log:
        for line in _write_all(composer, todo, workers):
            log.write(json.dumps(line) + "\n")
            log.flush()
            lines[line["number"]] = json.loads(json.dumps(line))
            done(len(lines))
    ordered = [lines[number] for number in range(plan.clips)]
    _finish(plan, partial, ordered, classes)
    if out.exists():
        out.rmdir()
    partial.replace(out)
    return ordered


def _finished(plan: ComposePlan, partial: Path) -> dict[int, Line]:
    """Lines of the clips that an interrupted run of the same plan has finished."""
    if not partial.exists():
        return {}
    before, log = partial / PLAN, partial / LOG
    if not before.exists() or before.read_text(encoding="utf-8") != _text_of(plan):
        raise DataRejected(f"{partial}: left by a run with other options; repeat those to finish it, or remove it")
    raw = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    whole = [json.loads(line) for line in raw if line.endswith(b"\n")]  # a kill may have torn the last one
    return {line["number"]: line for line in whole}


def _text_of(plan: ComposePlan) -> str:
    return plan.model_dump_json(indent=1) + "\n"


def _write_all(composer: Composer, todo: Sequence[int], workers: int) -> Iterator[Line]:
    """Lines of finished clips, in the order in which they finish."""
    if workers <= 1 or len(todo) <= 1:
        yield from map(composer.write, todo)
        return
    # spawn: a forked child would inherit locks held by the progress bar's thread.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(composer.plan, composer.out))
    try:
        waiting = iter(todo)
        running: set[Future[Line]] = set()
        while True:
            while len(running) < AHEAD * workers and (number := next(waiting, None)) is not None:
                running.add(pool.submit(_write, number))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_COMPOSERS: list[Composer] = []
"""The composer of a worker process: a process pool can hand state to its tasks only through a global."""


def _begin(plan: ComposePlan, out: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it lets running clips finish
    warnings.simplefilter("ignore")  # the parent has read the same files and has warned already
    _COMPOSERS[:] = [Composer(plan, out)]


def _write(number: int) -> Line:
    return _COMPOSERS[0].write(number)


def _finish(plan: ComposePlan, partial: Path, lines: Sequence[Line], classes: tuple[str, ...]) -> None:
    """The list of clips in its layout's form, and dataset.json; what only an unfinished run needs goes."""
    entries = [line["entry"] for line in lines]
    if plan.layout == "s4":
        write_s4_index(partial, map(tuple, entries))
    elif plan.layout == "ms3":
        write_ms3_index(partial, map(tuple, entries))
    else:
        write_avss_index(partial, [AvssRow(**entry) for entry in entries], classes)
    clips = [{key: value for key, value in line.items() if key not in ("number", "entry")} for line in lines]
    text = json.dumps({"schema": SCHEMA, "plan": plan.model_dump(mode="json"), "classes": classes, "clips": clips})
    (partial / DATASET).write_text(text + "\n", encoding="utf-8")
    (partial / LOG).unlink()
    (partial / PLAN).unlink()
