"""The gate's checks for the stream: the engine is as fast as before, and what it would say of the last seconds is sane."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from cavs.adapt.serve.ground import GateLimits, Ground
from cavs.adapt.serve.trial import Contender, Labels, mean
from cavs.adapt.serve.verdict import Check, Numbers, failed, passed, skipped
from cavs.runtime.clock import NS_PER_MS
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT

LATENCY_WINDOWS = 50
LATENCY_ROUNDS = 3
"""A round that another process disturbed is measured again; the best one counts."""
SILENCE_RMS = 2e-4
"""Below -74 dB nothing sounds: a muted microphone or digital silence."""


def latency(candidate: Contender, ground: Ground, limits: GateLimits, between: Callable[[], None]) -> Check:
    """The engine needs no longer with the candidate than with the incumbent: values too small for its arithmetic cost time.

    Measured is the CPU time of this thread, which other processes do not lengthen, in turns of one window each.
    """
    every = (*ground.held_out, *ground.anchors)
    if not every:
        return skipped("latency", "no windows to measure on")
    best: tuple[float, float] | None = None
    for _ in range(LATENCY_ROUNDS):
        times: tuple[list[int], list[int]] = ([], [])
        for number in range(LATENCY_WINDOWS):
            one = every[number % len(every)]
            for contender, spent in zip((ground.incumbent, candidate), times, strict=True):
                began_ns = time.thread_time_ns()
                contender.engine.run(one.frame, one.sound, contender.prepared)
                spent.append(time.thread_time_ns() - began_ns)
            between()
        before, after = (float(np.percentile(spent, 99)) / NS_PER_MS for spent in times)
        if best is None or after / max(before, 1e-9) < best[1] / max(best[0], 1e-9):
            best = (before, after)
        if best[1] <= limits.latency_ratio * best[0]:
            break
    assert best is not None  # there is a round at least
    numbers: Numbers = {"windows": LATENCY_WINDOWS, "p99_before_ms": round(best[0], 3), "p99_now_ms": round(best[1], 3)}
    if best[1] > limits.latency_ratio * best[0]:
        return failed("latency", f"the engine needs {best[1]:.2f} ms a window (p99), {best[0]:.2f} before", numbers)
    return passed("latency", numbers)


def shadow(candidate: Contender, ground: Ground, limits: GateLimits, between: Callable[[], None]) -> Check:
    """On what the stream saw just now: old classes keep their names, silence stays silent, and not everything is marked."""
    live = ground.live
    if live is None:
        return skipped("shadow", ground.why_not_live or "no stream was asked")
    frame, sound = ground.bundle.manifest.frame, ground.bundle.manifest.sound
    if live.frames.shape[1:3] != (frame.height_px, frame.width_px):
        return skipped("shadow", f"the stream's windows are {live.frames.shape[1:3]}, the bundle takes another size")
    before: list[Labels] = []
    after: list[Labels] = []
    silent: list[float] = []
    for k in range(len(live)):
        heard = live.sound_of(k, sound.samples, sound.lookahead_samples)
        before.append(ground.incumbent.say(live.frames[k], heard))
        after.append(candidate.say(live.frames[k], heard))
        if float(np.sqrt(np.mean(np.square(heard)))) < SILENCE_RMS:
            silent.append(_mass(after[-1]))
        between()
    same, named = _kept_names(candidate, ground, before, after)
    mass = [_mass(labels) for labels in after]
    numbers: Numbers = {
        "windows": len(live),
        "old_pixels": named,
        "agreement": round(same / named, 4) if named else None,
        "mass_before": mean([_mass(labels) for labels in before]),
        "mass_now": mean(mass),
        "empty_before": mean([float(_mass(labels) == 0) for labels in before]),
        "empty_now": mean([float(_mass(labels) == 0) for labels in after]),
        "silent_windows": len(silent),
        "silent_mass": mean(silent),
    }
    if named and same / named < limits.agreement:
        return failed("shadow", f"of the live pixels of old classes only {same / named:.1%} keep their name", numbers)
    if silent and np.mean(silent) > limits.muted_mass:
        return failed("shadow", f"marks {np.mean(silent):.2%} of the live picture while it is silent", numbers)
    if np.mean(mass) > limits.full_mass:
        return failed("shadow", f"marks {np.mean(mass):.0%} of the live picture", numbers)
    return passed("shadow", numbers)


def _kept_names(candidate: Contender, ground: Ground, before: Sequence[Labels], after: Sequence[Labels]) -> tuple[int, int]:
    """Of the pixels that the incumbent gives to a class that must stay: how many keep their name or get one of the lesson."""
    old, new = ground.incumbent.rows, candidate.rows
    lesson = [LABEL_FIRST_CLASS + new[name] for name in ground.names if name in new]
    same, named = 0, 0
    for was, now in zip(before, after, strict=True):
        taught = np.isin(now, lesson)
        for name in ground.rows:
            counted = was == LABEL_FIRST_CLASS + old[name] if name in old else np.zeros(was.shape, bool)
            named += int(counted.sum())
            same += int((counted & ((now == LABEL_FIRST_CLASS + new[name]) | taught)).sum())
    return same, named


def _mass(labels: Labels) -> float:
    return float((labels != LABEL_SILENT).mean())
