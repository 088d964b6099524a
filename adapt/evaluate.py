"""Scores of a checkpoint on composed scenes of one split, as JSON."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cavs.adapt.calibration import calibrate
from cavs.adapt.data.ingredients import RATE_HZ, Ingredients
from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.learn.from_bundle import network_from_bundle
from cavs.adapt.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cavs.adapt.model.network import Network
from cavs.adapt.onset import onset_latency
from cavs.adapt.scenarios import CaseSource
from cavs.adapt.scoring import score
from cavs.runtime.bundle import read_bundle
from cavs.runtime.errors import ConfigError, DataRejected

CALIBRATION_FRAMES = 96  # per scenario: val holds few photographs, more frames would only repeat them


def run(args: argparse.Namespace) -> int:
    """What `cavs-adapt evaluate` does with its options."""
    checkpoint = _open(args.checkpoint)
    network = checkpoint.network.eval()
    network.least_heard = args.least_heard
    if args.heard_seconds is not None:
        longest = network.config.sound_samples / RATE_HZ
        if not 0 < args.heard_seconds <= longest:
            raise ConfigError(f"--heard-seconds {args.heard_seconds:g}: more than 0 and at most {longest:g} expected")
        hear_only(network, args.heard_seconds)
    calibration = None
    if args.calibrate:
        if args.checkpoint.is_dir():
            raise ConfigError(
                f"{args.checkpoint}: --calibrate writes thresholds, and a bundle is never edited; give a checkpoint"
            )
        calibration = calibrate_on_val(network, args)
        save_checkpoint(network, args.checkpoint, {**checkpoint.notes, "calibration": calibration})
    report = evaluate(network, args)
    report["heard_seconds"] = args.heard_seconds
    report["notes"] = checkpoint.notes
    report["calibration"] = calibration or checkpoint.notes.get("calibration")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(readable(report) + "\n")
    return 0


def _open(path: Path) -> Checkpoint:
    """A checkpoint, or what a bundle's graph was made from."""
    if not path.is_dir():
        return load_checkpoint(path)
    bundle = read_bundle(path)
    notes = bundle.manifest.provenance.get("training", {})
    return Checkpoint(network_from_bundle(bundle), {"bundle": bundle.id, **(notes if isinstance(notes, dict) else {})})


def hear_only(network: Network, seconds: float) -> None:
    """From now on the network hears silence before the newest `seconds` of every window."""

    def shorten(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        waves = given[0].clone()
        waves[:, : waves.shape[1] - round(seconds * RATE_HZ)] = 0
        return (waves, *given[1:])

    network.audio.register_forward_pre_hook(shorten)


def readable(value: object, levels: int = 2) -> str:
    """JSON with a line for each member of the outer levels; what lies deeper, long lists mostly, stays on its line."""
    if levels == 0 or not isinstance(value, dict):
        return json.dumps(value, allow_nan=False)
    lines = (f"{json.dumps(key)}: {readable(inner, levels - 1)}" for key, inner in value.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def calibrate_on_val(network: Network, args: argparse.Namespace) -> dict[str, Any]:
    """Puts thresholds into the network; says how they were chosen."""
    ingredients = load_sets(args.ingredients, "val", args.exclude, args.unheard)
    source = make_source(network, ingredients, args.classes, args.strength)
    frames = min(args.frames, CALIBRATION_FRAMES)
    chosen = calibrate(network, source, frames, args.seed)
    network.thresholds.copy_(torch.tensor([chosen.sounding, chosen.near]))
    return {
        "split": "val", "frames": frames, "seed": args.seed, "strength": args.strength, "sounding": chosen.sounding,
        "near": chosen.near, "least_heard": args.least_heard, "binary_iou": chosen.iou, "mask_mass": chosen.mass,
    }  # fmt: skip


def evaluate(network: Network, args: argparse.Namespace) -> dict[str, Any]:
    """All scores of one network, with what they were measured on."""
    source = make_source(
        network, load_sets(args.ingredients, args.split, args.exclude, args.unheard), args.classes, args.strength
    )
    scores = score(network, source, args.frames, args.seed, args.scenarios)
    report: dict[str, Any] = {
        "split": args.split,
        "seed": args.seed,
        "strength": args.strength,
        "classes": list(source.classes),
        "thresholds": [float(value) for value in network.thresholds],
        "least_heard": args.least_heard,
        "scenarios": {name: scenario.summary() for name, scenario in scores.items()},
        "ingredients": sorted({one for scenario in scores.values() for sources in scenario.sources for one in sources}),
    }
    if args.streams:
        report["onset"] = onset_latency(network, source, args.streams, args.seed, args.hop_ms / 1e3)
    return report


def make_source(network: Network, ingredients: Ingredients, classes: Sequence[str] | None, strength: float) -> CaseSource:
    """What to compose from: classes that the network knows and that can be seen and heard."""
    rows = {name: row for row, name in enumerate(network.class_names)}
    able = ingredients.classes_with_both()
    wanted = classes or [name for name in network.class_names if name in able]
    lacking = [name for name in wanted if name not in able or name not in rows]
    if lacking or len(wanted) < 4:
        raise DataRejected(
            f"split {ingredients.split}: {', '.join(lacking) or 'too few classes'}; expected at least four classes that the "
            f"checkpoint knows ({', '.join(rows)}) with cut-outs and recordings ({', '.join(able)})"
        )
    config = network.config
    size = (config.frame_height_px, config.frame_width_px)
    return CaseSource(ingredients, tuple(wanted), rows, size, config.sound_samples, strength)
