"""Ours beside the loop that one would write (cv2.VideoCapture, onnxruntime, zmq, one thread), at equal work."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.camera_server import numbered_pictures, pictures_of
from benchmarks.footage import FPS, clip, wav
from benchmarks.processes import BenchmarkFailed, Received, Tap, check, program, wait_for_line
from benchmarks.quantiles import median_of, median_ratio, percentile
from benchmarks.result import Arms, Plan, Result, Target, Value
from benchmarks.windows import MASKS_TOPIC, masks_of
from cavs.runtime.bundle import read_bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S

SECONDS = 8.0
OPENING_S = 3.0
"""Of each camera run that do not count: opening looks ahead, and leaves a backlog that is not the loop's own."""
WARM_UP = 10
"""Windows of a file that do not count."""
CAMERAS_FPS = (30.0, 60.0, 120.0)
"""The last is faster than the engine on two cores: who takes every frame in order falls behind, who drops does not."""
ARMS = OURS, PLAIN, PLAIN_NO_SPIN, INFERENCE = "ours", "plain loop", "plain loop, no spinning", "Roboflow inference"
MODULES = {PLAIN: "benchmarks.plain_loop", PLAIN_NO_SPIN: "benchmarks.plain_loop", INFERENCE: "benchmarks.inference_loop"}
P99_LIMIT = 0.5
Runs = dict[str, list[dict[str, Value]]]


def measure(plan: Plan) -> Result:
    seconds = plan.seconds_or(SECONDS)
    files = _files(plan, seconds)
    numbers: Arms = {f"file, {arm}": median_of(repeats) for arm, repeats in files.items()}
    claim = "frames per second on a file, ours over"
    targets = [Target(f"{claim} {peer}", ratio, 1.0, "x", "at least") for peer, ratio in _ratios(files, "fps", min)]
    for fps in CAMERAS_FPS:
        cameras = _cameras(plan, seconds, fps)
        numbers |= {f"camera {fps:g} fps, {arm}": median_of(repeats) for arm, repeats in cameras.items()}
        claim = f"p99 latency with a camera at {fps:g} fps, ours over"
        targets += [Target(f"{claim} {peer}", ratio, P99_LIMIT, "x") for peer, ratio in _ratios(cameras, "p99_ms", max)]
    return Result(
        config={"seconds": seconds, "repeats": plan.repeats, "threads": plan.threads},
        numbers=numbers,
        targets=targets,
        notes=[
            "same graph, same size of the picture, same length of sound, same engine threads; processes take turns",
            "file: both read it as fast as they can; frames per second between messages at the subscriber, "
            f"the first {WARM_UP} left out",
            "camera: Motion JPEG over HTTP on loopback with painted frame numbers; latency from the moment the server sends a "
            f"frame to the moment a subscriber has its masks; the first {OPENING_S:g} s left out",
            f"a camera at {max(CAMERAS_FPS):g} fps is faster than the engine: what the plain loop has not read waits in the "
            "sockets",
            "plain loop: ONNX Runtime as it comes, spinning while it waits, and with spinning switched off, as ours; the "
            "target is held against the one that does better",
            "Roboflow inference: its InferencePipeline with the same graph as custom logic, ONNX Runtime spinning as it comes; "
            "only where --inference names a Python that has it",
        ],
    )


def _ratios(runs: Runs, name: str, worst: Callable[[Iterable[float]], float]) -> list[tuple[str, float | None]]:
    """Ours over the plain loop that does better, and over `inference`: the median over repeats that took turns."""
    ratios = {arm: median_ratio(runs[OURS], runs[arm], name) for arm in runs if arm != OURS}
    plain = [ratio for arm, ratio in ratios.items() if arm != INFERENCE and ratio is not None]
    over = [("the better plain loop's", worst(plain) if plain else None)]
    return [*over, ("Roboflow inference's", ratios[INFERENCE])] if INFERENCE in ratios else over


def _arms(plan: Plan) -> Runs:
    return {arm: [] for arm in ARMS if arm != INFERENCE or plan.inference is not None}


def _files(plan: Plan, seconds: float) -> Runs:
    """Throughput on the same file."""
    source, sound = clip(plan.scratch, seconds), _sound(plan, seconds)
    runs = _arms(plan)
    for turn in range(plan.repeats):
        for arm, repeats in runs.items():
            name = f"file-{ARMS.index(arm)}-{turn}"
            own = ["--fast", "--quiet", "--wait-for-watcher", "30"]
            plain = ["--wav", str(sound), "--fps", str(FPS), *_spinning(arm)]
            module = MODULES.get(arm, "cavs.stream.cli")
            messages = _messages(plan, arm, name, module, ["--source", str(source), *(own if arm == OURS else plain)])
            repeats.append(_throughput(arm, messages))
    return runs


