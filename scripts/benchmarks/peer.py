"""Ours beside the loop that one would write (cv2.VideoCapture, onnxruntime, zmq, one thread), at equal work."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.footage import FPS, clip, wav
from benchmarks.processes import BenchmarkFailed, Received, Tap, check, last_words, program, wait_for_line
from benchmarks.quantiles import median_of, median_ratio, percentile
from benchmarks.result import Arms, Plan, Result, Target, Value
from benchmarks.windows import MASKS_TOPIC, masks_of
from cavs.runtime.bundle import read_bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S

SECONDS = 20.0
OPENING_S = 4.0
"""Of each camera run that do not count: opening looks ahead, and leaves a backlog that is not the loop's own."""
WARM_UP = 10
"""Windows of a file that do not count."""
CAMERAS_FPS = (30.0, 60.0)
OURS, PLAIN, PLAIN_NO_SPIN = "ours", "plain loop", "plain loop, engine does not spin"
P99_LIMIT = 0.5
Numbers = list[dict[str, Value]]


def measure(plan: Plan) -> Result:
    seconds = plan.seconds_or(SECONDS)
    numbers, ratios = _files(plan, seconds)
    targets = [Target("frames per second on a file, ours over the plain loop's", ratios, 1.0, "x", "at least")]
    for fps in CAMERAS_FPS:
        arms, ratio = _cameras(plan, seconds, fps)
        numbers |= arms
        targets.append(Target(f"p99 latency with a camera at {fps:g} fps, ours over the plain loop's", ratio, P99_LIMIT, "x"))
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
            "plain loop: ONNX Runtime as it comes, spinning while it waits; the other arm has spinning switched off, as ours",
        ],
    )


def _files(plan: Plan, seconds: float) -> tuple[Arms, float | None]:
    """Throughput on the same file."""
    source, sound = clip(plan.scratch, seconds), _sound(plan, seconds)
    runs: dict[str, Numbers] = {OURS: [], PLAIN: [], PLAIN_NO_SPIN: []}
    for turn in range(plan.repeats):
        for arm, fastest in runs.items():
            name = f"file-{arm.replace(' ', '-').replace(',', '')}-{turn}"
            address, log = f"ipc://{plan.scratch}/{name}", plan.scratch / f"{name}.log"
            argv = ["--source", str(source), "--bundle", str(plan.bundle), "--bind", address, "--threads", str(plan.threads)]
            if arm == OURS:
                module = "cavs.stream.cli"
                argv += ["--fast", "--quiet", "--wait-for-watcher", "30"]
            else:
                module = "benchmarks.plain_loop"
                argv += ["--wav", str(sound), "--fps", str(FPS), *(["--no-spin"] if arm == PLAIN_NO_SPIN else [])]
            topic = MASKS_TOPIC if arm == OURS else b""
            with Tap(address, topic) as tap, program(module, *argv, log=log) as process:
                messages = tap.until(lambda process=process: process.poll() is not None)  # type: ignore[misc]
                check(process, log)
            fastest.append(_throughput(arm, messages))
    arms: Arms = {f"file, {arm}": median_of(repeats) for arm, repeats in runs.items()}
    return arms, median_ratio(runs[OURS], runs[PLAIN], "fps")


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


def _cameras(plan: Plan, seconds: float, fps: float) -> tuple[Arms, float | None]:
    """Latency with a live camera of a given rate."""
    runs: dict[str, Numbers] = {OURS: [], PLAIN: []}
    for turn in range(plan.repeats):
        for arm, repeats in runs.items():
            repeats.append(_camera(plan, arm, seconds, fps, turn))
    arms: Arms = {f"camera {fps:g} fps, {arm}": median_of(repeats) for arm, repeats in runs.items()}
    return arms, median_ratio(runs[OURS], runs[PLAIN], "p99_ms")


def _camera(plan: Plan, arm: str, seconds: float, fps: float, turn: int) -> dict[str, Value]:
    opening_s = min(OPENING_S, seconds)
    name = f"camera-{fps:g}-{arm.replace(' ', '-')}-{turn}"
    server_log, sent_log = plan.scratch / f"{name}-server.log", plan.scratch / f"{name}-sent.json"
    log, own_log, address = plan.scratch / f"{name}.log", plan.scratch / f"{name}-own.json", f"ipc://{plan.scratch}/{name}"
    served = ["--fps", str(fps), "--seconds", str(opening_s + seconds), "--log", str(sent_log)]
    with program("benchmarks.camera_server", *served, log=server_log) as server:
        port = wait_for_line(server, server_log, "port ")
        argv = ["--source", f"http://127.0.0.1:{port}/", "--bundle", str(plan.bundle), "--bind", address]
        argv += ["--threads", str(plan.threads), "--wav", str(_sound(plan, seconds))]
        argv += ["--log", str(own_log)] if arm == OURS else ["--painted", "--rate-hz", str(_rate_hz(plan))]
        module = "benchmarks.own_loop" if arm == OURS else "benchmarks.plain_loop"
        with Tap(address, MASKS_TOPIC if arm == OURS else b"") as tap, program(module, *argv, log=log) as process:
            messages = tap.until(lambda: process.poll() is not None)
            check(process, log)
        check(server, server_log)
    served_log = json.loads(sent_log.read_text())
    sent_ns = {int(frame): t_ns for frame, t_ns in served_log["sent_ns"].items()}
    came = _own_arrivals(messages, own_log) if arm == OURS else _plain_arrivals(messages)
    counted_ns = min(sent_ns.values()) + round(opening_s * NS_PER_S)
    waits = [(t_ns - sent_ns[frame]) / NS_PER_MS for frame, t_ns in came if sent_ns.get(frame, 0) >= counted_ns]
    if not waits:
        raise BenchmarkFailed(f"{name}: none of {len(came)} windows counts; {last_words(log)}")
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
