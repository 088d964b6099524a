"""The shipped demonstration clip, in a loop: sight and sound without any hardware."""

from importlib.resources import files
from pathlib import Path

from cavs.runtime.clock import Clock
from cavs.runtime.errors import MediaLost
from cavs.stream.counters import Counters
from cavs.stream.media import MediaSource

DEMO_CLIP = ("footage", "demo.mp4")
"""Place of the clip inside the package `cavs.stream`."""


def demo_clip() -> Path:
    """Where the clip lies. Raises MediaLost if it was not installed."""
    path = Path(str(files("cavs.stream").joinpath(*DEMO_CLIP)))
    if not path.is_file():
        raise MediaLost(f"{path}: the demonstration clip is not there; install cavs-stream again, or use --source FILE")
    return path


def demo_source(
    *, rate_hz: int, clock: Clock, loops: int | None = None, counters: Counters | None = None, clip: Path | None = None
) -> MediaSource:
    """A source that plays the clip at its own pace, `loops` times or for ever; its time goes on without a seam.

    clip: another clip than the shipped one.
    """
    path = clip if clip is not None else demo_clip()
    return MediaSource(str(path), rate_hz=rate_hz, clock=clock, rate="realtime", loops=loops, counters=counters)
