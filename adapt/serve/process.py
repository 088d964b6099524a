"""The process of a learner: one for each store, of the lowest priority, until it is told to end."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from cavs.adapt.serve.desk import Desk, Stopped, clear_staged
from cavs.adapt.serve.learner import Learner
from cavs.adapt.serve.link import Link
from cavs.adapt.serve.options import ServeOptions
from cavs.adapt.serve.school import School
from cavs.adapt.serve.status import LEARNER
from cavs.adapt.serve.yielding import step_aside
from cavs.runtime.clock import Clock, MonotonicClock
from cavs.runtime.disk import Disk
from cavs.runtime.store import ModelStore
from cavs.runtime.store_lock import writing
from cavs.runtime.store_read import disk_errors

LOCK = "lock"
HELD = "has a learner already, {holder}; stop that one first, or give another store"
ENDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(
    store_path: Path,
    make_school: Callable[[], School],
    options: ServeOptions,
    *,
    control: str | None,
    listen: str | None = None,
    keys: Path | None = None,
    clock: Clock | None = None,
    disk: Disk | None = None,
    aside: Callable[[], str] = step_aside,
    quiet: bool = False,
) -> int:
    """Serves a store until a signal ends it; 0. Raises StoreError if another learner does, or there is no store.

    make_school: called with the lock held and the priority lowered; takes seconds where it imports torch.
    aside:       lowers the priority, and says how.
    """
    clock, disk = clock or MonotonicClock(), disk or Disk()
    store = ModelStore(store_path, clock=clock, disk=disk)
    store.load_current()  # a learner without a model has nothing to learn from
    home = store.path / LEARNER
    with disk_errors(home):
        disk.make_directory(home)
        with writing(home / LOCK, clock, 0, HELD):
            clear_staged(home, disk)
            how = aside()
            _say(quiet, f"learner of {store.path}, process {os.getpid()}, {how}")
            desk = Desk(store, make_school(), Link(control, clock, listen=listen, keys=keys), clock, options, disk=disk)
            try:
                return _run(desk, quiet)
            finally:
                desk.note(now=True, doing="stopped", paused="")
                desk.close()


def _run(desk: Desk, quiet: bool) -> int:
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)

    for number in ENDED:
        signal.signal(number, end)
    desk.stopping = lambda: bool(ended)
    desk.note(now=True, pid=os.getpid())
    trouble = ""
    try:
        learner = Learner(desk)
        learner.start()
        while True:
            wait_ns = learner.step()
            if desk.status.trouble and desk.status.trouble != trouble:
                _say(quiet, desk.status.trouble)
            trouble = desk.status.trouble
            if wait_ns:
                desk.clock.sleep_ns(wait_ns)
    except Stopped:
        _say(quiet, f"stopped by {signal.Signals(ended[0]).name}")
    return 0


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(f"cavs-adapt: {text}", file=sys.stderr, flush=True)
