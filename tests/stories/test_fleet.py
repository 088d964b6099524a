"""One robot learns, another follows over S3 while the network comes and goes; its stream is fed from its own store."""

import sys
from pathlib import Path
from signal import SIGTERM
from subprocess import PIPE, Popen

import fsspec
import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.fleet_follow import Follower
from cavs.runtime.store_follow import StoreFollower
from tests.fleet import make_robot
from tests.s3_server import s3_server, use_s3
from tests.tiny_bundle import red_green_swapped

REMOTE = "s3://kitchen-robots/models"


def test_a_robot_follows_another_over_s3_through_an_outage(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    learner = make_robot(tmp_path / "learner", REMOTE)
    robot = make_robot(tmp_path / "robot", REMOTE).trust(learner)
    learner.learn(tiny_bundle)
    stream = StoreFollower(robot.store.path)
    with s3_server() as url:
        use_s3(monkeypatch, url, tmp_path)
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("kitchen-robots")
        learner.push()
        follower = Follower(robot.puller(clock=clock), clock)
        assert [saying.kind for saying in follower.step()] == ["taken"]
        first = stream.poll(running=0)
        learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
        learner.push()
    # s3fs tries each request five times, which takes the four seconds of this test
    assert [saying.kind for saying in follower.step()] == ["away"]
    assert stream.poll(running=1) is None
    with s3_server(int(url.rpartition(":")[2])):
        assert [saying.kind for saying in follower.step()] == ["back", "taken"]
    second = stream.poll(running=1)
    assert first is not None
    assert second is not None
    assert (first.version, second.version) == (1, 2)
    assert second.adapter.id == red_green_swapped(tiny_bundle).id


def test_the_follower_is_a_process_that_says_what_it_does_and_ends_quietly(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "share").mkdir()
    learner = make_robot(tmp_path / "learner", str(tmp_path / "share"))
    robot = make_robot(tmp_path / "robot", learner.remote).trust(learner)
    learner.learn(tiny_bundle)
    learner.push()
    words = ("follow", robot.remote, "--every", "0.1", "--store", str(robot.store.path), "--keys", str(robot.keys))
    command = [sys.executable, "-m", "cavs.runtime.models_cli", *words]
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "taken: release 1, signed by learner, is now version 1; it is current\n"
            process.send_signal(SIGTERM)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")
    assert robot.current == 1
