"""Clips as frozen encoders have them, on disk, behind a wall: a task reads what its method may read and nothing else."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.data.clip import ANNOTATED_AT_S
from cavs.adapt.data.clip_set import ClipSet, LabelledClip
from cavs.adapt.methods.method import Inputs
from cavs.runtime.errors import DataRejected, TrainingStopped

STRIDE = 4
"""Of the masks that are kept; coarser ones are taken from them (`masks_at`)."""
KEPT_OPEN_MIB = 1024
"""Features that stay in memory, those read last."""


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip of one of the data sets. key: unique among them all."""

    key: str
    split: str
    sounding: tuple[str, ...]
    data_set: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class ClipFeatures:
    """The annotated frames of a clip: encoded inputs in half precision or raw ones, and mask indices uint8 (F, h, w) at
    the size of the logits."""

    inputs: Inputs
    masks: Tensor

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.nbytes for tensor in (*self.inputs.pictures, *self.inputs.sounds, self.masks))

    def masks_at(self, frame: int, stride: int) -> Tensor:
        """(h, w), labels of every `stride` pixels of the frame."""
        step = stride // STRIDE
        return self.masks[frame, step // 2 :: step, step // 2 :: step]


class ClipStore:
    """All clips of some data sets of one list of classes.

    cache: folder of the features, which runs may share. raw: hands out pictures and waves instead, and caches nothing on disk.
    """

    def __init__(self, data_sets: Sequence[ClipSet], encoder: NetworkSegmenter, cache: Path, raw: bool = False) -> None:
        if len({data_set.classes for data_set in data_sets}) != 1:
            raise DataRejected(f"{len(data_sets)} data sets of different classes; give sets that were composed with the same")
        self.classes = data_sets[0].classes
        self.clips = tuple(
            StoredClip(f"{files.split}/{number}/{files.id}", files.split, files.sounding, number, index)
            for number, data_set in enumerate(data_sets)
            for index, files in enumerate(data_set.files)
        )
        self._by_key = {clip.key: clip for clip in self.clips}
        self._data_sets = tuple(data_sets)
        self._encoder = encoder
        self._raw = raw
        self.label_stride = encoder.label_stride
        roots = "\n".join(f"{data_set.root.resolve()}{data_set.view}" for data_set in data_sets)
        self._folder = cache / hashlib.sha256(f"{roots}\n{fingerprint(encoder)}".encode()).hexdigest()[:16]
        self._readable: frozenset[str] = frozenset()
        self._open: OrderedDict[str, ClipFeatures] = OrderedDict()
        self._open_bytes = 0

    def allow(self, keys: Iterable[str]) -> None:
        """From now on these training clips are readable and no others."""
        self._readable = frozenset(keys)

    def features(self, key: str) -> ClipFeatures:
        """ValueError for a training clip that the method of the task may not read."""
        clip = self._by_key[key]
        if clip.split == "train" and key not in self._readable:
            raise ValueError(f"{key}: not a clip of this task nor of the method's memory; it may not be read")
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        found = self._open[key] = self._load(key)
        self._open_bytes += found.size
        while self._open_bytes > KEPT_OPEN_MIB * 2**20 and len(self._open) > 1:
            self._open_bytes -= self._open.popitem(last=False)[1].size
        return found

    def labelled(self, key: str) -> LabelledClip:
        """A clip as it lies on disk. ValueError for training clips, which are read for learning only."""
        clip = self._by_key[key]
        if clip.split == "train":
            raise ValueError(f"{key}: a training clip; only others are shown")
        return self._data_sets[clip.data_set].clip(clip.index)

    def source_bytes(self, key: str) -> int:
        """What a clip takes on disk: frames, masks and sound."""
        clip = self._by_key[key]
        files = self._data_sets[clip.data_set].files[clip.index]
        return sum(path.stat().st_size for path in (*files.frames, *(mask for _, mask in files.masks), files.sound))

    def fill(self, told: Callable[[int, int], None]) -> None:
        """Encodes what is not in the cache yet; `told` hears how many clips are done, and of how many."""
        lacking = [] if self._raw else [clip for clip in self.clips if not self._file(clip.key).exists()]
        for done, clip in enumerate(lacking, 1):
            self._encode(clip.key, self._file(clip.key))
            told(done, len(lacking))

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"

    def _load(self, key: str) -> ClipFeatures:
        if self._raw:
            inputs, masks = self._frames(key)
            return ClipFeatures(inputs, masks)
        file = self._file(key)
        if not file.exists():
            self._encode(key, file)
        tensors = load_file(file)
        levels = tuple(tensors[name] for name in sorted(tensors) if name.startswith("level"))
        return ClipFeatures(Inputs(levels, (tensors["tokens"],), encoded=True), tensors["masks"])

    def _frames(self, key: str) -> tuple[Inputs, Tensor]:
        """Pictures uint8 and waves of the annotated frames, and their masks."""
        stored = self._by_key[key]
        clip = self._data_sets[stored.data_set].clip(stored.index)
        frames = np.flatnonzero(clip.annotated)
        pictures = torch.from_numpy(clip.frames[frames]).permute(0, 3, 1, 2).contiguous()
        samples = self._encoder.sound_samples
        waves = torch.from_numpy(np.stack([sound_before(clip, int(frame), samples) for frame in frames]))
        half = STRIDE // 2
        masks = np.ascontiguousarray(clip.masks[frames][:, half::STRIDE, half::STRIDE])
        return Inputs((pictures,), (waves,)), torch.from_numpy(masks)

    def _encode(self, key: str, file: Path) -> None:
        inputs, masks = self._frames(key)
        encoded = self._encoder.encode(inputs)
        tensors = {f"level{n}": level.half().contiguous() for n, level in enumerate(encoded.pictures)}
        tensors |= {"tokens": encoded.sounds[0].half().contiguous(), "masks": masks}
        partial = file.with_suffix(f".{os.getpid()}")  # runs that share a cache may encode the same clip at once
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, partial)
            partial.rename(file)
        except (OSError, SafetensorError) as error:
            raise TrainingStopped(f"{file}: features not written ({error}); finished tasks are kept, run again") from error


def sound_before(clip: LabelledClip, frame: int, samples: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The sound that ends when the frame was taken, silence where the clip had not begun."""
    end = round((frame + ANNOTATED_AT_S) * clip.rate_hz)
    piece = clip.samples[max(0, end - samples) : end]
    wave = np.zeros(samples, np.float32)
    if len(piece):
        lead = max(0, samples - end)
        wave[lead : lead + len(piece)] = piece
    return wave


def fingerprint(encoder: NetworkSegmenter) -> str:
    """Of the encoders' weights and the sizes that they are fed."""
    digest = hashlib.sha256(f"{encoder.frame_size} {encoder.sound_samples}".encode())
    for module in (encoder.visual, encoder.audio):
        for name, tensor in module.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
