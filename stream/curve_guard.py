"""Who may connect to an encrypted socket: the clients whose public keys lie in a folder, also while the stream runs."""

import os
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator

from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.curve import PUBLIC, load_public
from cavs.runtime.errors import ConfigError
from cavs.stream.keys import load_server_keys

LOOK_NS = NS_PER_S
"""Between two looks at the folder."""


class AllowList:
    """Public keys in a folder, as they are now. What cannot be read allows nobody."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signature: frozenset[tuple[str, int, int]] | None = None
        self._keys: frozenset[bytes] = frozenset()
        self._admitted: set[bytes] = set()

    def callback(self, domain: str, key: bytes) -> bool:
        """Asked by ZeroMQ's authenticator, in its thread, when somebody connects."""
        allowed = key in _read(self._folder)
        if allowed:
            self._admitted.add(key)
        return allowed

    def keys(self) -> frozenset[bytes]:
        """All of them; read again when a file came, went or changed."""
        signature = _signature(self._folder)
        if signature != self._signature:
            self._signature, self._keys = signature, _read(self._folder)
        return self._keys

    def revoked(self) -> bool:
        """Whether a key is gone with which somebody connected."""
        gone = self._admitted - self.keys()
        self._admitted -= gone
        return bool(gone)


class CurveGuard:
    """Encrypts sockets of one context. Its owner's thread calls `step` often, and `close` before it ends the context.

    ZeroMQ asks for a key when a client connects, never again, and cannot cut off a single one. When a key is taken away,
    the sockets' addresses are let go and bound again: that ends every connection, and who is allowed comes back by itself.
    Raises ConfigError if the keys cannot be used.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", keys: Path, clock: Clock) -> None:
        self._own = load_server_keys(keys)
        self._allowed = AllowList(self._own.allowed)
        self._clock = clock
        self._look_ns = clock.now_ns() + LOOK_NS
        self._sockets: list[zmq.Socket[bytes]] = []
        self._unbound: list[tuple[zmq.Socket[bytes], str]] = []
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain="*", credentials_provider=self._allowed)

    def protect(self, socket: "zmq.Socket[bytes]") -> None:
        """To be called before the socket is bound."""
        socket.curve_publickey, socket.curve_secretkey = self._own.public, self._own.secret
        socket.curve_server = True
        self._sockets.append(socket)

    def step(self) -> None:
        """Cuts off who is allowed no more; binds again what could not be bound at once."""
        if self._unbound:
            self._unbound = [(socket, address) for socket, address in self._unbound if not _bound(socket, address)]
        elif self._clock.now_ns() >= self._look_ns:
            self._look_ns = self._clock.now_ns() + LOOK_NS
            if self._allowed.revoked():
                self._unbound = [(socket, _unbind(socket)) for socket in self._sockets]

    def close(self) -> None:
        """Ends its thread."""
        self._authenticator.stop()


def _unbind(socket: "zmq.Socket[bytes]") -> str:
    address = str(socket.getsockopt_string(zmq.LAST_ENDPOINT))
    socket.unbind(address)
    return address


def _bound(socket: "zmq.Socket[bytes]", address: str) -> bool:
    """False while the old listener is still going, some milliseconds."""
    try:
        socket.bind(address)
    except zmq.ZMQError:
        return False
    return True


def _signature(folder: Path) -> frozenset[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return frozenset()
    return frozenset((name, status.st_mtime_ns, status.st_ino) for name, status in stats)


def _read(folder: Path) -> frozenset[bytes]:
    keys = set()
    for path in folder.glob(f"*{PUBLIC}"):
        try:
            keys.add(load_public(path))
        except ConfigError:  # just being written, or damaged: it allows nobody
            continue
    return frozenset(keys)
