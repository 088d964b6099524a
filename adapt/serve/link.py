"""The learner's two lines to its stream: it listens to what is published, and asks over the control socket.

A stream that is not there, or goes and comes back, is no error: the learner works without one, and says what it then cannot do.
"""

from collections.abc import Iterator
from pathlib import Path

from cavs.adapt.serve.listening import Heard, HeardHello, Listening
from cavs.runtime.clock import NS_PER_S, Clock
from cavs.runtime.control import IPC, ControlClient
from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson_windows import Windows

ASK_TIMEOUT_MS = 3000
ASK_AGAIN_NS = 10 * NS_PER_S
"""Between two tries to find out where a stream publishes."""
SILENT_NS = 4 * NS_PER_S
"""Without a hello for so long there is no stream: it says one each second."""


class Link:
    """One stream. One thread.

    control: address of its control socket; None: nothing can be asked. listen: where it publishes; None: it is asked.
    """

    def __init__(self, control: str | None, clock: Clock, *, listen: str | None = None, keys: Path | None = None) -> None:
        self._clock = clock
        self._keys = keys
        self._client = None if control is None else ControlClient(control, keys=keys, timeout_ms=ASK_TIMEOUT_MS)
        self._listening = None if listen is None else Listening(listen, keys=keys)
        self._fixed = listen is not None
        self._asked_ns = clock.now_ns() - ASK_AGAIN_NS
        self._hello_ns: int | None = None
        self.why_not = "no control address was given" if control is None else "the stream was not asked yet"
        """Why the last question was not answered."""

    @property
    def alive(self) -> bool:
        """Whether the stream said hello just now."""
        return self._hello_ns is not None and self._clock.now_ns() - self._hello_ns < SILENT_NS

    def hear(self) -> Iterator[Heard]:
        """What was published since the last call."""
        if not self.alive and not self._fixed:
            self._find()
        for heard in self._listening.drain() if self._listening is not None else ():
            if isinstance(heard, HeardHello):
                self._hello_ns = self._clock.now_ns()
            yield heard

    def recent(self, seconds: float, most: int) -> Windows | None:
        """The stream's last windows; None if it cannot be asked, `why_not` says why."""
        if self._client is None:
            return None
        try:
            return self._client.recent(seconds, most)[0]
        except ControlRefused as error:
            self.why_not = str(error)
            return None

    def say(self, kind: str, subject: str, text: str, thumb: bytes | None = None) -> bool:
        """Has the stream publish an event; False if it cannot be asked. Nothing waits for a stream that is not there."""
        if self._client is None or not self.alive:
            return False
        try:
            self._client.say(kind, subject, text, thumb)
        except ControlRefused as error:
            self.why_not = str(error)
            return False
        return True

    def close(self) -> None:
        """Idempotent."""
        for end in (self._client, self._listening):
            if end is not None:
                end.close()

    def _find(self) -> None:
        """Asks where the stream publishes, now and then; one that started again may publish elsewhere."""
        now_ns = self._clock.now_ns()
        if self._client is None or now_ns - self._asked_ns < ASK_AGAIN_NS or not _may_answer(self._client.address):
            return
        self._asked_ns = now_ns
        try:
            address = self._client.status().get("publishes")
        except ControlRefused as error:
            self.why_not = str(error)
            return
        if not isinstance(address, str):
            self.why_not = "the stream does not say where it publishes; give its address with --listen"
        elif self._listening is None or self._listening.address != address:
            if self._listening is not None:
                self._listening.close()
            self._listening = Listening(address, keys=self._keys)


def _may_answer(address: str) -> bool:
    """False for a local socket that is not there: no need to wait for its answer."""
    return not address.startswith(IPC) or Path(address.removeprefix(IPC)).exists()
