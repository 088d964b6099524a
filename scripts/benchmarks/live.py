"""cavs-stream on a 640x480 clip at 30 fps in real time: overhead, latency, memory, drops."""

import json

from benchmarks.footage import FPS, HEIGHT, WIDTH, clip
from benchmarks.processes import BenchmarkFailed, end, peak_rss_mib, program
from benchmarks.quantiles import CLOCK, median_of, number
from benchmarks.result import Arms, Plan, Result, Target, Value
from benchmarks.windows import arm_of, times_of
from cavs.runtime.clock import NS_PER_S
from cavs.stream.masks import Masks
from cavs.stream.subscriber import Subscriber

SECONDS = 12.0
WARM_UP_S = 1.0
TAIL_S = 2.0
"""Of the clip, so that the stream is ended by us and its memory can be read while it runs."""
WAIT_MS = 20_000
OPENING_MS = 60_000
DROPS = "all repeats: "


def measure(plan: Plan) -> Result:
    seconds = plan.seconds_or(SECONDS)
    with_sound: list[dict[str, Value]] = []
    silent: list[dict[str, Value]] = []
    for turn in range(plan.repeats):
        with_sound.append(_run(plan, seconds, f"live-{turn}", sound=True))
        silent.append(_run(plan, seconds, f"live-silent-{turn}", sound=False))
    numbers: Arms = {"clip with sound": _together(with_sound), "clip without sound": _together(silent)}
    seen = numbers["clip with sound"]
    return Result(
        config={
            "source": f"{WIDTH}x{HEIGHT} H.264, {FPS} fps, AAC 48 kHz, --realtime",
            "seconds": seconds,
            "repeats": plan.repeats,
            "threads": plan.threads,
        },
        numbers=numbers,
        targets=[
            Target("pipeline overhead, p50", number(seen["overhead_p50_ms"]), 3, "ms"),
            Target("pipeline overhead, p99", number(seen["overhead_p99_ms"]), 10, "ms"),
            Target("end to end, p99", number(seen["end_to_end_p99_ms"]), 60, "ms"),
            Target("resident memory of the process, peak", number(seen["rss_peak_mib"]), 400, "MiB"),
        ],
        notes=[
            "overhead = end_to_end - engine: capture, waiting for the frame's sound, the resize, objects and publishing",
            "align is the part of it from the main loop's having the frame to the window, waiting for sound included",
        ],
    )


def _run(plan: Plan, seconds: float, name: str, *, sound: bool) -> dict[str, Value]:
    log, report = plan.scratch / f"{name}.log", plan.scratch / f"{name}.json"
    address = f"ipc://{plan.scratch}/{name}"
    source = clip(plan.scratch, WARM_UP_S + seconds + TAIL_S, sound=sound)
    argv = ["--source", str(source), "--realtime", "--bundle", str(plan.bundle), "--bind", address, "--quiet"]
    argv += ["--threads", str(plan.threads), "--wait-for-watcher", "30", "--report", str(report)]
    with program("cavs.stream.cli", *argv, log=log) as process, Subscriber(address, newest_only=False) as subscriber:
        masks = _read(subscriber, WARM_UP_S + seconds)
        rss_mib = peak_rss_mib(process)
        end(process, log)
        missed = subscriber.missed
    written = json.loads(report.read_text())
    numbers = arm_of(times_of(masks, round(WARM_UP_S * FPS)))
    drops = {f"{DROPS}{cause}": count for cause, count in written["counters"].items() if count and cause != "windows_formed"}
    return {
        **numbers,
        "fps": written["fps"],
        "rss_peak_mib": rss_mib,
        "cpu_cores": round((written["cpu_s"]["user"] + written["cpu_s"]["system"]) / written["seconds"], 3),
        "missed_by_subscriber": missed,
        **drops,
    }


def _together(repeats: list[dict[str, Value]]) -> dict[str, Value]:
    """Medians; but of what was dropped, the sum: a drop in one repeat of three is a drop."""
    causes = sorted({name for repeat in repeats for name in repeat if name.startswith(DROPS)})
    return {**median_of(repeats), **{name: sum(int(repeat.get(name) or 0) for repeat in repeats) for name in causes}}


def _read(subscriber: Subscriber, seconds: float) -> list[tuple[Masks, int]]:
    """Every message, for so long after the first."""
    masks: list[tuple[Masks, int]] = []
    end_ns: int | None = None
    while end_ns is None or CLOCK.now_ns() < end_ns:
        message = subscriber.receive(WAIT_MS if masks else OPENING_MS)
        if message is None:
            raise BenchmarkFailed(f"{subscriber.address}: no masks after {len(masks)} windows")
        if isinstance(message, Masks):
            masks.append((message, CLOCK.now_ns()))
            end_ns = end_ns or CLOCK.now_ns() + round(seconds * NS_PER_S)
    return masks
