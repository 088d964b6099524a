"""One step of the engine on a GPU beside torch eager, torch.compile and ONNX Runtime CUDA, in turns, in one run.

    .venv/bin/python scripts/bench_gpu.py CHECKPOINT BUNDLE [--engine rtx] [--out gpu.json]

CHECKPOINT and BUNDLE are of the same network (`cavs-export onnx`), and BUNDLE has a plan for this GPU (`cavs-export tensorrt`).
What is not installed is left out and said. Without a GPU this ends with one line.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from cavs.adapt.model.checkpoint import load_checkpoint
from cavs.adapt.model.reserve import reserve_room
from cavs.export.half import bundle_windows
from cavs.export.onnx_graph import ServingForm
from cavs.runtime import contract
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.choose import device_of, open_engine
from cavs.runtime.clock import NS_PER_MS, MonotonicClock
from cavs.runtime.errors import CavsError
from cavs.runtime.tensorrt_cuda import Cuda
from cavs.runtime.tensorrt_engine import TensorRtEngine

WARM_UP, STEPS, ROUNDS = 50, 500, 3
STEP_OVER_EAGER, STEP_OVER_BARE = 0.25, 1.1
EXCHANGE_MS = 0.2

Step = Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--engine", choices=("tensorrt", "rtx"), default="rtx")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    try:
        device = device_of(Cuda())
        bundle = read_bundle(args.bundle)
        engine, why = open_engine(bundle, args.engine)
    except CavsError as error:
        print(f"bench_gpu: {error}", file=sys.stderr)
        return 1
    window = next(bundle_windows(bundle, 1))
    prepared = [engine.prepare(default_adapter(bundle)) for _ in range(3)]  # one more than the device holds: each is copied
    arms: dict[str, Step] = {f"cavs {args.engine}": lambda: engine.run(window.frame, window.sound, prepared[0])}
    turn = iter(range(1 << 62))
    arms["exchange every step"] = lambda: engine.run(window.frame, window.sound, prepared[next(turn) % 3])
    if isinstance(engine, TensorRtEngine):
        executor, packed = engine.executor, engine.prepare(default_adapter(bundle)).packed
        arms["bare enqueue"] = lambda: executor.run(packed)  # copies, kernels and the wait; no checks
    arms |= dict(_others(args.checkpoint, bundle, window.frame, window.sound))
    numbers = measured(arms)
    step, exchanged = numbers[f"cavs {args.engine}"]["p50_ms"], numbers["exchange every step"]["p50_ms"]
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"SM {device.sm}",
        "engine": why,
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "cuda": device.cuda_version},
        "numbers": numbers,
        "exchange_ms": exchanged - step,
        "exchange_met": exchanged - step <= EXCHANGE_MS,
    }
    if "bare enqueue" in numbers:
        result["step_over_bare"] = step / numbers["bare enqueue"]["p50_ms"]
        result["step_over_bare_met"] = result["step_over_bare"] <= STEP_OVER_BARE
    if "torch eager" in numbers:
        result["step_over_eager"] = step / numbers["torch eager"]["p50_ms"]
        result["step_over_eager_met"] = result["step_over_eager"] <= STEP_OVER_EAGER
    text = json.dumps(result, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")
    return 0


def measured(arms: dict[str, Step]) -> dict[str, dict[str, float]]:
    """p50 and p99 of each, the median over the rounds; the arms take turns."""
    clock = MonotonicClock()
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for step in arms.values():
        for _ in range(WARM_UP):
            step()
    for _ in range(ROUNDS):
        for name, step in arms.items():
            times = []
            for _ in range(STEPS):
                begun_ns = clock.now_ns()
                step()
                times.append((clock.now_ns() - begun_ns) / NS_PER_MS)
            rounds[name].append((float(np.percentile(times, 50)), float(np.percentile(times, 99))))
    return {
        name: {"p50_ms": float(np.median([p50 for p50, _ in each])), "p99_ms": float(np.median([p99 for _, p99 in each]))}
        for name, each in rounds.items()
    }


def _others(checkpoint: Path, bundle: Bundle, frame: Any, sound: Any) -> Iterator[tuple[str, Step]]:
    """Frame and sound go in from the host and labels come back, as in ours; the adapter stays on the device."""
    adapter = default_adapter(bundle).tensors
    if torch.cuda.is_available():
        network = reserve_room(load_checkpoint(checkpoint).network, None, bundle.manifest.adapter.class_capacity).eval()
        form = ServingForm(network).cuda()
        tensors = [torch.from_numpy(adapter[name].copy()).cuda() for name in form.slots]

        def run(model: Callable[..., Any]) -> object:
            with torch.inference_mode():
                seen = torch.from_numpy(frame[None]).cuda(), torch.from_numpy(sound[None]).cuda()
                return [output.cpu() for output in model(*seen, *tensors)]

        compiled = torch.compile(form)
        yield "torch eager", lambda: run(form)
        yield "torch.compile", lambda: run(compiled)
    else:
        print("bench_gpu: this torch has no CUDA; torch is left out", file=sys.stderr)
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        session = onnxruntime.InferenceSession(str(bundle.graph_path), providers=["CUDAExecutionProvider"])
        feeds = {contract.FRAME: frame[None], contract.SOUND: sound[None], **adapter}
        yield "onnxruntime CUDA", lambda: session.run(None, feeds)
    else:
        print("bench_gpu: this onnxruntime has no CUDA provider; it is left out", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
