"""One writer at a time: a lock that the kernel lets go of when its holder dies."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cavs.runtime.clock import NS_PER_MS, Clock
from cavs.runtime.errors import StoreError

RETRY_NS = 20 * NS_PER_MS
"""Between two tries: short beside a write, long beside a try."""

HOLDER_CHARS_MAX = 200


WRITING = "is being written by {holder}; try again when it is done"


@contextmanager
def writing(path: Path, clock: Clock, wait_ns: int, held: str = WRITING) -> Iterator[None]:
    """Holds the lock file at `path`; waits up to `wait_ns` for its holder, then raises StoreError naming it.

    held: the end of that line.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline_ns = clock.now_ns() + wait_ns
        while not _try_lock(handle):
            if clock.now_ns() >= deadline_ns:
                holder = os.pread(handle, HOLDER_CHARS_MAX, 0).decode(errors="replace").strip() or "another process"
                raise StoreError(f"{path.parent} {held.format(holder=holder)}")
            clock.sleep_ns(RETRY_NS)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} ({Path(sys.argv[0]).name or 'python'})\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock file just now. Does not make it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
