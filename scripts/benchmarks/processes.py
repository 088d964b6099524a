"""Programs that a benchmark starts, and a tap on what they publish."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import zmq

from benchmarks.quantiles import CLOCK
from cavs.runtime.clock import NS_PER_S

SCRIPTS = Path(__file__).resolve().parents[1]
START_S = 60.0
END_S = 20.0
POLL_MS = 50
RECONNECT_MS = 10
"""A tap tries this often to reach a program that is still starting."""
KIB_PER_MIB = 1024


class BenchmarkFailed(Exception):
    """A program of a benchmark did not do what is to be measured; its last words are in the text."""


@contextmanager
def program(module: str, *argv: str, log: Path, python: str = sys.executable) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs `python -m module`; ends it with the block if it has not ended by itself. What it says goes to `log`."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    with log.open("wb") as said:
        process = subprocess.Popen([python, "-m", module, *argv], stdout=said, stderr=said, env=environment, cwd=SCRIPTS)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def end(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Asks it to end, and raises BenchmarkFailed if it does not, or not well."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    check(process, log)


def check(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until it has ended by itself."""
    try:
        code = process.wait(END_S)
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"{log.stem}: still running after {END_S:g} s; {last_words(log)}") from None
    if code:
        raise BenchmarkFailed(f"{log.stem}: exit code {code}; {last_words(log)}")


def last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def wait_for_line(process: "subprocess.Popen[bytes]", log: Path, begins: str) -> str:
    """The rest of the first line of its log that begins so."""
    end_ns = CLOCK.now_ns() + round(START_S * NS_PER_S)
    while CLOCK.now_ns() < end_ns:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(begins):
                return line.removeprefix(begins).strip()
        if process.poll() is not None:
            break
        CLOCK.sleep_ns(POLL_MS * 1_000_000)
    raise BenchmarkFailed(f"{log.stem}: no line {begins!r}; {last_words(log)}")


def peak_rss_mib(process: "subprocess.Popen[bytes]") -> float:
    """Largest resident size so far, of the program alone: ru_maxrss begins with that of the process that started it."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / KIB_PER_MIB, 1)
    raise BenchmarkFailed(f"process {process.pid} has no VmHWM; Linux is needed for this benchmark")


def rss_mib(process: psutil.Process) -> float:
    return round(float(process.memory_info().rss) / 2**20, 2)


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came, and when."""

    parts: list[bytes]
    t_ns: int


class Tap:
    """Receives everything under a topic, undecoded, so that measuring costs the machine little."""

    def __init__(self, address: str, topic: bytes = b"") -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        for option, value in ((zmq.RCVHWM, 0), (zmq.LINGER, 0), (zmq.RECONNECT_IVL, RECONNECT_MS)):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._socket.connect(address)

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def receive(self, timeout_ms: int) -> Received | None:
        """The next message, or None."""
        if not self._socket.poll(timeout_ms):
            return None
        parts = self._socket.recv_multipart()
        return Received(parts, CLOCK.now_ns())

    def first(self, process: "subprocess.Popen[bytes]", log: Path) -> Received:
        """The first message of a program that was just started."""
        end_ns = CLOCK.now_ns() + round(START_S * NS_PER_S)
        while CLOCK.now_ns() < end_ns and process.poll() is None:
            if (message := self.receive(POLL_MS)) is not None:
                return message
        raise BenchmarkFailed(f"{log.stem}: no message came; {last_words(log)}")

    def until(self, over: Callable[[], bool]) -> list[Received]:
        """Everything until it is over and nothing more comes."""
        messages = []
        while True:
            finished = over()
            message = self.receive(POLL_MS)
            if message is not None:
                messages.append(message)
            elif finished:
                return messages

    def during(self, seconds: float) -> list[Received]:
        """Everything within so many seconds from now."""
        end_ns = CLOCK.now_ns() + round(seconds * NS_PER_S)
        messages = []
        while (left_ms := (end_ns - CLOCK.now_ns()) // 1_000_000) > 0:
            if (message := self.receive(left_ms)) is not None:
                messages.append(message)
        return messages
