"""Flags that change what subscribers get: the same clip with each, through the real program and the real wire."""

import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.bundle import Bundle
from cavs.stream.masks import Masks
from cavs.stream.subscriber import Subscriber
from tests.clips import write_clip

WAIT_S, WAIT_MS = 60, 30_000


@dataclass(frozen=True)
class Player:
    """Plays one clip, whole, with further flags; gives every message of masks."""

    clip: Path
    bundle: Bundle
    address: str

    def __call__(self, *flags: str) -> list[Masks]:
        argv = ("--source", str(self.clip), "--fast", "--bundle", str(self.bundle.root), "--bind", self.address, "--quiet")
        command = [sys.executable, "-m", "cavs.stream.cli", *argv, "--wait-for-watcher", "20", "--no-preview", *flags]
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
            Subscriber(self.address, newest_only=False, kinds=("masks", "event"), timeout_ms=WAIT_MS) as subscriber,
        ):
            try:
                until_it_ends = takewhile(lambda message: getattr(message, "kind", "") != "ended", subscriber.messages())
                seen = [message for message in until_it_ends if isinstance(message, Masks)]
                _, err = process.communicate(timeout=WAIT_S)
            finally:
                process.kill()
        assert process.returncode == 0, err
        return seen


@pytest.fixture
def play(tiny_bundle: Bundle, tmp_path: Path) -> Player:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1.0, sounding_s=(0.0, 1.0))
    return Player(clip, tiny_bundle, f"ipc://{tmp_path}/wire")


def objects(seen: list[Masks]) -> int:
    return sum(len(masks.objects) for masks in seen)


def test_masks_are_the_same_in_every_encoding_under_the_name_that_was_given(play: Player) -> None:
    plain, named = play(), play("--encoding", "raw", "--stream", "kitchen")
    assert objects(plain) > 0
    assert {masks.stream for masks in plain} == {"cavs"}
    assert {masks.stream for masks in named} == {"kitchen"}
    for one, other in zip(plain, named, strict=True):
        assert one.t_ns == other.t_ns
        for thing, same in zip(one.objects, other.objects, strict=True):
            np.testing.assert_array_equal(thing.mask, same.mask)


@pytest.mark.parametrize("words", ["--min-area 0.9", "--sound-threshold 0.999", "--least-heard 1"])
def test_what_is_too_small_too_unsure_or_not_heard_is_left_out(play: Player, words: str) -> None:
    seen = play(*words.split())
    assert seen
    assert objects(seen) == 0
