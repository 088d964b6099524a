"""The gate's checks on labelled windows: nothing forgotten, the lesson learned, no mask where nothing of it sounds."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.ground import GateLimits, Ground
from cavs.adapt.serve.trial import Contender, Labels, iou_by_class, mean
from cavs.adapt.serve.verdict import Check, Numbers, failed, iou_numbers, passed, skipped
from cavs.runtime.engine import LABEL_SILENT

MUTED_WINDOWS = 40
SWAPPED_PAIRS = 40
NOT_SOUNDING_LEFT = 0.5
"""A lesson that something does not sound must halve what is marked on it, or come under `muted_mass`."""


class Scored:
    """A candidate and the incumbent on the same labelled windows; what was run once is not run again."""

    def __init__(self, candidate: Contender, ground: Ground, limits: GateLimits, between: Callable[[], None]) -> None:
        self._candidate = candidate
        self._ground = ground
        self._limits = limits
        self._between = between
        self._held_out: tuple[list[Labels], list[Labels]] | None = None

    def anchors(self) -> Check:
        """No old class is down on the anchors by more than the tolerance, nor all of them together."""
        ground = self._ground
        if not ground.anchors:
            return skipped("anchors", "there are no anchors; give a folder with --anchors")
        before = iou_by_class(ground.incumbent, ground.anchors, ground.incumbent.say_all(ground.anchors, self._between))
        after = iou_by_class(self._candidate, ground.anchors, self._candidate.say_all(ground.anchors, self._between))
        kept = [name for name in before if name in ground.rows and name not in ground.names]
        drops = {name: before[name] - after.get(name, 0.0) for name in kept}
        numbers: Numbers = {
            "windows": len(ground.anchors),
            "before": iou_numbers(before),
            "after": iou_numbers(after),
            "mean_drop": mean(list(drops.values())),
            "without_anchors": list[JsonValue](sorted(ground.rows.keys() - before.keys())),
            "forgot": list[JsonValue](sorted(name for name in kept if drops[name] > self._limits.class_drop)),
        }
        worst = max(drops, key=lambda name: drops[name], default=None)
        if worst is not None and drops[worst] > self._limits.class_drop:
            reason = f"forgot {worst}: IoU {before[worst]:.3f} before, {after.get(worst, 0.0):.3f} now"
            return failed("anchors", reason, numbers)
        if drops and np.mean(list(drops.values())) > self._limits.mean_drop:
            reason = f"the old classes lost {np.mean(list(drops.values())):.3f} IoU on average"
            return failed("anchors", reason, numbers)
        return passed("anchors", numbers)

    def lesson(self) -> Check:
        """Every class of the lesson is found on the windows of it that were held out."""
        ground, limits = self._ground, self._limits
        if not ground.held_out:
            return skipped("lesson", "nothing is taught")
        before, after = self._said()
        iou = iou_by_class(self._candidate, ground.held_out, after)
        silent = [k for k, one in enumerate(ground.held_out) if not one.marks]
        numbers: Numbers = {"windows": len(ground.held_out), "iou": iou_numbers(iou)}
        low = [name for name in ground.names if iou.get(name, 0.0) < limits.lesson_iou]
        if low and len(silent) < len(ground.held_out):
            reason = f"{low[0]} was not learned: IoU {iou.get(low[0], 0.0):.3f}, {limits.lesson_iou:g} expected"
            return failed("lesson", reason, numbers)
        if silent:
            was, now = (mean([float((labels[k] != LABEL_SILENT).mean()) for k in silent]) for labels in (before, after))
            numbers |= {"marked_before": was, "marked_now": now}
            if now > max(limits.muted_mass, NOT_SOUNDING_LEFT * was):
                reason = f"what does not sound is still marked: {now:.2%} of the picture, {was:.2%} before"
                return failed("lesson", reason, numbers)
        return passed("lesson", numbers)

    def muted(self) -> Check:
        """Without any sound nothing is marked."""
        ground = self._ground
        chosen = _spread((*ground.held_out, *ground.anchors), MUTED_WINDOWS)
        if not chosen:
            return skipped("muted", "no windows to mute")
        mass = []
        for one in chosen:
            mass.append(float((self._candidate.say(one.frame, np.zeros_like(one.sound)) != LABEL_SILENT).mean()))
            self._between()
        numbers: Numbers = {"windows": len(chosen), "mass": mean(mass), "most": round(max(mass), 5)}
        if np.mean(mass) > self._limits.muted_mass:
            return failed("muted", f"marks {np.mean(mass):.2%} of the picture without any sound", numbers)
        return passed("muted", numbers)

    def swapped(self) -> Check:
        """With the sound of another class, what does not sound is not marked."""
        pairs = _swaps((*self._ground.held_out, *self._ground.anchors))
        if not pairs:
            return skipped("swapped", "no two windows of different classes")
        before, after = [], []
        for frame, sound, pixels in pairs:
            before.append(float((self._ground.incumbent.say(frame, sound)[pixels] != LABEL_SILENT).mean()))
            after.append(float((self._candidate.say(frame, sound)[pixels] != LABEL_SILENT).mean()))
            self._between()
        was, now = float(np.mean(before)), float(np.mean(after))
        numbers: Numbers = {"pairs": len(pairs), "marked_before": mean(before), "marked_now": mean(after)}
        if now > max(self._limits.swapped_share, was + self._limits.swapped_worse):
            reason = f"marks {now:.1%} of what is silent while another class sounds, {was:.1%} before"
            return failed("swapped", reason, numbers)
        return passed("swapped", numbers)

    def _said(self) -> tuple[list[Labels], list[Labels]]:
        if self._held_out is None:
            windows = self._ground.held_out
            self._held_out = (
                self._ground.incumbent.say_all(windows, self._between),
                self._candidate.say_all(windows, self._between),
            )
        return self._held_out


Swap = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.bool_]]


def _swaps(windows: Sequence[Exemplar]) -> list[Swap]:
    """Each window with the sound of the next one in which only other classes sound, and the pixels that then are silent."""
    found = []
    for k, one in enumerate(windows):
        if not one.marks:
            continue
        for other in (*windows[k + 1 :], *windows[:k]):
            if other.marks and not set(one.names) & set(other.names):
                pixels = np.logical_or.reduce([mark for _, mark in one.marks])
                if pixels.any():
                    found.append((one.frame, other.sound, pixels))
                break
    return [found[k] for k in np.linspace(0, len(found) - 1, min(len(found), SWAPPED_PAIRS)).astype(int)]


def _spread(windows: Sequence[Exemplar], most: int) -> list[Exemplar]:
    return [windows[k] for k in np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]
