"""From starting the process to the first mask that a subscriber has."""

import statistics

from benchmarks.footage import clip
from benchmarks.processes import BenchmarkFailed, Tap, end, program
from benchmarks.quantiles import CLOCK
from benchmarks.result import Plan, Result, Target, Value
from benchmarks.windows import MASKS_TOPIC, masks_of
from cavs.runtime.clock import NS_PER_MS

STARTS = 5
CLIP_S = 20.0
LIMIT_S = 3.0


def measure(plan: Plan) -> Result:
    times = [_start_s(plan, turn) for turn in range(STARTS)]
    median_s = round(statistics.median(times), 3)
    arm: dict[str, Value] = {"first_s": round(times[0], 3), "median_s": median_s, "slowest_s": round(max(times), 3)}
    return Result(
        config={"starts": STARTS, "threads": plan.threads},
        numbers={"cavs-stream --source FILE --realtime": arm},
        targets=[Target("start to first mask at a subscriber, median", median_s, LIMIT_S, "s")],
        notes=["the process is new each time, its files are in the page cache from the second start on (first_s: the first)"],
    )


def _start_s(plan: Plan, turn: int) -> float:
    name = f"start-{turn}"
    address, log = f"ipc://{plan.scratch}/{name}", plan.scratch / f"{name}.log"
    source = clip(plan.scratch, CLIP_S if plan.seconds is None else max(plan.seconds, 2.0))
    argv = ["--source", str(source), "--realtime", "--bundle", str(plan.bundle), "--bind", address, "--quiet"]
    argv += ["--threads", str(plan.threads), "--wait-for-watcher", "30"]
    with Tap(address, MASKS_TOPIC) as tap:
        began_ns = CLOCK.now_ns()
        with program("cavs.stream.cli", *argv, log=log) as process:
            message = tap.first(process, log)
            end(process, log)
    if (seq := masks_of([message])[0][0].seq) != 0:
        raise BenchmarkFailed(f"{name}: the first mask that came is of window {seq}, that of window 0 was expected")
    return (message.t_ns - began_ns) / NS_PER_MS / 1000
