"""How a running stream follows a model store: a look at one small file, and a model when it has changed."""

from collections.abc import Callable
from pathlib import Path

from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_MS, Clock
from cavs.runtime.engine import Engine
from cavs.runtime.errors import CavsError, StoreError
from cavs.runtime.slot import Slot
from cavs.runtime.store_read import StoredModel, StoreReader

POLL_NS = 200 * NS_PER_MS
"""Between two looks: soon enough for a person, one `stat` each."""

_Signature = tuple[int, int, int] | None


class StoreFollower:
    """Gives each change of a store's current version once; the first call gives the version that is current then.

    A pointer is replaced, never edited, so its inode, time and size tell a change; directories are read only after
    their rename. A store that is not there yet is waited for.
    """

    def __init__(self, path: Path | str) -> None:
        self._store = StoreReader(path)
        self._seen: _Signature = None

    def poll(self, running: int) -> StoredModel | None:
        """The current version, verified, if the pointer was written since the last call and names another than `running`.

        Raises StoreError once for each change that cannot be used; the version that runs goes on.
        """
        signature = self._look()
        if signature == self._seen:
            return None
        self._seen = signature
        pointer = self._store.pointer()
        if pointer is None or pointer.version == running:
            return None
        try:
            return self._store.load(pointer.version)
        except StoreError:
            if self._look() != signature:  # it changed while we read: the next poll reads the newer one
                self._seen = None
                return None
            raise

    def _look(self) -> _Signature:
        try:
            status = self._store.pointer_path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._store.pointer_path}: {error.strerror}; the running version goes on") from error
        return status.st_ino, status.st_mtime_ns, status.st_size


class SlotFeeder:
    """Brings what a store says is current into a slot. A thread of its own calls `step` again and again."""

    def __init__(self, follower: StoreFollower, slot: Slot, open_engine: Callable[[Bundle], Engine], clock: Clock) -> None:
        self._follower = follower
        self._slot = slot
        self._open_engine = open_engine
        self._clock = clock
        self._refusal = ""

    def step(self) -> bool:
        """One look; True if a model was offered. What cannot be offered becomes one `refused` event of the slot."""
        try:
            model = self._follower.poll(self._slot.model.version)
            if model is not None:
                self._offer(model)
        except CavsError as error:
            if str(error) != self._refusal:
                self._slot.refuse(str(error))
            self._refusal = str(error)
            return False
        self._slot.reap()
        return model is not None

    def wait(self) -> None:
        """Until it is time for the next look."""
        self._clock.sleep_ns(POLL_NS)

    def _offer(self, model: StoredModel) -> None:
        engine = None if self._slot.runs_bundle(model.bundle.id) else self._open_engine(model.bundle)
        self._slot.offer(model.adapter, version=model.version, engine=engine)
        self._refusal = ""
