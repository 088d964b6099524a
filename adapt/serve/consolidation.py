"""Folds what was learned into the weights: a new bundle with fresh LoRA pairs, and with more rows if they are needed.

The bundle is exported in a child process, compared with what it replaces window by window, and becomes current as any version:
the stream opens its engine beside the one that runs and exchanges the two between windows.
"""

import numpy as np

from cavs.adapt.serve.desk import Desk
from cavs.adapt.serve.probation import Probation
from cavs.adapt.serve.trial import Contender
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_UNKNOWN
from cavs.runtime.errors import AdaptError, StoreError
from cavs.runtime.store_read import StoredModel

SAME_LEAST = 0.99
"""Share of pixels on which the folded model must say what the model said that it replaces: both round differently."""
COMPARED = 60
CONSOLIDATION = "consolidation"
"""Stands for the lesson in a probation."""


class Consolidation:
    """Makes and commits folded bundles. One thread."""

    def __init__(self, desk: Desk, probation: Probation) -> None:
        self._desk = desk
        self._probation = probation

    def is_due(self, current: StoredModel) -> bool:
        """Whether enough was learned on this bundle that its pairs should be folded."""
        after = self._desk.options.consolidate_after
        pointer = self._desk.store.pointer()
        if not after or pointer is None:
            return False
        learned = 0
        for version in (pointer.version, *pointer.trail):
            try:
                record = self._desk.store.record(version)
            except StoreError:
                continue
            learned += record.own_adapter and record.bundle_id == current.bundle.id
        return learned >= after

    def run(self, capacity: int | None = None) -> int:
        """A new version on a folded bundle, with `capacity` rows or as many as now. Raises AdaptError if it differs."""
        desk = self._desk
        current = desk.store.load_current()
        rows = capacity or current.bundle.manifest.adapter.class_capacity
        if rows < len(current.adapter.classes) or (capacity and capacity <= current.bundle.manifest.adapter.class_capacity):
            raise AdaptError(
                f"the class table has {len(current.adapter.classes)} classes, and cannot get more than {rows} rows"
            )
        desk.turn("consolidating", f"folding version {current.version} into a bundle with room for {rows} classes")
        desk.working = True
        out = desk.home / "bundle"
        desk.disk.remove(out)
        folded = desk.school.folded(current.bundle, current.adapter, out, rows, desk.breathe)
        self._compare(current, folded)
        if (now := desk.store.load_current()).version != current.version:
            raise AdaptError(f"version {now.version} became current while version {current.version} was folded; later again")
        adapter_id = default_adapter(folded).id
        bundle_id = desk.store.add_bundle(out)
        desk.disk.remove(out)
        self._probation.begin(CONSOLIDATION, adapter_id, bundle_id, desk.wall_ns())
        version = desk.store.commit(None, bundle_id)
        self._probation.committed(version)
        desk.turn("idle", f"version {version}: bundle {bundle_id[:12]} with room for {rows} classes is live", version=version)
        return version

    def _compare(self, current: StoredModel, folded: Bundle) -> None:
        """Raises AdaptError unless both say the same of the anchors and of what the stream saw just now."""
        desk = self._desk
        frame, sound = folded.manifest.frame, folded.manifest.sound
        windows = [(one.frame, one.sound) for one in desk.anchors.read((frame.height_px, frame.width_px), sound.samples)]
        live = desk.live()
        if live is not None and live.frames.shape[1:3] == (frame.height_px, frame.width_px):
            for k in range(len(live)):
                windows.append((live.frames[k], live.sound_of(k, sound.samples, sound.lookahead_samples)))
        before, after = desk.contender(current), Contender(desk.engine(folded), default_adapter(folded))
        renamed = _renaming(before, after)
        same, pixels = 0, 0
        for pictured, heard in windows[:: max(1, len(windows) // COMPARED)][:COMPARED]:
            said = renamed[before.say(pictured, heard)]
            same += int((said == after.say(pictured, heard)).sum())
            pixels += said.size
            desk.breathe()
        if pixels and same / pixels < SAME_LEAST:
            raise AdaptError(
                f"the folded bundle says the same as version {current.version} on {same / pixels:.2%} of the pixels of "
                f"{len(windows)} windows, {SAME_LEAST:.0%} expected; it was thrown away"
            )


def _renaming(before: Contender, after: Contender) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """From a label of one to the label of the same class of the other."""
    table = np.arange(256, dtype=np.uint8)
    for name, row in before.rows.items():
        table[LABEL_FIRST_CLASS + row] = LABEL_FIRST_CLASS + after.rows[name] if name in after.rows else LABEL_UNKNOWN
    return table
