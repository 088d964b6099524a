"""Pulling: the newest release that is trusted, whole and fits, and the right reason for every other."""

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.errors import FleetError, StoreError
from cavs.runtime.fleet_keys import distrust, load_signing_key
from cavs.runtime.fleet_pull import Pulled, Taken
from cavs.runtime.fleet_release import Release, open_release, release_path, sign_release
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.fleet_state import FleetFolder
from tests.dying_disk import DyingDisk, PowerCut
from tests.fleet import Robot, make_robot
from tests.tiny_bundle import make_tiny_bundle, not_a_number, red_green_swapped

STEPS_MAX = 100
"""More than taking a release has."""


@pytest.fixture
def learner(learner: Robot) -> Robot:
    """Has pushed its version."""
    learner.push()
    return learner


def path_of(share: Path, number: int) -> Path:
    return share / release_path(number)


def forge(learner: Robot, share: Path, **changes: object) -> None:
    """Puts a changed copy of the newest release under the next number, signed by the learner's own key."""
    key, number = load_signing_key(learner.keys), Remote(learner.remote).release_numbers()[0]
    newest, _ = open_release(path_of(share, number).read_bytes(), number, (key.public("r"),))
    forged = Release.model_validate(newest.model_copy(update={"number": number + 1, **changes}))
    path_of(share, forged.number).write_bytes(sign_release(forged, key))


def test_an_empty_robot_takes_the_newest_and_keeps_it(learner: Robot, robot: Robot, tiny_bundle: Bundle) -> None:
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    assert robot.pull() == Pulled(Taken(number=2, version=1, signer="learner", is_new=True))
    model = robot.store.load_current()
    assert (model.bundle.id, model.adapter.id) == (tiny_bundle.id, red_green_swapped(tiny_bundle).id)
    assert robot.pull() == Pulled(None)
    assert robot.store.verify() == ()
    assert not (robot.store.path / "fleet" / "incoming").exists()


def test_a_bundle_that_is_here_is_not_fetched_again(learner: Robot, robot: Robot, tiny_bundle: Bundle, share: Path) -> None:
    robot.pull()
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    (share / "files" / next(f.sha256 for f in tiny_bundle.manifest.files if f.name == "graph.onnx")).unlink()
    assert robot.pull().taken == Taken(2, 2, "learner", True)


def test_a_model_that_came_back_is_used_from_the_store(learner: Robot, robot: Robot, tiny_bundle: Bundle) -> None:
    robot.pull()
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    robot.pull()
    learner.push(1)
    assert robot.pull().taken == Taken(number=3, version=1, signer="learner", is_new=False)
    assert (robot.current, robot.store.versions()) == (1, (1, 2))


def test_who_pushes_does_not_take_its_own_release_back(learner: Robot, tiny_bundle: Bundle) -> None:
    learner.trust(learner)
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    assert learner.pull() == Pulled(None)
    assert learner.current == 2


def test_without_a_trusted_key_nothing_is_taken(learner: Robot, robot: Robot) -> None:
    distrust(robot.keys, "learner")
    with pytest.raises(FleetError, match="no key is trusted"):
        robot.pull()
    assert not robot.store.path.exists()


