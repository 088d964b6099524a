"""A writer killed with SIGKILL in the middle of its work: the store keeps its current version and takes a new writer."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.runtime.store import ModelStore

STEPS_MAX = 100

WRITER = """
import os, signal, sys
from pathlib import Path
from cavs.runtime.disk import Disk
from cavs.runtime.store import ModelStore

left = int(sys.argv[3])


class Killed(Disk):
    pass


def counted(name):
    inner = getattr(Disk, name)

    def step(self, *paths):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        inner(self, *paths)

    setattr(Killed, name, step)


for name in ("make_directory", "write", "copy", "sync_directory", "rename", "remove"):
    counted(name)
store = ModelStore(Path(sys.argv[1]), disk=Killed())
bundle_id = store.add_bundle(sys.argv[2])
store.commit(None, bundle_id)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_at_any_step_leaves_a_store_that_works(tiny_bundle: Bundle, tmp_path: Path) -> None:
    template = ModelStore(tmp_path / "template")
    template.commit(None, template.add_bundle(tiny_bundle.root))
    for steps in range(STEPS_MAX):
        path = tmp_path / f"store{steps}"
        shutil.copytree(template.path, path)
        run = subprocess.run(
            [sys.executable, "-c", WRITER, str(path), str(tiny_bundle.root), str(steps)], check=False, timeout=60
        )
        store = ModelStore(path)
        assert store.verify() == ()
        version = store.load_current().version
        if run.returncode == 0:
            assert version == 2
            return
        assert run.returncode == -signal.SIGKILL
        assert version in (1, 2)
        assert store.commit(None, tiny_bundle.id) in (2, 3)  # the kernel let go of the dead writer's lock
    pytest.fail(f"still killed after {STEPS_MAX} steps")
