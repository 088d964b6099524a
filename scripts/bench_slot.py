#!/usr/bin/env python3
"""What exchanging a model costs a running stream: window times with and without 1,000 exchanges, as JSON.

Windows are paced like a camera's. Also: the exchange itself, preparing an adapter, and what input and output binding
saves against handing arrays to ONNX Runtime for each window.
"""

import argparse
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cavs.runtime.adapter import Adapter, default_adapter, make_adapter
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.runtime.contract import LORA_PREFIX
from cavs.runtime.onnx_engine import OnnxEngine, load_session
from cavs.runtime.slot import Slot

CLOCK = MonotonicClock()
WARM_UP_WINDOWS = 30
LOOK_NS = 8 * NS_PER_MS
"""How often who offers looks whether its offer was taken: looking every millisecond cost a window more than the exchange."""

Times = npt.NDArray[np.float64]
Window = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--exchanges", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--fps", type=float, default=30.0)
    args = parser.parse_args()
    bundle = read_bundle(args.bundle)
    engine = OnnxEngine(bundle, threads=args.threads)
    adapters = (default_adapter(bundle), other_adapter(bundle))
    slot = Slot(engine, adapters[0], CLOCK)
    window = random_window(bundle)
    interval_ns = round(NS_PER_S / args.fps)
    run_windows(slot, window, WARM_UP_WINDOWS, interval_ns)
    # The two kinds of run take turns, so that whatever else the machine does meets both alike.
    share = max(args.exchanges // 4, 1)
    without, during = [], []
    for _ in range(4):
        without.append(run_windows(slot, window, share, interval_ns))
        during.append(run_exchanging(slot, adapters, window, share, interval_ns))
    before, after = np.concatenate(without), np.concatenate(during)
    report = {
        "bundle": bundle.id[:12],
        "adapter_kib": round(sum(tensor.nbytes for tensor in adapters[0].tensors.values()) / 1024, 1),
        "threads": engine.threads,
        "windows_each": len(before),
        "exchanges": slot.exchanges,
        "window_ms_without": summary(before),
        "window_ms_with": summary(after),
        "worst_with_over_p99_without": round(float(after.max() / np.percentile(before, 99)), 3),
        "p99_with_over_p99_without": round(float(np.percentile(after, 99) / np.percentile(before, 99)), 3),
        "offer_ms": summary(time_each(200, lambda: slot.offer(adapters[1]))),
        "take_us": summary(take_times(slot, adapters) * 1000),
        **binding_report(engine, adapters[0], window),
    }
    json.dump(report, sys.stdout, indent=2)
    print()


def other_adapter(bundle: Bundle) -> Adapter:
    """The default adapter with its LoRA moved a little."""
    first = default_adapter(bundle)
    rng = np.random.default_rng(0)
    tensors = {
        name: tensor + rng.normal(0, 1e-3, tensor.shape).astype(np.float32) if name.startswith(LORA_PREFIX) else tensor
        for name, tensor in first.tensors.items()
    }
    return make_adapter(tensors, bundle=bundle, classes=first.classes, method="bench")


def random_window(bundle: Bundle) -> Window:
    rng = np.random.default_rng(1)
    manifest = bundle.manifest
    frame = rng.integers(0, 256, (manifest.frame.height_px, manifest.frame.width_px, 3), np.uint8)
    return frame, rng.uniform(-0.3, 0.3, manifest.sound.samples).astype(np.float32)


def run_windows(slot: Slot, window: Window, count: int, interval_ns: int) -> Times:
    """Milliseconds of each of `count` paced windows."""
    times = np.empty(count)
    due_ns = CLOCK.now_ns()
    for index in range(count):
        due_ns = max(due_ns + interval_ns, CLOCK.now_ns())
        CLOCK.sleep_ns(due_ns - CLOCK.now_ns())
        start_ns = CLOCK.now_ns()
        slot.run(*window)
        times[index] = (CLOCK.now_ns() - start_ns) / NS_PER_MS
    return times


def run_exchanging(
    slot: Slot,
    adapters: tuple[Adapter, Adapter],
    window: Window,
    count: int,
    interval_ns: int,
) -> Times:
    """The same while another thread offers a model for every window."""
    stop = threading.Event()

    def offer() -> None:
        turn = 0
        while not stop.is_set():
            seen = slot.exchanges
            slot.offer(adapters[turn % 2])
            turn += 1
            while slot.exchanges == seen and not stop.is_set():
                CLOCK.sleep_ns(LOOK_NS)

    thread = threading.Thread(target=offer)
    thread.start()
    times = run_windows(slot, window, count, interval_ns)
    stop.set()
    thread.join()
    return times


def take_times(slot: Slot, adapters: tuple[Adapter, Adapter], count: int = 200) -> Times:
    """Milliseconds that a window pays for taking an offer: what `run` does before the engine, alone."""
    times = np.empty(count)
    for index in range(count):
        slot.offer(adapters[index % 2])
        start_ns = CLOCK.now_ns()
        slot.take_offer()
        times[index] = (CLOCK.now_ns() - start_ns) / NS_PER_MS
    return times


def binding_report(engine: OnnxEngine, adapter: Adapter, window: Window) -> dict[str, object]:
    """The same window through bound buffers and through `session.run` with arrays, in turns."""
    session = load_session(engine.bundle, engine.threads)
    frame, sound = window
    fed = {"frame": frame[None], "sound": sound[None], **adapter.tensors}
    prepared = engine.prepare(adapter)
    bound, plain = [], []
    for _ in range(10):
        bound.append(time_each(10, lambda: engine.run(*window, prepared)))
        plain.append(time_each(10, lambda: session.run(None, fed)))
    return {"run_bound_ms": summary(np.concatenate(bound)), "run_fed_ms": summary(np.concatenate(plain))}


def time_each(count: int, call: Callable[[], object]) -> Times:
    times = np.empty(count)
    for index in range(count):
        start_ns = CLOCK.now_ns()
        call()
        times[index] = (CLOCK.now_ns() - start_ns) / NS_PER_MS
    return times


def summary(times: Times) -> dict[str, float]:
    points = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(times, point)), 4) for name, point in points.items()}


if __name__ == "__main__":
    main()
