"""The keys of a fleet on a machine's disk: its own, and those that it trusts.

DIR/signing.key       private half of this machine's key: whoever reads it can sign as this machine
DIR/signing.pub       public half, one line: give it to those who shall trust this machine
DIR/trusted/NAME.pub  public keys whose signatures count here; whoever may write there decides what this robot runs
"""

import os
import re
import stat
from pathlib import Path

from cavs.runtime.errors import FleetError
from cavs.runtime.signing import SigningKey, TrustedKey, new_private_key, public_line, read_private_key, read_public_key

PRIVATE_KEY, PUBLIC_KEY, TRUSTED, SUFFIX = "signing.key", "signing.pub", "trusted", ".pub"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
KEY_MAX_BYTES = 10_000
"""A key has some hundred bytes."""
OTHERS_READ, OTHERS_WRITE = 0o077, 0o022


def default_keys_path() -> Path:
    """`cavs/fleet` in the user's configuration directory (XDG)."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "cavs" / "fleet"


def make_signing_key(directory: Path, name: str) -> str:
    """Makes this machine's key; its public line. Raises FleetError if there is one: it is never overwritten."""
    _check_name(name)
    key, pem = new_private_key()
    line = key.public_line(name)
    _write_new(directory / PRIVATE_KEY, pem, 0o600, "there is a key and it is never overwritten; choose another --keys DIR")
    _write_new(directory / PUBLIC_KEY, line.encode(), 0o644, "there is a key and it is never overwritten; remove it first")
    return line.strip()


def load_signing_key(directory: Path) -> SigningKey:
    """This machine's key. Raises FleetError if it is missing, no such key, or readable by others."""
    path = directory / PRIVATE_KEY
    pem = _read(path, "make one with: cavs-models keygen")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS_READ:
        raise FleetError(f"{path}: mode {mode:04o} lets others read it; run: chmod 600 {path}")
    return read_private_key(pem, str(path))


def trust(directory: Path, key: str, name: str | None = None) -> TrustedKey:
    """Lets the signatures of a key count. Raises FleetError if it is no key, or the name is taken.

    key:  the line of a public key, or a file that holds it.
    name: what to call it here; the comment at the end of its line if none.
    """
    is_line = key.startswith("ssh-")
    text = key if is_line else _read(Path(key), "a file NAME.pub or its line was expected").decode(errors="replace")
    words = text.split()
    name = name or (words[2] if len(words) > 2 else "")
    trusted = read_public_key(text, name, "KEY" if is_line else key)
    _check_name(name)
    line = public_line(trusted.public, name)
    taken = "there is a trusted key of that name; choose another --name, or first: cavs-models distrust " + name
    _write_new(directory / TRUSTED / f"{name}{SUFFIX}", line.encode(), 0o644, taken)
    return trusted


def distrust(directory: Path, name: str) -> None:
    """Takes a trusted key away. Raises FleetError if there is none of that name."""
    _check_name(name)
    path = directory / TRUSTED / f"{name}{SUFFIX}"
    try:
        path.unlink()
    except OSError as error:
        there = ", ".join(key.name for key in load_trusted(directory)) or "none"
        raise FleetError(f"{path}: {error.strerror}; trusted are: {there}") from error


def load_trusted(directory: Path) -> tuple[TrustedKey, ...]:
    """All trusted keys, by name. Raises FleetError for one that cannot be read, or that others could have put there."""
    folder = directory / TRUSTED
    if not folder.is_dir():
        return ()
    _check_writers(directory)
    _check_writers(folder)
    keys = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        text = _read(path, "make it readable or remove it").decode(errors="replace")
        _check_writers(path)
        keys.append(read_public_key(text, path.stem, str(path)))
    return tuple(keys)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise FleetError(f"name {name!r}: up to 64 letters, digits, '.', '_' and '-' expected, no dot first; give --name NAME")


def _check_writers(path: Path) -> None:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & OTHERS_WRITE:
        raise FleetError(f"{path}: mode {mode:04o} lets others say whom to trust; run: chmod go-w {path}")
    if status.st_uid not in {os.geteuid(), 0}:
        raise FleetError(f"{path}: belongs to user {status.st_uid}, who could say whom to trust; own it yourself")


def _read(path: Path, remedy: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(KEY_MAX_BYTES)
    except OSError as error:
        raise FleetError(f"key {path}: {error.strerror}; {remedy}") from error


def _write_new(path: Path, content: bytes, mode: int, taken: str) -> None:
    """A file of that mode from its first moment, in directories of our own; what is there is never touched."""
    try:
        for directory in reversed(path.parents):
            directory.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise FleetError(f"{path}: {taken}") from None
        raise FleetError(f"{error.filename or path}: cannot write the key: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise FleetError(f"{path}: cannot write the key: {error.strerror}") from error
