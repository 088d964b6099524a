"""Following: a new release is taken, a remote that is away is tried less often, nothing is said twice."""

from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_S, ManualClock
from cavs.runtime.fleet_follow import BACK_OFF_MAX_NS, Follower
from cavs.runtime.fleet_keys import distrust
from tests.fleet import Robot
from tests.tiny_bundle import red_green_swapped


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def follower(robot: Robot, clock: ManualClock) -> Follower:
    return Follower(robot.puller(clock=clock), clock, every_s=10)


def test_each_release_is_taken_once(follower: Follower, learner: Robot, robot: Robot, tiny_bundle: Bundle) -> None:
    assert follower.step() == ()
    learner.push()
    assert [saying.text for saying in follower.step()] == ["release 1, signed by learner, is now version 1; it is current"]
    assert follower.step() == ()
    learner.learn(tiny_bundle, red_green_swapped(tiny_bundle))
    learner.push()
    assert [saying.kind for saying in follower.step()] == ["taken"]
    assert robot.current == 2


def test_what_is_refused_is_said_once_and_again_when_the_reason_changes(
    follower: Follower, learner: Robot, share: Path
) -> None:
    learner.push()
    follower.step()
    bad = share / "releases" / "000000002.json"
    bad.write_text("{}")
    assert [saying.kind for saying in follower.step()] == ["refused"]
    assert follower.step() == ()
    bad.write_text('{"payload": "", "payloadType": "application/vnd.cavs.release+json"}')
    assert [(saying.kind, "not signed" in saying.text) for saying in follower.step()] == [("refused", True)]
    assert follower.step() == ()


def test_a_remote_that_is_away_is_said_once_tried_less_often_and_found_again(
    follower: Follower, learner: Robot, share: Path, clock: ManualClock
) -> None:
    learner.push()
    away = share.rename(share.with_name("unmounted"))
    (saying,) = follower.step()
    assert saying.kind == "away"
    assert "mount the share" in saying.text
    waits = []
    for _ in range(10):
        before_ns = clock.now_ns()
        follower.wait()
        waits.append((clock.now_ns() - before_ns) // NS_PER_S)
        assert follower.step() == ()
    assert waits == [20, 40, 80, 160, 320, 600, 600, 600, 600, 600]
    away.rename(share)
    back, taken = follower.step()
    assert (back.text, taken.kind) == (f"the remote can be followed again after {sum(waits)} s", "taken")
    assert follower.delay_ns == 10 * NS_PER_S


def test_a_rare_look_is_not_made_more_often_by_a_failure(robot: Robot, clock: ManualClock, share: Path) -> None:
    follower = Follower(robot.puller(clock=clock), clock, every_s=3600)
    share.rmdir()
    follower.step()
    assert follower.delay_ns == 3600 * NS_PER_S > BACK_OFF_MAX_NS


def test_a_key_that_is_distrusted_or_trusted_while_it_runs_counts_at_once(
    follower: Follower, learner: Robot, robot: Robot
) -> None:
    distrust(robot.keys, "learner")
    learner.push()
    (saying,) = follower.step()
    assert (saying.kind, "no key is trusted" in saying.text) == ("away", True)
    robot.trust(learner)
    assert [saying.kind for saying in follower.step()] == ["back", "taken"]


def test_looks_without_time_between_them_are_a_mistake(robot: Robot, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="every_s must be positive"):
        Follower(robot.puller(), clock, every_s=0)