def test_a_foreign_release_is_refused_until_its_key_is_trusted(
    learner: Robot, robot: Robot, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    robot.pull()
    stranger = make_robot(tmp_path / "stranger", robot.remote)
    stranger.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    stranger.push()  # as 1 is signed by nobody it trusts, and taken, it becomes 2
    assert "release 2: signed by 'SHA256:" in robot.refusal()
    assert "is not trusted here" in robot.refusal()
    assert robot.current == 1
    robot.trust(stranger)
    assert robot.pull().taken == Taken(2, 2, "stranger", True)


def test_behind_a_foreign_release_the_newest_trusted_one_is_taken(
    learner: Robot, robot: Robot, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    stranger = make_robot(tmp_path / "stranger", robot.remote)
    stranger.learn(tiny_bundle)
    stranger.push()
    pulled = robot.pull()
    assert pulled.taken == Taken(1, 1, "learner", True)
    assert "release 2: signed by" in pulled.refused[0]


def test_an_unsigned_a_torn_and_an_altered_release_are_refused(learner: Robot, robot: Robot, share: Path) -> None:
    robot.pull()
    signed = path_of(share, 1).read_bytes()
    path_of(share, 2).write_text(json.dumps({**json.loads(signed), "signatures": []}))
    assert "release 2: not signed" in robot.refusal()
    path_of(share, 2).write_bytes(signed[: len(signed) // 2])
    assert "release 2: not a signed envelope" in robot.refusal()
    other = json.loads(signed)["payload"][:-8] + "AAAAAAA="
    path_of(share, 2).write_text(json.dumps({**json.loads(signed), "payload": other}))
    assert "release 2: the signature of learner does not fit" in robot.refusal()
    assert robot.current == 1


def test_an_old_release_under_a_new_number_is_refused(learner: Robot, robot: Robot, share: Path) -> None:
    robot.pull()
    shutil.copy(path_of(share, 1), path_of(share, 2))
    assert "release 2: was signed as release 1" in robot.refusal()


def test_an_old_copy_of_the_remote_changes_nothing_and_is_said(
    learner: Robot, robot: Robot, share: Path, tiny_bundle: Bundle
) -> None:
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    robot.pull()
    path_of(share, 2).unlink()
    assert "shows releases up to 1, this robot has 2: an old copy" in robot.refusal()
    path_of(share, 1).unlink()
    assert "shows no release, this robot has 2" in robot.refusal()
    assert robot.store.load_current().adapter.id == red_green_swapped(tiny_bundle).id


def test_a_fleet_that_was_begun_anew_is_taken_when_asked_to(
    learner: Robot, robot: Robot, share: Path, tiny_bundle: Bundle
) -> None:
    learner.push(again=True)
    robot.pull()
    path_of(share, 2).unlink()
    assert robot.pull(anew=True).taken == Taken(1, 1, "learner", False)


@pytest.mark.parametrize("damage", ["altered", "torn", "too long", "missing"])
def test_contents_that_are_not_as_signed_are_refused_and_taken_when_they_are_mended(
    learner: Robot, robot: Robot, share: Path, damage: str
) -> None:
    path = max((share / "files").iterdir(), key=lambda file: file.stat().st_size)
    whole = path.read_bytes()
    reasons = {"altered": "not the one that was signed", "torn": "torn", "too long": "is longer than", "missing": "is not in"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"altered": bytes(len(whole)), "torn": whole[:-1], "too long": whole + b"x"}[damage])
    assert reasons[damage] in robot.refusal()
    assert not robot.store.versions_path.exists()
    path.write_bytes(whole)
    assert robot.pull().taken == Taken(1, 1, "learner", True)


def test_a_model_that_says_what_is_no_number_goes_into_quarantine(learner: Robot, robot: Robot, tiny_bundle: Bundle) -> None:
    robot.pull()
    learner.learn(tiny_bundle, not_a_number(tiny_bundle))
    learner.push()
    reason = robot.refusal()
    assert "release 2, signed by learner, is in quarantine: onnx: bundle" in reason
    assert "presence scores that are not numbers" in reason
    assert robot.refusal() == reason
    assert (robot.current, robot.store.versions()) == (1, (1,))
    (written,) = (robot.store.path / "fleet" / "quarantine").glob("000000002-*/reason.json")
    assert json.loads(written.read_text())["signer"] == "learner"
    learner.push(1)
    assert robot.pull().taken == Taken(3, 1, "learner", False)


def test_files_that_do_not_belong_together_go_into_quarantine(
    learner: Robot, robot: Robot, tmp_path: Path, share: Path
) -> None:
    robot.pull()
    other = make_tiny_bundle(tmp_path / "other", name="other")
    learner.learn(other)
    learner.push()
    forge(learner, share, adapter_id="0" * 64)
    pulled = robot.pull()
    assert "release 3, signed by learner, is in quarantine: the release names adapter 000000000000" in pulled.refused[0]
    assert pulled.taken == Taken(2, 2, "learner", True)


def test_a_bundle_under_another_id_goes_into_quarantine(learner: Robot, robot: Robot, share: Path) -> None:
    forge(learner, share, bundle_id="0" * 64)
    assert "the release names bundle 000000000000, its files are bundle" in robot.pull().refused[0]


def test_a_model_in_this_stores_quarantine_is_not_taken_again(learner: Robot, robot: Robot, tiny_bundle: Bundle) -> None:
    robot.pull()
    robot.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    robot.store.rollback()
    robot.store.quarantine(2, "forgets the dog")
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    assert "it is version 2 of this store, in quarantine: forgets the dog" in robot.refusal()
    assert robot.current == 1


def test_a_damaged_copy_in_the_store_is_fetched_anew(learner: Robot, robot: Robot) -> None:
    robot.pull()
    (robot.store.bundles_path / robot.store.load_current().bundle.id / "graph.onnx").write_bytes(b"rot")
    learner.push(again=True)
    assert robot.pull().taken == Taken(2, 2, "learner", True)
    assert robot.store.load_current().skipped == ()


class FullDisk(Disk):
    """Takes so many bytes and no more."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def write_pieces(self, path: Path, pieces: Iterable[bytes]) -> None:
        content = b"".join(pieces)
        if len(content) > self.free_bytes:
            path.write_bytes(content[: self.free_bytes])
            raise OSError(ENOSPC, "No space left on device", str(path))
        self.free_bytes -= len(content)
        super().write_pieces(path, (content,))

    def copy(self, source: Path, target: Path) -> None:
        self.write(target, source.read_bytes())


def test_a_full_disk_leaves_the_current_version_and_none_of_its_leavings(learner: Robot, robot: Robot, tmp_path: Path) -> None:
    robot.pull()
    other = make_tiny_bundle(tmp_path / "other", name="other")
    learner.learn(other)
    learner.push()
    size = sum(file.stat().st_size for file in other.root.iterdir())
    for free_bytes in (0, size // 2, size - 1, size + size // 2, 2 * size):  # while fetched, while copied, at the version
        with pytest.raises(StoreError, match="No space left on device; the current version is as it was"):
            robot.puller(disk=FullDisk(free_bytes)).pull()
        assert (robot.current, robot.store.versions()) == (1, (1,))
        assert not (robot.store.path / "fleet" / "incoming").exists()
    assert robot.pull().taken == Taken(2, 2, "learner", True)


def test_a_release_that_is_larger_than_the_disk_is_not_begun(learner: Robot, robot: Robot, share: Path) -> None:
    key = load_signing_key(learner.keys)
    newest, _ = open_release(path_of(share, 1).read_bytes(), 1, (key.public("r"),))
    huge = tuple(file.model_copy(update={"size_bytes": 10**16}) for file in newest.bundle_files)
    forge(learner, share, bundle_files=huge, bundle_id="0" * 64)
    with pytest.raises(StoreError, match=r"MiB are needed to take the release, \d+ MiB are free"):
        robot.pull()


def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_version(
    learner: Robot, robot: Robot, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    robot.pull()
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    for steps in range(0, STEPS_MAX, 4):
        home = tmp_path / f"copy-{steps}"
        shutil.copytree(robot.home, home)
        copy = Robot(home, robot.remote)
        disk = DyingDisk(steps, half_way=steps % 8 == 0)
        with suppress(PowerCut):
            copy.puller(disk=disk).pull()
        assert copy.current in (1, 2)
        assert copy.store.verify() == ()
        if not disk.dead:
            assert copy.current == 2
            return
        copy.pull()
        assert (copy.store.load_current().adapter.id, copy.pull()) == (red_green_swapped(tiny_bundle).id, Pulled(None))
    pytest.fail(f"still dying after {STEPS_MAX} steps")


def test_one_process_at_a_time_pulls_into_a_store(learner: Robot, robot: Robot) -> None:
    robot.pull()
    folder = FleetFolder(robot.store.path, ManualClock(), Disk())
    with folder.locked(), pytest.raises(StoreError, match=r"fleet is being written by process \d+"):
        robot.pull()


def test_a_memory_that_cannot_be_read_stops_rather_than_takes_old_releases(learner: Robot, robot: Robot) -> None:
    robot.pull()
    (robot.store.path / "fleet" / "state.json").write_text("{")
    with pytest.raises(FleetError, match=r"state.json: .*remove it to take any release that a trusted key signed"):
        robot.pull()
