"""Pushing: contents first, the signed release last; two robots push to one place; what was cut off is completed."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.errors import FleetError, RemoteAway, StoreError
from cavs.runtime.fleet_keys import load_signing_key
from cavs.runtime.fleet_push import LOOKED_AT_MAX, Pusher
from cavs.runtime.fleet_release import Release, open_release
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.manifest import FileEntry
from tests.fleet import Robot, make_robot
from tests.tiny_bundle import adapter_with, red_green_swapped


class CutOff(Remote):
    """A network that breaks off after so many contents."""

    def __init__(self, url: str, writes: int) -> None:
        super().__init__(url)
        self._writes = writes

    def write_file(self, entry: FileEntry, source: Path) -> None:
        if not self._writes:
            raise RemoteAway("cut off")
        self._writes -= 1
        super().write_file(entry, source)


def releases_of(learner: Robot) -> dict[int, Release]:
    remote, key = Remote(learner.remote), load_signing_key(learner.keys)
    numbers = remote.release_numbers()
    return {number: open_release(remote.read_release(number, 10**6), number, (key.public("r"),))[0] for number in numbers}


def test_a_version_becomes_release_1_with_all_its_files(learner: Robot, share: Path, tiny_bundle: Bundle) -> None:
    pushed = learner.push()
    release = releases_of(learner)[1]
    assert (pushed.number, pushed.version, pushed.is_new, pushed.files_sent) == (1, 1, True, 3)
    assert pushed.bytes_sent == sum(file.size_bytes for file in release.bundle_files)
    assert (release.bundle_id, release.adapter_files) == (tiny_bundle.id, ())
    assert {path.name for path in (share / "files").iterdir()} == {file.sha256 for file in release.bundle_files}


def test_what_lies_there_is_not_sent_again(learner: Robot, tiny_bundle: Bundle) -> None:
    learner.push()
    assert learner.push() == learner.push()
    assert not learner.push().is_new
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    pushed = learner.push()
    assert (pushed.number, pushed.files_sent) == (2, 2)  # the adapter's


def test_an_older_version_is_pushed_under_a_new_number(learner: Robot, tiny_bundle: Bundle) -> None:
    learner.push()
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    assert learner.push(1).number == 3
    releases = releases_of(learner)
    assert releases[3].model == releases[1].model != releases[2].model


def test_a_push_that_broke_off_shows_nothing_and_is_completed_later(learner: Robot) -> None:
    remote, key = CutOff(learner.remote, writes=2), load_signing_key(learner.keys)
    with pytest.raises(RemoteAway, match="cut off"):
        Pusher(learner.store, remote, key, (), ManualClock()).push()
    assert remote.release_numbers() == ()
    assert learner.push().files_sent == 1


def test_a_damaged_content_is_mended_by_again(learner: Robot, share: Path) -> None:
    learner.push()
    damaged = next((share / "files").iterdir())
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert learner.push(again=True).files_sent == 3
    remote, release = Remote(learner.remote), releases_of(learner)[2]
    assert all(len(b"".join(remote.pieces(file))) == file.size_bytes for file in release.bundle_files)


def test_two_robots_push_to_one_place_and_neither_overwrites_the_other(
    learner: Robot, tmp_path: Path, tiny_bundle: Bundle, share: Path
) -> None:
    other = make_robot(tmp_path / "robot-2", learner.remote).trust(learner)
    learner.trust(other)
    other.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    assert (learner.push().number, other.push().number) == (1, 2)
    assert not other.push().is_new
    assert learner.push().number == 3  # the newest is the other's model


def test_pushes_at_the_same_moment_get_numbers_of_their_own(learner: Robot, tmp_path: Path, tiny_bundle: Bundle) -> None:
    others = [make_robot(tmp_path / f"robot-{index}", learner.remote) for index in range(2, 5)]
    for index, other in enumerate(others):
        other.learn(tiny_bundle, adapter_with(tiny_bundle, {"thresholds": (0.3, 0.5 + index / 10)}))
    with ThreadPoolExecutor() as pool:
        numbers = [pushed.number for pushed in pool.map(lambda one: one.push(), (learner, *others))]
    assert sorted(numbers) == [1, 2, 3, 4]


def test_numbers_go_on_where_releases_were_taken_away(learner: Robot, share: Path, tiny_bundle: Bundle) -> None:
    learner.push()
    (share / "releases" / "000000001.json").unlink()
    assert learner.push().number == 2


def test_a_number_that_a_stranger_took_is_passed_over(learner: Robot, share: Path) -> None:
    (share / "releases").mkdir()
    (share / "releases" / "000000001.json").write_text("junk")
    (share / "releases" / "999999999.json").write_text("junk")
    assert learner.push().number == 2


def test_a_place_full_of_strangers_is_said(learner: Robot, share: Path) -> None:
    (share / "releases").mkdir()
    for number in range(1, LOOKED_AT_MAX + 2):
        (share / "releases" / f"{number:09}.json").write_text("junk")
    with pytest.raises(FleetError, match="none of the 100 highest releases is signed by this machine or a key that it trusts"):
        learner.push()


def test_compiled_plans_of_this_machine_stay_here(learner: Robot, share: Path, tiny_bundle: Bundle) -> None:
    learner.push()
    manifest = next(file for file in releases_of(learner)[1].bundle_files if file.name == "manifest.json")
    assert json.loads((share / "files" / manifest.sha256).read_text())["plans"] == []


def test_a_version_in_quarantine_or_none_at_all_is_not_pushed(learner: Robot, tmp_path: Path, tiny_bundle: Bundle) -> None:
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.store.quarantine(1, "deaf")
    with pytest.raises(StoreError, match="in quarantine: deaf"):
        learner.push(1)
    with pytest.raises(StoreError, match="is not a model store"):
        make_robot(tmp_path / "empty", learner.remote).push()
    assert Remote(learner.remote).release_numbers() == ()


def test_a_store_without_a_current_version_is_said(learner: Robot, tmp_path: Path, tiny_bundle: Bundle) -> None:
    fresh = make_robot(tmp_path / "fresh", learner.remote)
    fresh.store.add_bundle(tiny_bundle.root)
    with pytest.raises(StoreError, match="no current version to push; choose one with: --version N"):
        fresh.push()
