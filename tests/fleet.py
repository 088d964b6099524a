"""Robots that share models, each with a store and keys of its own."""

from dataclasses import dataclass
from pathlib import Path

from cavs.runtime.adapter import Adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import ManualClock
from cavs.runtime.disk import Disk
from cavs.runtime.fleet_keys import PUBLIC_KEY, load_signing_key, load_trusted, make_signing_key, trust
from cavs.runtime.fleet_pull import Pulled, Puller
from cavs.runtime.fleet_push import Pushed, Pusher
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.store import ModelStore


@dataclass(frozen=True)
class Robot:
    """One robot's folder: `models` and `keys`."""

    home: Path
    remote: str

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.home / "models", clock=ManualClock())

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def current(self) -> int:
        return self.store.load_current().version

    def learn(self, bundle: Bundle, adapter: Adapter | None = None) -> int:
        return self.store.commit(adapter, self.store.add_bundle(bundle.root))

    def trust(self, other: "Robot") -> "Robot":
        trust(self.keys, str(other.keys / PUBLIC_KEY))
        return self

    def push(self, version: int | None = None, *, again: bool = False) -> Pushed:
        key, trusted = load_signing_key(self.keys), load_trusted(self.keys)
        return Pusher(self.store, Remote(self.remote), key, trusted, ManualClock()).push(version, again=again)

    def puller(self, disk: Disk | None = None, clock: ManualClock | None = None) -> Puller:
        clock = clock or ManualClock()
        store = ModelStore(self.home / "models", clock=clock, disk=disk)
        return Puller(store, Remote(self.remote), self.keys, clock, disk)

    def pull(self, *, anew: bool = False) -> Pulled:
        return self.puller().pull(anew=anew)

    def refusal(self) -> str:
        """Pulls, and must take nothing and refuse one release; why."""
        pulled = self.pull()
        assert pulled.taken is None
        (reason,) = pulled.refused
        return reason


def make_robot(home: Path, remote: str, *, name: str = "") -> Robot:
    """A robot with a signing key of its own, who trusts nobody yet."""
    robot = Robot(home, remote)
    make_signing_key(robot.keys, name or home.name)
    return robot
