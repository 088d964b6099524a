"""Fetching: what has arrived whole is not fetched twice, and nothing of another release stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import BundleRejected, EngineError, RemoteAway
from cavs.runtime.fleet_fetch import FetchedModel, Fetcher, try_out
from cavs.runtime.fleet_keys import load_trusted
from cavs.runtime.fleet_release import Release, open_release
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.fleet_state import FleetFolder
from cavs.runtime.manifest import FileEntry
from tests.fleet import Robot
from tests.tiny_bundle import not_a_number, red_green_swapped


class BreaksOff(Remote):
    """Goes away after so many files; remembers what was asked of it."""

    def __init__(self, url: str, files: int) -> None:
        super().__init__(url)
        self._files = files
        self.asked: list[str] = []

    def pieces(self, entry: FileEntry) -> Iterator[bytes]:
        self.asked.append(entry.name)
        if len(self.asked) > self._files:
            raise RemoteAway("the network is away")
        return super().pieces(entry)


@pytest.fixture
def release(learner: Robot, robot: Robot) -> Release:
    learner.push()
    return open_release(Remote(robot.remote).read_release(1, 10**6), 1, load_trusted(robot.keys))[0]


def fetcher(robot: Robot, remote: Remote) -> tuple[Fetcher, FleetFolder]:
    folder = FleetFolder(robot.store.path, ManualClock(), Disk())
    folder.path.mkdir(parents=True, exist_ok=True)
    return Fetcher(robot.store, remote, folder, Disk()), folder


def test_after_an_outage_only_what_is_missing_is_fetched(robot: Robot, release: Release, tiny_bundle: Bundle) -> None:
    first, second = BreaksOff(robot.remote, files=2), BreaksOff(robot.remote, files=9)
    with pytest.raises(RemoteAway):
        fetcher(robot, first)[0].fetch(release)
    model = fetcher(robot, second)[0].fetch(release)
    assert (len(first.asked), second.asked) == (3, first.asked[2:])
    assert (model.bundle.manifest, model.adapter) == (tiny_bundle.manifest, None)


def test_half_a_file_and_what_was_altered_here_are_fetched_again(robot: Robot, release: Release) -> None:
    whole = BreaksOff(robot.remote, files=9)
    fetching, folder = fetcher(robot, whole)
    fetching.fetch(release)
    graph = folder.incoming / release.bundle_id / "graph.onnx"
    graph.write_bytes(bytes(graph.stat().st_size))
    fetching.fetch(release)
    assert whole.asked[3:] == ["graph.onnx"]


def test_what_an_earlier_release_left_is_removed(robot: Robot, release: Release) -> None:
    fetching, folder = fetcher(robot, Remote(robot.remote))
    (folder.incoming / "older").mkdir(parents=True)
    (folder.incoming / "half.part").write_bytes(b"x")
    fetching.fetch(release)
    assert [path.name for path in folder.incoming.iterdir()] == [release.bundle_id]


def test_files_of_another_bundle_do_not_pass_for_this_one(robot: Robot, release: Release) -> None:
    with pytest.raises(BundleRejected, match="the release names bundle 000000000000, its files are bundle"):
        fetcher(robot, Remote(robot.remote))[0].fetch(release.model_copy(update={"bundle_id": "0" * 64}))


def test_a_model_that_works_is_tried_out_without_a_word(tiny_bundle: Bundle, tmp_path: Path) -> None:
    try_out(FetchedModel(tiny_bundle, None))
    try_out(FetchedModel(tiny_bundle, red_green_swapped(tiny_bundle)))
    with pytest.raises(EngineError, match="presence scores that are not numbers"):
        try_out(FetchedModel(tiny_bundle, not_a_number(tiny_bundle)))
