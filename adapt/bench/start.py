"""From the options of a run to the run."""

import argparse

from pydantic import ValidationError

from cavs.adapt.bench.bench_command import checked_out, options_of
from cavs.adapt.bench.clip_store import ClipStore
from cavs.adapt.bench.lean_segmenter import LeanSegmenter
from cavs.adapt.bench.named_protocols import make_protocol
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.runner import BenchRun, RunPlan
from cavs.adapt.data.avss import read_avss
from cavs.adapt.data.layouts import recognise
from cavs.adapt.model.checkpoint import load_checkpoint
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.errors import ConfigError, DataRejected


def prepare(args: argparse.Namespace, seed: int) -> BenchRun:
    """Reads the data sets and the network anew: a run changes the network."""
    try:
        plan = RunPlan.model_validate(
            {
                "protocol": f"{args.protocol}-{args.setting}",
                "method": args.method,
                "options": options_of(args.set),
                "seed": seed,
                "epochs": args.epochs,
                "batch": args.batch,
                "rates": (args.rate, args.rate if args.later_rate is None else args.later_rate),
                "common": args.common,
                "scored": args.scored,
                "head": args.head,
                "conditioning": args.conditioning,
                "data": [str(path.resolve()) for path in args.data],
                "network": str(args.network.resolve()),
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(f"--{'.'.join(map(str, fault['loc']))}: {fault['msg']}, seen {fault['input']!r}") from None
    segmenter = (LeanSegmenter if plan.head == "lean" else NetworkSegmenter)(
        load_checkpoint(args.network).network, seed, conditioning=plan.conditioning
    )
    height, width = segmenter.frame_size
    if height != width:
        raise ConfigError(f"{args.network}: frames of {width}x{height}; the bench squashes clips to squares only")
    found = [recognise(path) for path in args.data]
    for one in found:
        if one.layout != "avss":
            raise DataRejected(f"{one.root}: layout {one.layout}; these protocols need classes, as avss has them")
    store = ClipStore([read_avss(one.root, size_px=height) for one in found], segmenter, args.out / "features")
    heard = {name for clip in store.clips for name in clip.sounding}
    protocol = make_protocol(args.protocol, args.setting, [name for name in store.classes if name in heard])
    changed = "".join(f",{setting}" for setting in args.set)
    out = checked_out(args.out / protocol.name / f"{args.method}{changed}" / str(seed))
    return BenchRun(plan, protocol, store, segmenter, out=out, clock=MonotonicClock(), common=args.out / "starts")
