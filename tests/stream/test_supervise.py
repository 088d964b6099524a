"""A process that is looked after: real ones, tiny; killed, ended, restarted after a pause, and gone with its parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock, MonotonicClock
from cavs.stream.said import Said
from cavs.stream.source import Backoff
from cavs.stream.supervise import STEADY_NS, Supervisor, learner_command

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
FAILS = [sys.executable, "-c", "import sys; print('first', file=sys.stderr); sys.exit('the store is locked')"]
WAIT_S = 60


class Looked:
    """A supervisor stepped by hand on a clock that stands still."""

    def __init__(self, command: list[str]) -> None:
        self.clock = ManualClock(NS_PER_S)
        self.said = Said()
        self.supervisor = Supervisor(command, self.clock, self.said.say, backoff=Backoff(1000, 4000))

    def process(self) -> psutil.Process:
        self.supervisor.step()
        state = self.supervisor.state()
        assert state["alive"]
        return psutil.Process(state["pid"])

    def death(self) -> str:
        """Steps until its death is noted; what is said of it."""
        waiting = MonotonicClock()
        for _ in range(WAIT_S * 100):
            self.supervisor.step()
            if events := self.said.take():
                (event,) = events
                assert (event.kind, event.device) == ("learner", "learner")
                return event.text
            waiting.sleep_ns(10 * NS_PER_MS)
        raise AssertionError("its death was not noticed")


@pytest.fixture
def sleeper() -> Iterator[Looked]:
    looked = Looked(SLEEPS)
    yield looked
    looked.supervisor.stop()


def test_a_killed_process_is_told_of_and_started_again_after_a_pause(sleeper: Looked) -> None:
    first = sleeper.process()
    first.kill()
    assert sleeper.death() == "the learner was killed by SIGKILL; it is started again in 1 s, the stream goes on"
    assert sleeper.supervisor.state() == {"alive": False, "pid": None, "restarts": 1}
    sleeper.supervisor.step()
    assert not sleeper.supervisor.state()["alive"]
    sleeper.clock.advance_ns(NS_PER_S)
    second = sleeper.process()
    assert second.pid != first.pid


def test_pauses_grow_and_shrink_again_after_a_steady_run(sleeper: Looked) -> None:
    pauses = []
    for _ in range(4):
        sleeper.process().kill()
        pauses.append(sleeper.death().partition("again in ")[2].partition(" s")[0])
        sleeper.clock.advance_ns(4 * NS_PER_S)
    process = sleeper.process()
    sleeper.clock.advance_ns(STEADY_NS)
    process.kill()
    assert [*pauses, sleeper.death().partition("again in ")[2].partition(" s")[0]] == ["1", "2", "4", "4", "1"]


def test_its_last_words_are_passed_on_and_told(capfd: pytest.CaptureFixture[str]) -> None:
    looked = Looked(FAILS)
    looked.supervisor.step()
    assert looked.death().startswith("the learner ended with code 1 (the store is locked); it is started again in 1 s")
    looked.supervisor.stop()


def test_stopping_ends_it_and_it_is_not_started_again(sleeper: Looked) -> None:
    process = sleeper.process()
    sleeper.supervisor.stop()
    assert not process.is_running()
    assert sleeper.said.take() == []


def test_the_thread_starts_it_and_ends_it() -> None:
    said, clock = Said(), MonotonicClock()
    supervisor = Supervisor(SLEEPS, clock, said.say)
    supervisor.start()
    while not supervisor.state()["alive"]:
        clock.sleep_ns(10 * NS_PER_MS)
    process = psutil.Process(supervisor.state()["pid"])
    supervisor.stop()
    assert not process.is_running()


PARENT = """
import subprocess, sys, os
child = subprocess.Popen([sys.executable, "-m", "cavs.stream.tether", str(os.getpid()), sys.executable, "-c",
                          "import time; print('up', flush=True); time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_a_process_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        first, second = parent.stdout.readline(), parent.stdout.readline()
        child = psutil.Process(int(first if first.strip() != "up" else second))
        parent.send_signal(signal.SIGKILL)
        parent.wait(WAIT_S)
        assert child.wait(WAIT_S) is not False


def test_an_orphan_is_not_started() -> None:
    command = [sys.executable, "-m", "cavs.stream.tether", str(os.getpid() + 1), sys.executable, "-c", "print('ran')"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (ran.returncode, ran.stdout) == (125, "")


def test_the_learner_is_told_where_the_stream_can_be_asked() -> None:
    assert learner_command(Path("/m"), "ipc:///m/control.sock")[1:] == [
        "-m",
        "cavs.adapt.cli",
        "serve",
        "/m",
        "--control",
        "ipc:///m/control.sock",
    ]
    assert learner_command(Path("/m"), "ipc:///c", Path("/k"))[-2:] == ["--keys", "/k"]
