"""The gate's checks of the candidate itself: its files, its numbers, and whether torch and the engine agree on it."""

from collections.abc import Callable

import numpy as np

from cavs.adapt.serve.ground import GateLimits, Ground
from cavs.adapt.serve.school import School
from cavs.adapt.serve.trial import Contender
from cavs.adapt.serve.verdict import Check, Numbers, failed, iou_numbers, passed, skipped
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, check_adapter
from cavs.runtime.errors import AdapterRejected

PARITY_WINDOWS = 12
SHOWN = 12
"""Digits of an id in a message."""


def digests(adapter: Adapter, ground: Ground) -> Check:
    """It is of the right bundle and parent, keeps the classes it must keep, and adds those of its lesson."""
    numbers: Numbers = {"id": adapter.id, "bundle": adapter.bundle_id, "parent": adapter.manifest.parent}
    if adapter.bundle_id != ground.bundle.id:
        reason = f"wrong bundle: it is of {adapter.bundle_id[:SHOWN]}, {ground.bundle.id[:SHOWN]} was expected"
        return failed("digests", reason, numbers)
    if adapter.manifest.parent != ground.parent:
        seen = (adapter.manifest.parent or "none")[:SHOWN]
        reason = f"stale parent: it was learned from {seen}, the model to learn from is {ground.parent[:SHOWN]}"
        return failed("digests", reason, numbers)
    rows = {name: row for row, name in adapter.classes}
    expected = {*ground.rows, *ground.names}
    if rows.keys() != expected:
        odd = sorted(rows.keys() ^ expected)[0]
        return failed("digests", f"wrong class names: {'lacks' if odd in expected else 'names'} {odd!r}", numbers)
    moved = [name for name, row in ground.rows.items() if rows[name] != row]
    if moved:
        reason = f"wrong class names: {moved[0]!r} has row {rows[moved[0]]}, it had row {ground.rows[moved[0]]}"
        return failed("digests", reason, numbers)
    return passed("digests", {**numbers, "classes": len(rows)})


def finite(adapter: Adapter, ground: Ground) -> Check:
    """Every value is a number, and the thresholds are possible ones."""
    values = sum(tensor.size for tensor in adapter.tensors.values())
    bad = sum(int(tensor.size - np.isfinite(tensor).sum()) for tensor in adapter.tensors.values())
    if bad:
        return failed("finite", f"{bad} of {values} values are not finite", {"values": values, "not_finite": bad})
    try:
        check_adapter(adapter, ground.bundle)
    except AdapterRejected as error:
        return failed("finite", str(error), {"values": values, "not_finite": 0})
    sounding, near = (float(value) for value in adapter.tensors[contract.THRESHOLDS])
    numbers: Numbers = {"values": values, "not_finite": 0, "sounding": round(sounding, 5), "near": round(near, 5)}
    if not (0 < sounding < 1 and -1 < near < 1):
        return failed("finite", f"thresholds {sounding:g} and {near:g} mark everything or nothing", numbers)
    return passed("finite", numbers)


def parity(contender: Contender, ground: Ground, limits: GateLimits, school: School, between: Callable[[], None]) -> Check:
    """The engine says what the network that was trained says."""
    every = (*ground.held_out, *ground.anchors)
    chosen = every[:: max(1, len(every) // PARITY_WINDOWS)][:PARITY_WINDOWS]
    if not chosen:
        return skipped("parity", "no labelled windows to compare on")
    equal, pixels = 0, 0
    for one in chosen:
        said = contender.say(one.frame, one.sound)
        own = school.labels(ground.bundle, contender.adapter, one.frame[None], one.sound[None])[0]
        equal += int((said == own).sum())
        pixels += said.size
        between()
    share = equal / pixels
    numbers: Numbers = {"windows": len(chosen), "labels_equal": round(share, 6)}
    if share < limits.labels_equal:
        return failed("parity", f"torch and the engine agree on {share:.2%} of the pixels", numbers)
    return passed("parity", numbers)


def recalled(adapter: Adapter, ground: Ground, limits: GateLimits, school: School) -> Check:
    """What the bundle knows of classes of which the learner has no pictures: their statistics are still named right."""
    incumbent = ground.incumbent.adapter
    if incumbent.bundle_id != ground.bundle.id:
        return skipped("recalled", "the model that is current is of another bundle")
    before, after = (school.recalled(ground.bundle, one) for one in (incumbent, adapter))
    kept = sorted(name for name in before if name in ground.rows and name not in ground.names)
    if not kept:
        return skipped("recalled", "there are no statistics of the classes of this bundle")
    numbers: Numbers = {}
    for sense in ("seen", "heard"):
        was, now = ({name: getattr(one[name], sense) for name in kept if name in one} for one in (before, after))
        numbers |= {f"{sense}_before": iou_numbers(was), f"{sense}_now": iou_numbers(now)}
        worst = max(kept, key=lambda name: was[name] - now.get(name, 0.0))
        if was[worst] - now.get(worst, 0.0) > limits.recalled_drop:
            reason = f"forgot {worst}: {was[worst]:.0%} of what is drawn of it was {sense}, {now.get(worst, 0.0):.0%} now is"
            return failed("recalled", reason, numbers)
    return passed("recalled", numbers)
