"""cavs-stream as a user starts it: a process with a command line, signals, exit codes and a report."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.stream.masks import Masks
from cavs.stream.subscriber import Subscriber
from cavs.stream.wire import Event
from tests.clips import write_clip

WAIT_S = 60
WAIT_MS = 30_000


@contextmanager
def started(*argv: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "cavs.stream.cli", *argv]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", seconds=4.0, sounding_s=(0.0, 4.0))


def test_sigterm_ends_a_live_run_with_exit_0_and_the_report_written(tiny_bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    address, report = f"ipc://{tmp_path}/wire", tmp_path / "report.json"
    argv = ("--source", str(clip), "--realtime", "--bundle", str(tiny_bundle.root), "--bind", address)
    with (
        started(*argv, "--report", str(report), "--wait-for-watcher", "20") as process,
        Subscriber(address, timeout_ms=WAIT_MS) as subscriber,
    ):
        assert next(iter(subscriber)).seq >= 0
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    written = json.loads(report.read_text())
    assert written["ended"] == "stopped by SIGTERM"
    assert written["windows_published"] >= 1
    assert written["model"]["bundle"] == tiny_bundle.id
    assert set(written["latency_ms"]) == {"capture", "align", "infer", "decode", "publish", "end_to_end"}


def test_a_file_read_fast_reaches_a_slow_subscriber_whole(tiny_bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/wire"
    argv = ("--source", str(clip), "--fast", "--bundle", str(tiny_bundle.root), "--bind", address)
    seen: list[int] = []
    with (
        started(*argv, "--wait-for-watcher", "20", "--quiet") as process,
        Subscriber(address, newest_only=False, kinds=("masks", "event"), timeout_ms=WAIT_MS) as subscriber,
    ):
        for message in subscriber.messages():
            if isinstance(message, Masks):
                seen.append(message.seq)
            elif isinstance(message, Event) and message.kind == "ended":
                break
        assert process.wait(WAIT_S) == 0
    assert seen == list(range(120))


def test_a_bind_address_in_use_is_one_line_and_exit_1(tiny_bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/wire"
    argv = ("--source", str(clip), "--realtime", "--bundle", str(tiny_bundle.root), "--bind", address, "--quiet")
    with (
        started(*argv, "--wait-for-watcher", "20") as first,
        Subscriber(address, timeout_ms=WAIT_MS) as subscriber,
    ):
        next(iter(subscriber))
        with started(*argv) as second:
            _, err = second.communicate(timeout=WAIT_S)
        first.send_signal(signal.SIGINT)
        assert first.wait(WAIT_S) == 0
    assert second.returncode == 1
    assert err.count("\n") == 1
    assert "another process listens there" in err


def test_a_run_ends_by_itself_after_so_many_windows(tiny_bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    argv = ("--source", str(clip), "--fast", "--bundle", str(tiny_bundle.root), "--bind", f"ipc://{tmp_path}/wire")
    with started(*argv, "--windows", "17", "--report", str(report), "--quiet") as process:
        assert process.wait(WAIT_S) == 0
    assert json.loads(report.read_text())["windows_published"] == 17
