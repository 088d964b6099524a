"""The learner's process beside the stream: started, started again when it dies, ended with the stream."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.stream.items import SourceEvent
from cavs.stream.source import Backoff

LOOK_NS = 200 * NS_PER_MS
STEADY_NS = 60 * NS_PER_S
"""A learner that ran for so long is started again without a pause, as if for the first time."""
BACKOFF = Backoff(first_ms=1000, longest_ms=60_000)
STOP_S = 5.0
"""What it has to write its state; it survives being killed, too."""
LINE_CHARS_MAX = 300

LearnerCommand = Callable[[Path, str, Path | None], list[str]]
"""Store, address of the control socket, client's keys -> what is run."""
EVENT_KIND = SUBJECT = "learner"


def learner_command(store: Path, control: str, keys: Path | None = None) -> list[str]:
    """What is run. keys: directory `clients/NAME`, if the stream has keys."""
    command = [sys.executable, "-m", "cavs.adapt.cli", "serve", str(store), "--control", control]
    return command if keys is None else [*command, "--keys", str(keys)]


class Supervisor:
    """Keeps one process running. `step` looks after it; a thread calls it, or a test.

    command: what to run. It ends with this process, however that ends. Its words on stderr pass through.
    say:     takes an event when it dies.
    """

    def __init__(
        self, command: Sequence[str], clock: Clock, say: Callable[[SourceEvent], bool], *, backoff: Backoff = BACKOFF
    ) -> None:
        self._command = list(command)
        self._clock = clock
        self._say = say
        self._backoff = backoff
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._last_words = ""
        self._started_ns = 0
        self._due_ns = clock.now_ns()
        self._deaths_in_row = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.restarts = 0

    def state(self) -> dict[str, Any]:
        """Whether it lives, its process, how often it was started again. Any thread."""
        process = self._process
        alive = process is not None and process.returncode is None
        return {"alive": alive, "pid": process.pid if alive and process is not None else None, "restarts": self.restarts}

    def start(self) -> None:
        """Looks after it in a thread. The process belongs to that thread: it is ended when the thread is gone."""
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Starts it if it is time to, notes its death if it died."""
        now_ns = self._clock.now_ns()
        if self._process is None:
            if now_ns >= self._due_ns:
                self._spawn(now_ns)
        elif self._process.poll() is not None:
            self._note_death(self._process, now_ns)

    def stop(self) -> None:
        """Asks it to end, waits a little, kills it. Idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S + STOP_S)
            self._thread = None
        else:
            self._end()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            self._stopping.wait(LOOK_NS / NS_PER_S)
        self._end()

    def _spawn(self, now_ns: int) -> None:
        tethered = [sys.executable, "-m", "cavs.stream.tether", str(os.getpid()), *self._command]
        try:
            self._process = subprocess.Popen(
                tethered,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is for the stream, which then ends it in order
            )
        except OSError as error:  # no memory, no more processes: later there may be
            self._last_words = error.strerror or str(error)
            self._tell_death("could not be started", now_ns)
            return
        self._started_ns = now_ns
        self._last_words = ""
        self._reader = threading.Thread(target=self._pass_words, args=(self._process,), name="learner words", daemon=True)
        self._reader.start()

    def _pass_words(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None, "it was opened with a pipe"
        with process.stderr as words:
            for line in words:
                sys.stderr.write(line)
                sys.stderr.flush()
                self._last_words = line.strip() or self._last_words

    def _note_death(self, process: "subprocess.Popen[str]", now_ns: int) -> None:
        if self._reader is not None:
            self._reader.join(1.0)
        self._process = None
        if now_ns - self._started_ns >= STEADY_NS:
            self._deaths_in_row = 0
        code = process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self._tell_death(how, now_ns)

    def _tell_death(self, how: str, now_ns: int) -> None:
        pause_ns = self._backoff.pause_ns(self._deaths_in_row)
        self._deaths_in_row += 1
        self.restarts += 1
        self._due_ns = now_ns + pause_ns
        words = f" ({self._last_words[:LINE_CHARS_MAX]})" if self._last_words else ""
        text = f"the learner {how}{words}; it is started again in {pause_ns / NS_PER_S:g} s, the stream goes on"
        self._say(SourceEvent(EVENT_KIND, SUBJECT, text, now_ns))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
