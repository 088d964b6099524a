"""The batches of a task: current clips and what is rehearsed, labelled as their role demands."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from cavs.adapt.bench.clip_store import ClipStore
from cavs.adapt.bench.labels import Role, label_table
from cavs.adapt.bench.protocols import ClassProtocol, Scored
from cavs.adapt.methods.method import Inputs, Method, Rows

AT_ONCE = 32
"""Frames of a pass over a task, or of an evaluation."""


class TaskData:
    """What one task reads. Clips of a method that reads everything are labelled as the memory's are."""

    def __init__(self, store: ClipStore, protocol: ClassProtocol, task: int, method: Method) -> None:
        self.store, self.protocol, self.task = store, protocol, task
        whole = method.reads == "all"
        tasks = range(task + 1) if whole else (task,)
        keys = [clip.key for number in tasks for clip in protocol.train_clips(store.clips, number)]
        self.current = tuple(dict.fromkeys(keys))
        self._role: Role = "memory" if whole else "train"
        self._order = protocol.class_order[: sum(len(one.classes) for one in protocol.tasks[: task + 1])]
        self._sounding = {clip.key: clip.sounding for clip in store.clips}
        memory = method.memory_clips() if method.reads == "memory" else ()
        store.allow((*self.current, *memory))

    def in_order(self) -> Iterator[Rows]:
        """Current clips one after another, as many whole ones at a time as make AT_ONCE frames."""
        frames: list[tuple[str, int]] = []
        for key in self.current:
            frames += [(key, frame) for frame in range(self._frames(key))]
            if len(frames) >= AT_ONCE:
                yield self._rows(frames, self._role)
                frames = []
        if frames:
            yield self._rows(frames, self._role)

    def epoch(self, rehearsed: Sequence[str], batch: int, rng: np.random.Generator) -> Iterator[Rows]:
        """Frames of current and rehearsed clips, shuffled: as many as the current ones are, no more, and none of them twice
        unless its clip is rehearsed twice."""
        frames = [(key, frame, False) for key in self.current for frame in range(self._frames(key))]
        room = len(frames)
        frames += [(key, frame, True) for key in rehearsed for frame in range(self._frames(key))]
        order = rng.permutation(len(frames))[:room]
        for start in range(0, len(order), batch):
            chosen = [frames[int(index)] for index in order[start : start + batch]]
            parts = [
                self._rows([(key, frame) for key, frame, old in chosen if old is from_memory], role)
                for from_memory, role in ((False, self._role), (True, "memory"))
                if any(old is from_memory for _, _, old in chosen)
            ]
            flags = [old for from_memory in (False, True) for _, _, old in chosen if old is from_memory]
            yield _joined(parts, torch.tensor(flags))

    def scored(self, split: Scored) -> Iterator[Rows]:
        """Every frame of that split, labelled by the test rule."""
        clips = self.protocol.scored_clips(self.store.clips, split)
        frames = [(clip.key, frame) for clip in clips for frame in range(self._frames(clip.key))]
        return (self._rows(frames[start : start + AT_ONCE], "test") for start in range(0, len(frames), AT_ONCE))

    def validation(self) -> Iterator[Rows]:
        """Every frame of the validation clips of the task's classes; the pixels of other classes are ignored."""
        clips = self.protocol.clips_with(self.store.clips, self.task, "val")
        frames = [(clip.key, frame) for clip in clips for frame in range(self._frames(clip.key))]
        return (self._rows(frames[start : start + AT_ONCE], "val") for start in range(0, len(frames), AT_ONCE))

    def of_clips(self, keys: Sequence[str]) -> Rows:
        """The frames of current clips, in one batch."""
        return self._rows([(key, frame) for key in keys for frame in range(self._frames(key))], self._role)

    def of_clip(self, key: str) -> Rows:
        """The frames of a clip that is no training clip, labelled by the test rule."""
        return self._rows([(key, frame) for frame in range(self._frames(key))], "test")

    def frames(self, keys: Iterable[str]) -> int:
        """How many frames some clips have."""
        return sum(map(self._frames, keys))

    def _frames(self, key: str) -> int:
        return len(self.store.features(key).masks)

    def _rows(self, chosen: Sequence[tuple[str, int]], role: Role) -> Rows:
        table = torch.from_numpy(label_table(self.protocol, self.store.classes, self.task, role)).long()
        found = [(self.store.features(key), frame) for key, frame in chosen]
        levels = len(found[0][0].inputs.pictures)
        pictures = tuple(torch.stack([one.inputs.pictures[n][frame] for one, frame in found]).float() for n in range(levels))
        sounds = torch.stack([one.inputs.sounds[0][frame] for one, frame in found]).float()
        masks = torch.stack([one.masks_at(frame, self.store.label_stride) for one, frame in found])
        flags = torch.tensor([[False, *(name in self._sounding[key] for name in self._order)] for key, _ in chosen])
        return Rows(
            inputs=Inputs(pictures, (sounds,), found[0][0].inputs.encoded),
            labels=table[masks.long()],
            clips=tuple(key for key, _ in chosen),
            frames=tuple(frame for _, frame in chosen),
            rehearsed=torch.zeros(len(chosen), dtype=torch.bool),
            classes=flags,
        )


def _joined(parts: Sequence[Rows], rehearsed: torch.Tensor) -> Rows:
    def cat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(tensors))

    levels = range(len(parts[0].inputs.pictures))
    return Rows(
        inputs=Inputs(
            tuple(cat(part.inputs.pictures[n] for part in parts) for n in levels),
            (cat(part.inputs.sounds[0] for part in parts),),
            parts[0].inputs.encoded,
        ),
        labels=cat(part.labels for part in parts),
        clips=tuple(clip for part in parts for clip in part.clips),
        frames=tuple(frame for part in parts for frame in part.frames),
        rehearsed=rehearsed,
        classes=cat(part.classes for part in parts),
    )