def _messages(plan: Plan, arm: str, name: str, module: str, argv: Sequence[str]) -> list[Received]:
    """Everything that one of the programs publishes until it ends by itself."""
    address, log = f"ipc://{plan.scratch}/{name}", plan.scratch / f"{name}.log"
    argv = [*argv, "--bundle", str(plan.bundle), "--bind", address, "--threads", str(plan.threads)]
    python = str(plan.inference) if arm == INFERENCE else sys.executable
    topic = MASKS_TOPIC if arm == OURS else b""
    with Tap(address, topic) as tap, program(module, *argv, log=log, python=python) as process:
        messages = tap.until(lambda: process.poll() is not None)
        check(process, log)
    return messages


def _spinning(arm: str) -> list[str]:
    return ["--no-spin"] if arm == PLAIN_NO_SPIN else []


def _throughput(arm: str, messages: Sequence[Received]) -> dict[str, Value]:
    kept = messages[min(WARM_UP, len(messages) // 4) :]
    if len(kept) < 2:
        raise BenchmarkFailed(f"{arm}: {len(messages)} messages came, too few to measure; give more --seconds")
    first, last = _seq(arm, kept[0]), _seq(arm, kept[-1])
    passed_s = (kept[-1].t_ns - kept[0].t_ns) / NS_PER_S
    return {"windows": len(messages), "fps": round((last - first) / passed_s, 2), "lost": last + 1 - len(messages)}


def _seq(arm: str, message: Received) -> int:
    if arm == OURS:
        return masks_of([message])[0][0].seq
    return int(json.loads(message.parts[0])["seq"])


def _cameras(plan: Plan, seconds: float, fps: float) -> Runs:
    """Latency with a live camera of a given rate."""
    runs = _arms(plan)
    for turn in range(plan.repeats):
        for arm, repeats in runs.items():
            repeats.append(_camera(plan, arm, seconds, fps, f"camera-{fps:g}-{ARMS.index(arm)}-{turn}"))
    return runs


def _camera(plan: Plan, arm: str, seconds: float, fps: float, name: str) -> dict[str, Value]:
    opening_s = min(OPENING_S, seconds)
    server_log, sent_log = plan.scratch / f"{name}-server.log", plan.scratch / f"{name}-sent.json"
    own_log = plan.scratch / f"{name}-own.json"
    made = numbered_pictures(plan.scratch, pictures_of(max(CAMERAS_FPS), opening_s + seconds))
    served = ["--fps", str(fps), "--seconds", str(opening_s + seconds), "--pictures", str(made), "--log", str(sent_log)]
    with program("benchmarks.camera_server", *served, log=server_log) as server:
        argv = [
            "--source",
            f"http://127.0.0.1:{wait_for_line(server, server_log, 'port ')}/",
            "--wav",
            str(_sound(plan, seconds)),
        ]
        plain = ["--painted", "--rate-hz", str(_rate_hz(plan)), *_spinning(arm)]
        module = MODULES.get(arm, "benchmarks.own_loop")
        messages = _messages(plan, arm, name, module, [*argv, *(["--log", str(own_log)] if arm == OURS else plain)])
        check(server, server_log)
    served_log = json.loads(sent_log.read_text())
    sent_ns = {int(frame): t_ns for frame, t_ns in served_log["sent_ns"].items()}
    came = _own_arrivals(messages, own_log) if arm == OURS else _plain_arrivals(messages)
    counted_ns = min(sent_ns.values()) + round(opening_s * NS_PER_S)
    waits = [(t_ns - sent_ns[frame]) / NS_PER_MS for frame, t_ns in came if sent_ns.get(frame, 0) >= counted_ns]
    if not waits:
        raise BenchmarkFailed(f"{name}: none of {len(came)} windows counts; the server dropped {served_log['dropped']}")
    return {
        "windows": len(waits),
        "fps": round(len(waits) / seconds, 2),
        "p50_ms": percentile(waits, 50),
        "p99_ms": percentile(waits, 99),
        "max_ms": percentile(waits, 100),
        "dropped_by_camera": served_log["dropped"],
    }


def _own_arrivals(messages: Sequence[Received], own_log: Path) -> list[tuple[int, int]]:
    numbers = {int(t_ns): frame for t_ns, frame in json.loads(own_log.read_text())["numbers"].items()}
    return [(numbers[masks.t_ns], came_ns) for masks, came_ns in masks_of(messages)]


def _plain_arrivals(messages: Sequence[Received]) -> list[tuple[int, int]]:
    return [(int(json.loads(message.parts[0])["number"]), message.t_ns) for message in messages]


def _sound(plan: Plan, seconds: float) -> Path:
    return wav(plan.scratch, seconds + OPENING_S, _rate_hz(plan))


def _rate_hz(plan: Plan) -> int:
    return read_bundle(plan.bundle).manifest.sound.rate_hz
