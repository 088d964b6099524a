"""A training run on disk: what lets it go on after a kill at any moment.

    config.json           what the run was told
    steps/<step>/         weights.safetensors, average.safetensors, optimiser.pt, progress.json
    best/                 the same for the step that scored best on val, without the optimiser
    log.csv, tensorboard/ what happened

A folder under `steps` appears whole, by a rename; the newest two are kept, so that a torn disk still leaves one. Weights
are safetensors; the optimiser's state is read with `weights_only`, so nothing is ever unpickled.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cavs.runtime.errors import TrainingStopped

KEPT_STEPS = 2
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Saved:
    """One state of a run. `progress` is JSON: step, scores so far, state of the random generators."""

    weights: Tensors
    average: Tensors
    optimiser: dict[str, Any]
    progress: dict[str, Any]


class RunFolder:
    """Writes and reads the states of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            (path / "steps").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingStopped(f"{path}: cannot be written to ({error.strerror}); give another --out") from error

    def clear_torn(self) -> None:
        """Removes what a killed run left half done. For the one process that writes, before it does."""
        for torn in (self.path / "steps").glob(".*"):
            shutil.rmtree(torn)
        former = self.path / ".best.former"
        if former.exists() and not (self.path / "best").exists():
            former.rename(self.path / "best")

    def pin_config(self, config: Mapping[str, Any]) -> None:
        """Writes the config, or checks that the one there is the same. TrainingStopped names what differs."""
        file = self.path / "config.json"
        if not file.exists():
            _write_whole(file, json.dumps(config, indent=2) + "\n")
            return
        there = json.loads(file.read_text())
        wanted = json.loads(json.dumps(config))
        differing = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
        if differing:
            raise TrainingStopped(
                f"{self.path}: holds a run that differs in {', '.join(differing)}; give another --out or the same settings"
            )

    def keep(self, saved: Saved) -> Path:
        """Adds a state; it exists whole or not at all."""
        step = int(saved.progress["step"])
        target = self.path / "steps" / f"{step:08d}"
        self._write(target, saved)
        for old in self._steps()[:-KEPT_STEPS]:
            shutil.rmtree(old)
        return target

    def keep_best(self, saved: Saved) -> None:
        """Exchanges `best`; the one before it stays until the new one is whole."""
        target = self.path / "best"
        former = self.path / ".best.former"
        if target.exists():
            shutil.rmtree(former, ignore_errors=True)
            target.rename(former)
        self._write(target, Saved(saved.weights, saved.average, {}, saved.progress))
        shutil.rmtree(former, ignore_errors=True)

    def newest(self) -> Saved | None:
        """The newest state that can be read; None for a run that has not begun. TrainingStopped when all are torn."""
        faults = []
        for folder in reversed(self._steps()):
            try:
                return _read(folder)
            except (OSError, ValueError, SafetensorError, RuntimeError) as error:
                faults.append(f"{folder.name}: {error}")
        if faults:
            raise TrainingStopped(f"{self.path}: no state can be read ({'; '.join(faults)}); give another --out")
        return None

    def best(self) -> Saved | None:
        """The state that scored best on val; None when none was scored."""
        folder = self.path / "best"
        return _read(folder) if folder.exists() else None

    def _steps(self) -> list[Path]:
        return sorted(folder for folder in (self.path / "steps").iterdir() if folder.name.isdigit())

    def _write(self, target: Path, saved: Saved) -> None:
        partial = target.with_name(f".{target.name}")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            save_file(_plain(saved.weights), partial / "weights.safetensors")
            save_file(_plain(saved.average), partial / "average.safetensors")
            if saved.optimiser:
                torch.save(saved.optimiser, partial / "optimiser.pt")
            _write_whole(partial / "progress.json", json.dumps(saved.progress, indent=2) + "\n")
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        except (OSError, SafetensorError) as error:
            raise TrainingStopped(
                f"{target}: not written ({error}); the states kept before are untouched, free some room"
            ) from error


def _read(folder: Path) -> Saved:
    optimiser = folder / "optimiser.pt"
    return Saved(
        weights=load_file(folder / "weights.safetensors"),
        average=load_file(folder / "average.safetensors"),
        optimiser=torch.load(optimiser, weights_only=True) if optimiser.exists() else {},
        progress=json.loads((folder / "progress.json").read_text()),
    )


def _plain(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _write_whole(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.part")
    partial.write_text(text)
    os.replace(partial, file)
