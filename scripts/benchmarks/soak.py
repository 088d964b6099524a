"""cavs-stream --demo for a long time: memory, open files and threads, seen from outside. By name only."""

import numpy as np
import psutil

from benchmarks.processes import BenchmarkFailed, Tap, end, last_words, program, rss_mib
from benchmarks.quantiles import CLOCK
from benchmarks.result import Plan, Result, Target, Value
from benchmarks.windows import MASKS_TOPIC, masks_of
from cavs.runtime.clock import NS_PER_S

SECONDS = 1860.0
SAMPLE_S = 5.0
SETTLED_S = 60.0
"""The first minute does not count."""
HALF_AN_HOUR_S = 1800.0
LIMIT_MIB = 5.0


def measure(plan: Plan) -> Result:
    seconds = plan.seconds_or(SECONDS)
    sample_s = min(SAMPLE_S, seconds / 10)
    address, log = f"ipc://{plan.scratch}/soak", plan.scratch / "soak.log"
    argv = ["--demo", "--bundle", str(plan.bundle), "--threads", str(plan.threads), "--bind", address, "--quiet"]
    samples: list[tuple[float, float, int, int]] = []  # seconds, MiB, files, threads
    seen: list[int] = []
    with Tap(address, MASKS_TOPIC) as tap, program("cavs.stream.cli", *argv, log=log) as process:
        seen.append(masks_of([tap.first(process, log)])[0][0].seq)
        outside, began_ns = psutil.Process(process.pid), CLOCK.now_ns()
        while (passed_s := (CLOCK.now_ns() - began_ns) / NS_PER_S) < seconds:
            if process.poll() is not None:
                raise BenchmarkFailed(f"soak: the stream ended after {passed_s:.0f} s; {last_words(log)}")
            samples.append((passed_s, rss_mib(outside), outside.num_fds(), outside.num_threads()))
            seen += [masks.seq for masks, _ in masks_of(tap.during(sample_s))]
        end(process, log)
    settled = [sample for sample in samples if sample[0] >= min(SETTLED_S, seconds / 2)]
    times, sizes = np.array([sample[0] for sample in settled]), np.array([sample[1] for sample in settled])
    slope = float(np.polyfit(times, sizes, 1)[0]) * HALF_AN_HOUR_S
    arm: dict[str, Value] = {
        "seconds": round(samples[-1][0], 1),
        "samples": len(samples),
        "windows": len(seen),
        "windows_not_received": seen[-1] - seen[0] + 1 - len(seen),
        "rss_settled_mib": settled[0][1],
        "rss_end_mib": settled[-1][1],
        "rss_largest_mib": float(sizes.max()),
        "slope_mib_per_30_min": round(slope, 3),
        "open_files_settled": settled[0][2],
        "open_files_end": settled[-1][2],
        "threads_settled": settled[0][3],
        "threads_end": settled[-1][3],
    }
    return Result(
        config={"seconds": seconds, "sample_s": sample_s, "settled_s": min(SETTLED_S, seconds / 2), "threads": plan.threads},
        numbers={"cavs-stream --demo": arm},
        targets=[
            Target("growth of resident memory after the first minute, per 30 minutes", round(slope, 3), LIMIT_MIB, "MiB"),
            Target("open files more at the end", float(settled[-1][2] - settled[0][2]), 0, "files"),
            Target("threads more at the end", float(settled[-1][3] - settled[0][3]), 0, "threads"),
        ],
        notes=["the slope is a least-squares line through all samples after the first minute"],
    )
