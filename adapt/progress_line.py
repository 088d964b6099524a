"""What the learner is doing, in one line, and a terminal's last line that is written over."""

from typing import Any, TextIO


class ProgressLine:
    """In a terminal one line that changes; elsewhere a line for each change."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = ""

    def show(self, line: str) -> None:
        """Shows it unless it is shown already."""
        if line == self._shown:
            return
        self._shown = line
        self._out.write(f"\r{line}\x1b[K" if self._out.isatty() else f"{line}\n")
        self._out.flush()

    def clear(self) -> None:
        """What is printed next stands on a line of its own."""
        if self._shown and self._out.isatty():
            self._out.write("\r\x1b[K")
            self._out.flush()
        self._shown = ""


def learning_line(learner: dict[str, Any], lesson: str | None = None) -> str:
    """What the learner does. learner: as the stream's status gives it. lesson: which one somebody waits for."""
    status = learner.get("status")
    if not learner.get("alive"):
        return "no learner runs just now"
    if not isinstance(status, dict):
        return "the learner starts"
    parts = [str(status.get("doing", "idle"))]
    if lesson is not None and status.get("lesson") not in (None, lesson):
        parts.append(f"another lesson first ({status.get('lesson')})")
    elif status.get("name"):
        parts.append(str(status["name"]))
    if status.get("steps"):
        parts.append(f"step {status.get('step', 0)} of {status['steps']}")
    if isinstance(status.get("loss"), int | float):
        parts.append(f"loss {status['loss']:.3f}")
    if isinstance(status.get("seconds_left"), int | float):
        parts.append(f"{status['seconds_left']:.0f} s left")
    if status.get("paused"):
        parts.append(f"paused: {status['paused']}")
    return ", ".join(parts)
