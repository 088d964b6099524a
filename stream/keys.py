"""Keys for a stream that others on the network may see: made, written so that only their owner reads them, and loaded.

DIR/server.key_secret     stays with the stream: cavs-stream --keys DIR
DIR/server.key            its public half
DIR/allowed/NAME.key      public keys of the clients that may subscribe; remove one to shut a client out
DIR/clients/NAME/         what client NAME needs: client.key_secret and server.key; copy it to the client's machine
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from cavs.runtime.command import CommandParser
from cavs.runtime.curve import CLIENT, PUBLIC, SECRET, SERVER, load_public, load_secret
from cavs.runtime.errors import ConfigError

ALLOWED, CLIENTS = "allowed", "clients"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What a publisher needs: its own pair and where the public keys of its clients lie."""

    public: bytes
    secret: bytes
    allowed: Path


def make_keys(out: Path, client: str) -> Path:
    """Makes a client's keys and, the first time, the server's. Returns the client's directory.

    Raises ConfigError if the client exists (nothing is ever overwritten) or `out` cannot be written.
    """
    if not _NAME.fullmatch(client) or client.startswith("."):
        raise ConfigError(f"client name {client!r}: letters, digits, '.', '_' and '-' expected, 64 at most")
    home = out / CLIENTS / client
    if home.exists() or (out / ALLOWED / f"{client}{PUBLIC}").exists():
        raise ConfigError(f"{home}: keys of client {client!r} exist and are never overwritten; choose another --client NAME")
    try:
        for directory in (out, out / ALLOWED, out / CLIENTS):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (out / f"{SERVER}{SECRET}").exists():
            _make_pair(out, SERVER, public=out / f"{SERVER}{PUBLIC}", secret=out / f"{SERVER}{SECRET}")
        home.mkdir(mode=0o700)
        _make_pair(out, CLIENT, public=out / ALLOWED / f"{client}{PUBLIC}", secret=home / f"{CLIENT}{SECRET}")
        shutil.copyfile(out / f"{SERVER}{PUBLIC}", home / f"{SERVER}{PUBLIC}")
    except FileExistsError as error:
        raise ConfigError(f"{error.filename2 or error.filename}: exists and is never overwritten") from None
    except OSError as error:
        raise ConfigError(f"{error.filename or out}: cannot write keys: {error.strerror}") from None
    return home


def load_server_keys(directory: Path) -> ServerKeys:
    """Raises ConfigError if a key is missing, unreadable, or readable by others, or no client is allowed."""
    public, secret = load_secret(directory / f"{SERVER}{SECRET}")
    allowed = directory / ALLOWED
    clients = sorted(allowed.glob(f"*{PUBLIC}")) if allowed.is_dir() else []
    if not clients:
        raise ConfigError(f"{allowed}: no client key, so nobody could subscribe; run: cavs-stream keys --out {directory}")
    for path in clients:
        load_public(path)
    return ServerKeys(public, secret, allowed)


def _make_pair(near: Path, name: str, *, public: Path, secret: Path) -> None:
    """Made in a private directory first; a hard link puts each in place and fails if something is there."""
    with tempfile.TemporaryDirectory(dir=near, prefix=".making-") as private:
        for made, place in zip(zmq.auth.create_certificates(private, name), (public, secret), strict=True):
            os.chmod(made, 0o600)
            os.link(made, place)


def main(argv: list[str]) -> int:
    """cavs-stream keys"""
    parser = CommandParser(
        prog="cavs-stream keys",
        description="Makes the keys that a stream on a public address needs. Run it again to allow one more client.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory of the stream's keys")
    parser.add_argument("--client", default="viewer", metavar="NAME", help="name of the client to allow, default viewer")
    args = parser.parse_args(argv)
    home = make_keys(args.out, args.client)
    print(f"stream: cavs-stream --bind tcp://0.0.0.0:5555 --keys {args.out} ...")
    print(f"client: copy {home} to its machine, then: cavs-stream watch tcp://HOST:5555 --keys {home.name}")
    return 0
