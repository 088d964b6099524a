"""A learner killed with SIGKILL again and again while it teaches and forgets: it goes on, and the store is always whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.lesson import Lessons
from cavs.runtime.store import ModelStore

KILLER = """
import os, random, signal, sys
from pathlib import Path

import psutil

import torch  # once, here: a forked learner finds it loaded
from cavs.adapt.methods import csr
from cavs.adapt.serve.options import ServeOptions
from cavs.adapt.serve.process import serve
from cavs.runtime.bundle import read_bundle
from cavs.runtime.clock import NS_PER_MS, MonotonicClock
from cavs.runtime.lesson import LessonRequest, Lessons, new_lesson_id, wall_now_ns
from cavs.runtime.store import ModelStore
from tests.lessons import give_lesson
from tests.tiny_school import TinySchool

path, bundle_path, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
draw, clock, store, lessons = random.Random(5), MonotonicClock(), ModelStore(path), Lessons(path)
bundle = read_bundle(bundle_path)
options = ServeOptions.model_validate({"slice_s": 1e-6, "keep_s": 1e-6, "idle_s": 1e6})


def waiting():
    return [one for one in lessons.ids() if lessons.outcome(one) is None]


def give(number):
    if number % 2 == 0:
        give_lesson(path, bundle, "yellow", (1.0, 1.0, 0.0))
        return
    now_ns = wall_now_ns()
    lessons.write(LessonRequest(id=new_lesson_id(now_ns), kind="forget", name="yellow", yes=True, asked_wall_ns=now_ns))


def learner():
    child = os.fork()
    if child:
        return child
    try:
        serve(path, TinySchool, options, control=None, aside=lambda: "as it is", quiet=True)
    finally:
        os._exit(3)


def run(until):
    child = learner()
    process = psutil.Process(child)
    while not until(process):
        if os.waitpid(child, os.WNOHANG)[0]:
            raise SystemExit("the learner died by itself")
        clock.sleep_ns(2 * NS_PER_MS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def spent(process):
    times = process.cpu_times()
    return times.user + times.system


given = 0
for _ in range(kills):
    if not waiting():
        give(given)
        given += 1
    limit = draw.uniform(0.0, 0.5)
    run(lambda process: spent(process) > limit or not waiting())  # a learner that waits spends next to nothing
    assert store.verify() == (), store.verify()
    store.load_current()
run(lambda process: not waiting())
outcomes = [lessons.outcome(one) for one in lessons.ids()]
assert all(one.state == "live" for one in outcomes), [(one.state, one.reason) for one in outcomes]
known = {name for _, name in store.load_current().adapter.classes}
assert ("yellow" in known) == (given % 2 == 1), (known, given)
print(f"{kills} kills, {given} lessons")
"""


def killed(tmp_path: Path, bundle: Bundle, kills: int) -> str:
    store = ModelStore(tmp_path / "store")
    store.commit(None, store.add_bundle(bundle.root))
    command = [sys.executable, "-c", KILLER, str(store.path), str(bundle.root), str(kills)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert store.verify() == ()
    assert Lessons(store.path).ids()
    return run.stdout.strip()


@pytest.mark.timeout(240)
def test_a_learner_that_is_killed_goes_on_where_it_was(tmp_path: Path, tiny_bundle: Bundle) -> None:
    assert killed(tmp_path, tiny_bundle, 4).startswith("4 kills, ")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(tmp_path: Path, tiny_bundle: Bundle) -> None:
    assert killed(tmp_path, tiny_bundle, 200).startswith("200 kills, ")
