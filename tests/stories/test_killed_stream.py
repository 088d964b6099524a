"""A stream killed with SIGKILL while its store changes: the store stays whole, and a restart serves its current version."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.store import ModelStore
from cavs.stream.subscriber import Subscriber
from tests.clips import write_clip
from tests.tiny_bundle import red_green_swapped

LATEST_S = 2.5
"""A kill comes at a random instant before this: while Python starts, while the engine is made, while windows run."""
EVERY_S = 0.05
WAIT_MS = 30_000


@contextmanager
def changing(store: ModelStore, bundle: Bundle, draw: random.Random) -> Iterator[None]:
    """Another writer commits, picks older versions, rolls back and sweeps meanwhile."""
    adapters, done = (default_adapter(bundle), red_green_swapped(bundle)), threading.Event()

    def change() -> None:
        while not done.wait(EVERY_S):
            store.commit(draw.choice(adapters), bundle.id)
            draw.choice((lambda: None, store.rollback, lambda: store.use(store.versions()[0]), store.gc))()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(change)
        try:
            yield
        finally:
            done.set()
        writing.result()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_stream_killed_at_any_instant_leaves_a_store_that_works(tiny_bundle: Bundle, tmp_path: Path, kills: int) -> None:
    store, address = ModelStore(tmp_path / "store"), f"ipc://{tmp_path}/wire"
    store.commit(None, store.add_bundle(tiny_bundle.root))
    clip = write_clip(tmp_path / "clip.mp4", seconds=20.0, sounding_s=(0.0, 20.0))
    argv = ("--source", str(clip), "--realtime", "--store", str(store.path), "--bind", address, "--threads", "1", "--quiet")
    command = [sys.executable, "-m", "cavs.stream.cli", *argv]
    draw = random.Random(0)
    for _ in range(kills):
        with changing(store, tiny_bundle, draw), subprocess.Popen(command) as process:
            with pytest.raises(subprocess.TimeoutExpired):  # it does not end by itself
                process.wait(draw.uniform(0, LATEST_S))
            process.kill()
        assert store.verify() == ()
    current = store.load_current().version
    with subprocess.Popen(command) as process, Subscriber(address, timeout_ms=WAIT_MS) as subscriber:
        first = next(iter(subscriber))
        process.kill()
    assert first.model.version == current
