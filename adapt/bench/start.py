"""From the options of the command to plans, and from a plan to its run: data sets, network, folder."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from pydantic import JsonValue, ValidationError

from cavs.adapt.bench.bench_command import checked_out
from cavs.adapt.bench.cl_avs_data import read_categories, read_domains, read_stream
from cavs.adapt.bench.cl_avs_stream import BOUNDARY_FREE, StreamRun
from cavs.adapt.bench.clip_store import ClipStore
from cavs.adapt.bench.lean_segmenter import LeanSegmenter
from cavs.adapt.bench.named_protocols import Kind, kind_of, make_protocol, parted
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.bench.run_files import read_plan
from cavs.adapt.bench.runner import BenchRun
from cavs.adapt.data.avss import read_avss
from cavs.adapt.data.clip_set import ClipSet, Layout
from cavs.adapt.data.layouts import recognise
from cavs.adapt.methods.catalogue import make_method
from cavs.adapt.model.checkpoint import load_checkpoint
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.errors import ConfigError, DataRejected, TrainingStopped

STREAM_EPOCHS, STREAM_BATCH = (1, 1), 4
"""Passes over each batch of a stream, and clips in it, where nothing else is asked for."""


def make_plan(args: argparse.Namespace, method: str, options: Mapping[str, JsonValue], seed: int) -> RunPlan:
    """ConfigError for values that cannot hold, and for an unknown protocol or method."""
    kind = kind_of(args.protocol)
    stream = kind == "stream"
    epochs, batch = args.epochs or (STREAM_EPOCHS if stream else None), args.batch or (STREAM_BATCH if stream else None)
    values = {
        "protocol": f"{args.protocol}-{args.setting}" if kind == "classes" else args.protocol,
        "method": method,
        "options": options,
        "seed": seed,
        "epochs": epochs,
        "batch": batch,
        "rates": (args.rate, args.rate if args.later_rate is None else args.later_rate),
        "common": args.common,
        "scored": args.scored,
        "head": args.head,
        "conditioning": args.conditioning,
        "evaluate_every": args.evaluate_every,
        "kept_epoch": args.kept_epoch,
        "raw": args.raw,
        "encoder_lora": args.encoder_lora,
        "data": [str(path.resolve()) for path in args.data],
        "network": str(args.network.resolve()),
    }
    make_method(method, options)
    if stream and method not in BOUNDARY_FREE:
        known = ", ".join(BOUNDARY_FREE)
        raise ConfigError(f"method {method} needs tasks, and {args.protocol} has none; known for it: {known}")
    try:
        return RunPlan.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "options"
        raise ConfigError(f"--{where}: {fault['msg']}, seen {fault['input']!r}") from None


def label_of(plan: RunPlan) -> str:
    """The method and the options that were changed, as a folder's name."""
    changed = [f",{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in plan.options.items()]
    return plan.method + "".join(changed)


def open_run(plan: RunPlan, out: Path, folder: Path | None = None) -> BenchRun:
    """Reads the data sets and the network anew: a run changes the network.

    out: of all runs; it holds their features and starts. folder: of this one; below `out` by default.
    """
    torch.set_flush_denormal(True)  # attention is full of numbers below 1e-38, and they cost a sixth of a step
    network = load_checkpoint(Path(plan.network)).network
    make = LeanSegmenter if plan.head == "lean" else NetworkSegmenter
    segmenter = make(network, plan.seed, conditioning=plan.conditioning, encoder_lora=plan.encoder_lora)
    height, width = segmenter.frame_size
    if height != width:
        raise ConfigError(f"{plan.network}: frames of {width}x{height}; the bench squashes clips to squares only")
    name, setting = parted(plan.protocol)
    kind = kind_of(name)
    data_sets = [_read(kind, name, Path(path), height) for path in plan.data]
    store = ClipStore(data_sets, segmenter, out / "features", raw=plan.raw)
    heard = {name for clip in store.clips for name in clip.sounding}
    protocol = make_protocol(name, setting, [name for name in store.classes if name in heard])
    folder = folder or checked_out(out / protocol.name / label_of(plan) / str(plan.seed))
    run = StreamRun if kind == "stream" else BenchRun
    return run(plan, protocol, store, segmenter, out=folder, clock=MonotonicClock(), common=out / "starts")


def reopen(folder: Path) -> BenchRun:
    """A run with its network as it was kept last. TrainingStopped if the folder holds none."""
    run = open_run(read_plan(folder), folder.resolve().parents[2], folder)
    if not run.resume():
        raise TrainingStopped(f"{folder}: no finished task in it; run it again")
    return run


def run_planned(plan: str, out: str, told: Callable[[float], None]) -> str:
    """Runs a plan given as JSON; a line of results."""
    run = open_run(RunPlan.model_validate_json(plan), Path(out))
    run.told = lambda part, share: told((part + share) / run.parts)
    record = run.run()
    final = {name: round(record.matrix(name).final, 3) for name in record.measures}
    return f"{run.out}: {final}, {record.seconds:.0f} s"


def _read(kind: Kind, protocol: str, path: Path, size_px: int) -> ClipSet:
    readers: dict[Kind, tuple[Layout, Callable[[Path, int], ClipSet]]] = {
        "classes": ("avss", lambda root, size: read_avss(root, size_px=size)),
        "categories": ("s4", read_categories),
        "domains": ("s4", read_domains),
        "stream": ("ms3", read_stream),
    }
    layout, read = readers[kind]
    found = recognise(path)
    if found.layout != layout:
        raise DataRejected(f"{found.root}: layout {found.layout}; protocol {protocol} needs {layout}")
    return read(found.root, size_px)
