"""Exchanging the model for every window: nothing is lost, and what the worst window costs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.footage import FPS, clip
from benchmarks.processes import SCRIPTS, BenchmarkFailed, Tap, check, program
from benchmarks.quantiles import median_of, median_ratio, percentile
from benchmarks.result import Arms, Plan, Result, Target, Value
from benchmarks.windows import MASKS_TOPIC, masks_of, times_of

SLOT_EXCHANGES = 300
"""On the slot alone; the stream has its own number."""
SLOT_S = 300.0
WARM_UP = 15
LIMIT = 1.2
STREAM, STREAM_EXCHANGING = "stream", "stream, exchanging"


def measure(plan: Plan) -> Result:
    """`--exchanges`, not `--seconds`, says how long: one for every window at 30 fps."""
    slot = _slot_alone(plan, min(plan.exchanges, SLOT_EXCHANGES))
    share_s = plan.exchanges / plan.repeats / FPS
    runs: dict[str, list[dict[str, Value]]] = {STREAM: [], STREAM_EXCHANGING: []}
    for turn in range(plan.repeats):
        for arm, repeats in runs.items():
            repeats.append(_stream(plan, share_s, f"{arm.replace(', ', '-')}-{turn}", exchanging=arm == STREAM_EXCHANGING))
    numbers: Arms = {arm: median_of(repeats) for arm, repeats in runs.items()}
    totals = {name: sum(int(run[name] or 0) for run in runs[STREAM_EXCHANGING]) for name in ("exchanges", "windows_lost")}
    numbers["slot alone"] = {"windows": slot["windows_each"], "exchanges": 0, **_in_ms(slot["window_ms_without"])}
    numbers["slot alone, exchanging"] = {
        "windows": slot["windows_each"],
        "exchanges": slot["exchanges"],
        **_in_ms(slot["window_ms_with"]),
        "offer_p50_ms": slot["offer_ms"]["p50"],
        "take_p99_us": slot["take_us"]["p99"],
    }
    worst = median_ratio(_as("x", runs[STREAM_EXCHANGING], "max_ms"), _as("x", runs[STREAM], "p99_ms"), "x")
    return Result(
        config={
            "exchanges": plan.exchanges,
            "repeats": plan.repeats,
            "threads": plan.threads,
            "adapter_kib": slot["adapter_kib"],
        },
        numbers=numbers,
        targets=[
            Target("windows lost or done twice while streaming and exchanging", float(totals["windows_lost"]), 0, "windows"),
            Target("exchanges while streaming", float(totals["exchanges"]), plan.exchanges, "exchanges", "at least"),
            Target("worst window while exchanging over p99 without, in the stream", worst, LIMIT, "x"),
            Target(
                "worst window while exchanging over p99 without, slot alone", slot["worst_with_over_p99_without"], LIMIT, "x"
            ),
        ],
        notes=[
            "stream: a clip in real time, another thread offers an adapter for every window; infer of each window",
            "slot alone: scripts/bench_slot.py, windows paced at 30 fps",
        ],
    )


def _slot_alone(plan: Plan, exchanges: int) -> dict[str, Any]:
    argv = ["--bundle", str(plan.bundle), "--exchanges", str(exchanges), "--threads", str(plan.threads), "--fps", str(FPS)]
    command = [sys.executable, str(SCRIPTS / "bench_slot.py"), *argv]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SLOT_S, check=False)
    if ran.returncode:
        raise BenchmarkFailed(f"bench_slot.py: exit code {ran.returncode}; {ran.stderr.strip().splitlines()[-1]}")
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def _stream(plan: Plan, seconds: float, name: str, *, exchanging: bool) -> dict[str, Value]:
    """One stream from beginning to end; every window it formed must come out, in order and once."""
    log, own_log, address = plan.scratch / f"{name}.log", plan.scratch / f"{name}.json", f"ipc://{plan.scratch}/{name}"
    source = clip(plan.scratch, round(seconds + WARM_UP / FPS, 3))
    argv = ["--source", str(source), "--bundle", str(plan.bundle), "--bind", address, "--threads", str(plan.threads)]
    argv += ["--log", str(own_log), *(["--exchange"] if exchanging else [])]
    with Tap(address, MASKS_TOPIC) as tap, program("benchmarks.own_loop", *argv, log=log) as process:
        masks = masks_of(tap.until(lambda: process.poll() is not None))
        check(process, log)
    report = json.loads(own_log.read_text())
    times = [time.infer for time in times_of(masks, min(WARM_UP, len(masks) // 4))]
    formed = int(report["counters"]["windows_formed"])
    lost = sum(seq != window.seq for seq, (window, _) in zip(range(formed), masks, strict=False)) + abs(formed - len(masks))
    return {
        "windows": len(masks),
        "windows_lost": lost,
        "exchanges": int(report["exchanges"]),
        "models_seen": len({window.model.adapter for window, _ in masks}),
        "p50_ms": percentile(times, 50),
        "p99_ms": percentile(times, 99),
        "max_ms": percentile(times, 100),
    }


def _in_ms(times: Mapping[str, float]) -> dict[str, Value]:
    return {f"{point}_ms": value for point, value in times.items()}


def _as(new: str, runs: list[dict[str, Value]], name: str) -> list[dict[str, Value]]:
    return [{new: run[name]} for run in runs]
