"""The demonstration clip plays at its own pace, round after round."""

from pathlib import Path

import pytest

from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.stream.demo import demo_clip, demo_source
from cavs.stream.items import VideoFrame
from cavs.stream.source import EndOfSource
from tests.stream.clips import Clip, write_clip


def test_it_goes_on_for_ever_with_continuous_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(seconds=1))
    clock = ManualClock(5 * NS_PER_S)
    source = demo_source(rate_hz=16_000, clock=clock, clip=clip)
    assert source.live
    source.open()
    frames: list[VideoFrame] = []
    while len(frames) < 100:
        frames += [item for item in source.step() if isinstance(item, VideoFrame)]
    assert frames[99].index == 99
    assert frames[99].t_ns - frames[0].t_ns == pytest.approx(3.3 * NS_PER_S, abs=0.05 * NS_PER_S)


def test_it_can_be_told_how_often(tmp_path: Path) -> None:
    source = demo_source(rate_hz=16_000, clock=ManualClock(), loops=2, clip=write_clip(tmp_path / "clip.mp4", Clip(seconds=1)))
    source.open()
    frames = 0
    try:
        while True:
            frames += sum(isinstance(item, VideoFrame) for item in source.step())
    except EndOfSource:
        assert frames == 60


def test_no_rounds_at_all_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="loops"):
        demo_source(rate_hz=16_000, clock=ManualClock(), loops=0, clip=write_clip(tmp_path / "clip.mp4"))


def test_the_shipped_clip_is_installed_and_has_sight_and_sound() -> None:
    source = demo_source(rate_hz=16_000, clock=ManualClock(), loops=1, clip=demo_clip())
    source.open()
    items = [item for _ in range(20) for item in source.step()]
    source.close()
    assert any(isinstance(item, VideoFrame) for item in items)
    assert len({type(item) for item in items}) == 2
