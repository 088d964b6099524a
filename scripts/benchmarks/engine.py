"""One step of the engine: with 1 and 2 threads, on an idle machine and with one core kept busy, with and without the resize."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from bench_slot import random_window

from benchmarks.footage import FPS, HEIGHT, WIDTH
from benchmarks.processes import program, wait_for_line
from benchmarks.quantiles import CLOCK, median_of, spread
from benchmarks.result import Arms, Plan, Result, Target, Value
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.runtime.onnx_engine import OnnxEngine, load_session
from cavs.runtime.preprocess import fit_frame

SECONDS = 4.0
WARM_UP = 10
THREADS = (1, 2)
Runs = dict[str, list[dict[str, Value]]]


def measure(plan: Plan) -> Result:
    seconds = plan.seconds_or(SECONDS)
    bundle = read_bundle(plan.bundle)
    steps = {}
    for threads in THREADS:
        engine = OnnxEngine(bundle, threads=threads)
        steps[f"{threads} thread{'s' if threads > 1 else ''}"] = _step(engine, resize=False)
        steps[f"{threads} thread{'s' if threads > 1 else ''}, with resize"] = _step(engine, resize=True)
    runs: Runs = {f"{load}, {arm}": [] for load in ("idle", "one core busy") for arm in steps}
    for turn in range(plan.repeats):
        for load in ("idle", "one core busy"):
            with ExitStack() as closing:
                if load != "idle":
                    log = plan.scratch / f"spinner-{turn}.log"
                    wait_for_line(closing.enter_context(program("benchmarks.spinner", log=log)), log, "busy")
                for arm, step in steps.items():
                    runs[f"{load}, {arm}"].append(spread(_paced_ms(step, seconds)))
    if plan.folded is not None:
        runs |= _folded(plan, bundle, plan.folded, seconds)
    numbers: Arms = {arm: median_of(repeats) for arm, repeats in runs.items()}
    targets = [Target("adapter as inputs over folded graph, p50", _folded_ratio(numbers), 1.1, "x")] if plan.folded else []
    return Result(
        config={"seconds": seconds, "repeats": plan.repeats, "source": f"{WIDTH}x{HEIGHT}", "pace_fps": FPS},
        numbers=numbers,
        targets=targets,
        notes=[
            "steps are paced at 30 fps, as live; back to back they would find warmer caches",
            "one core busy: another process that computes without end",
            "resize: 640x480 to the size of the network",
        ],
    )


def _step(engine: OnnxEngine, *, resize: bool) -> Callable[[], object]:
    frame, sound = random_window(engine.bundle)
    prepared = engine.prepare(default_adapter(engine.bundle))
    picture = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)

    def step() -> None:
        if resize:
            fit_frame(picture, (frame.shape[0], frame.shape[1]), frame)
        engine.run(frame, sound, prepared)

    return step


def _paced_ms(step: Callable[[], object], seconds: float) -> list[float]:
    times: list[float] = []
    due_ns = CLOCK.now_ns()
    for _ in range(WARM_UP + max(round(seconds * FPS), 2)):
        due_ns = max(due_ns + NS_PER_S // FPS, CLOCK.now_ns())
        CLOCK.sleep_ns(due_ns - CLOCK.now_ns())
        began_ns = CLOCK.now_ns()
        step()
        times.append((CLOCK.now_ns() - began_ns) / NS_PER_MS)
    return times[WARM_UP:]


FOLDED, AS_INPUTS = "folded graph", "adapter as inputs"


def _folded(plan: Plan, bundle: Bundle, folded: Path, seconds: float) -> Runs:
    """Both graphs fed the same way, by names, so that only the graphs differ."""
    frame, sound = random_window(bundle)
    fed: dict[str, npt.NDArray[Any]] = {"frame": frame[None], "sound": sound[None], **default_adapter(bundle).tensors}
    sessions = {AS_INPUTS: load_session(bundle, plan.threads), FOLDED: _plain_session(folded / "graph.onnx", plan.threads)}
    runs: Runs = {AS_INPUTS: [], FOLDED: []}
    for _ in range(plan.repeats):
        for arm, session in sessions.items():
            runs[arm].append(spread(_paced_ms(_fed_step(session, fed), seconds)))
    return runs


def _plain_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _fed_step(session: onnxruntime.InferenceSession, fed: Mapping[str, npt.NDArray[Any]]) -> Callable[[], object]:
    inputs = {node.name: fed[node.name] for node in session.get_inputs()}
    return lambda: session.run(None, inputs)


def _folded_ratio(numbers: Arms) -> float | None:
    above, below = numbers[AS_INPUTS]["p50_ms"], numbers[FOLDED]["p50_ms"]
    return round(float(above) / float(below), 4) if isinstance(above, float) and isinstance(below, float) else None
