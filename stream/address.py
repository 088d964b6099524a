"""Where a stream can be published: what an address means, and what stands in its way, said before ZeroMQ says it badly."""

import errno
import ipaddress
import os
import socket
import stat

from cavs.runtime.errors import ConfigError

TCP, IPC = "tcp://", "ipc://"
_HOST_LENGTH_LIMIT = 253


def check_address(address: str) -> None:
    """Raises ConfigError unless it is tcp://HOST:PORT or ipc://PATH."""
    if address.startswith(IPC) and len(address) > len(IPC):
        return
    host, _, port = address.removeprefix(TCP).rpartition(":")
    valid_port = port == "*" or (port.isascii() and port.isdigit() and int(port) <= 65535)
    if not address.startswith(TCP) or not host or len(host) > _HOST_LENGTH_LIMIT or not valid_port:
        raise ConfigError(f"address {address!r}: tcp://HOST:PORT or ipc://PATH expected, for example tcp://127.0.0.1:5555")


def is_public(address: str) -> bool:
    """True if machines other than this one may reach it. A name that is not plainly this machine counts as public."""
    if not address.startswith(TCP):
        return False
    host = address.removeprefix(TCP).rpartition(":")[0].strip("[]")
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def clear_for_bind(address: str, option: str = "--bind") -> None:
    """Makes sure that binding an ipc address takes nothing away from anybody.

    ZeroMQ removes whatever lies at the path. A socket that a killed process left is fine; a socket somebody listens on and
    a plain file are not, nor is a directory that cannot be written. Raises ConfigError that names the option.
    """
    path = address.removeprefix(IPC)
    if not address.startswith(IPC) or path.startswith("@"):  # @: Linux's abstract names, no file
        return
    parent = os.path.dirname(path) or "."
    if not os.path.isdir(parent):
        raise ConfigError(f"{address}: directory {parent} does not exist; make it or choose another {option}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{address}: directory {parent} cannot be written; choose another {option}")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{address}: {error.strerror}; choose another {option}") from None
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{address}: {path} exists and is no socket; it is not removed, choose another {option}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                return
            raise ConfigError(f"{address}: {error.strerror}; choose another {option}") from None
    raise ConfigError(f"{address}: another process listens there; stop it or choose another {option}")
