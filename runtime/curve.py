"""Keys of encrypted ZeroMQ sockets (CURVE), as `cavs-stream keys` makes them: loaded and checked."""

import stat
from dataclasses import dataclass
from pathlib import Path

import zmq.auth

from cavs.runtime.errors import ConfigError

SERVER, CLIENT = "server", "client"
PUBLIC, SECRET = ".key", ".key_secret"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a subscriber needs: its own pair and the server's public key."""

    public: bytes
    secret: bytes
    server: bytes


def load_client_keys(directory: Path) -> ClientKeys:
    """Raises ConfigError if a key is missing, unreadable, or the secret one is readable by others."""
    public, secret = load_secret(directory / f"{CLIENT}{SECRET}")
    server = load_public(directory / f"{SERVER}{PUBLIC}")
    return ClientKeys(public, secret, server)


def load_secret(path: Path) -> tuple[bytes, bytes]:
    """Public and secret half. Raises ConfigError if it cannot be read, is no certificate, or others can read it."""
    public, secret = _load(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(f"{path}: mode {mode:04o} lets others read it; run: chmod 600 {path}")
    if secret is None:
        raise ConfigError(f"{path}: no secret key in it; make keys with: cavs-stream keys --out DIR")
    return public, secret


def load_public(path: Path) -> bytes:
    """Raises ConfigError if it cannot be read or is no certificate."""
    return _load(path)[0]


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except OSError as error:
        reason = error.strerror or "no such file"
        raise ConfigError(f"key {path}: {reason}; make keys with: cavs-stream keys --out DIR") from None
    except (ValueError, UnicodeError):
        raise ConfigError(f"key {path}: not a CURVE certificate; make keys with: cavs-stream keys --out DIR") from None
    for key in (public, secret):
        if key is not None and len(key) != 40:
            raise ConfigError(f"key {path}: {len(key)} characters, 40 expected; make keys with: cavs-stream keys --out DIR")
    return public, secret
