"""Addresses: which are taken, which are public, and that binding takes nothing away from anybody."""

import os
import socket
from pathlib import Path

import pytest

from cavs.runtime.errors import ConfigError
from cavs.stream.address import check_address, clear_for_bind, is_public


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:5555", "tcp://*:5555", "tcp://[::1]:1", "tcp://robot.local:*", "ipc:///tmp/x", "ipc://@name"]
)
def test_tcp_and_ipc_addresses_are_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "5555", "tcp://", "tcp://host", "tcp://:5555", "tcp://h:x", "tcp://h:70000", "ipc://", "udp://h:1", "http://h:1"],
)
def test_anything_else_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ConfigError, match=r"for example tcp://127\.0\.0\.1:5555"):
        check_address(address)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("tcp://127.0.0.1:5555", False),
        ("tcp://127.8.8.8:5555", False),
        ("tcp://localhost:5555", False),
        ("tcp://[::1]:5555", False),
        ("ipc:///tmp/x", False),
        ("tcp://*:5555", True),
        ("tcp://0.0.0.0:5555", True),
        ("tcp://[::]:5555", True),
        ("tcp://192.168.1.5:5555", True),
        ("tcp://eth0:5555", True),
        ("tcp://localhost.example:5555", True),
    ],
)
def test_only_what_is_plainly_this_machine_is_not_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_socket_that_a_killed_process_left_does_not_hinder(tmp_path: Path) -> None:
    path = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    clear_for_bind(f"ipc://{path}")
    assert path.exists()


def test_a_socket_that_somebody_listens_on_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "busy"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        with pytest.raises(ConfigError, match="another process listens there"):
            clear_for_bind(f"ipc://{path}")


def test_a_plain_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("three years of work")
    with pytest.raises(ConfigError, match="exists and is no socket"):
        clear_for_bind(f"ipc://{path}")
    assert path.read_text() == "three years of work"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        clear_for_bind(f"ipc://{tmp_path}/nowhere/masks")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        clear_for_bind(f"ipc://{tmp_path}/masks")
