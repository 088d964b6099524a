"""Where a mask fails when one thing sounds: it was not heard for what it is, not seen for what it is, or neither failed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT

ONE_SOUNDS = ("alone", "one_silent")
"""The scenarios in which exactly one class sounds, and is seen."""
HELD = 0.5  # share of the thing's pixels that must resemble its own class most


@dataclass(slots=True)
class Causes:
    """Counts frames of such a scenario, each sense judged by itself: sight without the sound, hearing without the picture."""

    heard: list[bool] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)

    def add(
        self, truth: npt.NDArray[np.uint8], presence: npt.NDArray[np.float32], seen: npt.NDArray[np.uint8], iou: float
    ) -> None:
        """truth: (H, W), labels; presence: (K,); seen: (H / 8, W / 8), rows. A frame without the thing is passed over."""
        shown = np.unique(truth[truth != LABEL_SILENT])
        if len(shown) != 1:
            return
        row = int(shown[0]) - LABEL_FIRST_CLASS
        step = truth.shape[0] // seen.shape[0]
        thing = truth[step // 2 :: step, step // 2 :: step] != LABEL_SILENT
        if not thing.any():
            return
        self.heard.append(int(presence.argmax()) == row)
        self.seen.append(float((seen[thing] == row).mean()) > HELD)
        self.iou.append(iou)

    def summary(self) -> dict[str, Any]:
        """Shares of the frames, and the mean binary IoU where both senses were right and where one was not."""
        heard, seen, iou = np.array(self.heard), np.array(self.seen), np.array(self.iou)
        both = heard & seen
        return {
            "frames": len(iou),
            "heard": float(heard.mean()),
            "seen": float(seen.mean()),
            "both": float(both.mean()),
            "binary_iou_if_both": float(iou[both].mean()) if both.any() else None,
            "binary_iou_otherwise": float(iou[~both].mean()) if (~both).any() else None,
        }
