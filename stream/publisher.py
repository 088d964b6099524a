"""Masks leave the process here. One socket, one thread; nobody downstream can slow it down."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import zmq

from cavs.runtime.clock import NS_PER_MS, Clock
from cavs.runtime.engine import Prediction
from cavs.runtime.errors import ConfigError
from cavs.stream.address import check_address, clear_for_bind, is_public
from cavs.stream.curve_guard import CurveGuard
from cavs.stream.header import MAX_NAME, MAX_TEXT, STREAM_NAME, ClassPart, Hello, ModelPart, SoundFormat
from cavs.stream.items import Window
from cavs.stream.masks import HeardClass, Masks, ModelStamp, SoundingObject
from cavs.stream.payload import DEFAULT_ENCODING, Encoding, MaskPacker
from cavs.stream.preview import PreviewEncoder
from cavs.stream.wire import FRAME, HELLO, MASKS, Event, pack_event, pack_hello, pack_masks, pack_preview, topic

SEND_QUEUE = 4
"""Messages that wait for one subscriber; it loses what comes on top. Few, because an old mask is worth nothing."""
LAST_WORDS_MS = 100
"""How long closing waits for the last messages to leave; without it the `ended` event would not get out."""
LOSSLESS_WAIT_MS = 5000
"""How long a lossless publisher waits for a subscriber that does not read."""
HEARTBEAT_MS, HEARTBEAT_LOST_MS = 1000, 4000
SUBSCRIPTIONS_PER_CALL = 64
"""Subscriptions read per message sent, so that a flood of them cannot hold up the masks."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Publisher:
    """Binds an address and sends masks, hellos and events to whoever subscribes. Made, used and closed by one thread.

    bind:    tcp://HOST:PORT (PORT may be *: see `address`) or ipc://PATH.
    stream:  its name in the topics: letters, digits, `.`, `_` and `-`.
    keys:    directory made by `cavs-stream keys`: encrypts, and lets in only the clients that it allows at the moment.
    preview: from the first hello on, send pictures and sound to those who subscribe to them; it costs nothing without one.
    lossless: wait for subscribers that are slow (a file read fast), instead of dropping what they do not take.
    Raises ConfigError if the address is taken, cannot be written, or is public and there are no keys.
    """

    def __init__(
        self,
        bind: str,
        stream: str,
        *,
        clock: Clock,
        keys: Path | None = None,
        encoding: Encoding = DEFAULT_ENCODING,
        preview: bool = True,
        lossless: bool = False,
    ) -> None:
        if not STREAM_NAME.fullmatch(stream):
            raise ValueError(f"stream {stream!r}: 1 to 64 letters, digits, '.', '_' and '-' expected")
        check_address(bind)
        if is_public(bind) and keys is None:
            raise ConfigError(
                f"{bind} can be reached by other machines, so it needs keys: cavs-stream keys --out DIR, then --keys DIR"
            )
        self.stream = stream
        self._clock = clock
        self._packer = MaskPacker(encoding)
        self._preview = PreviewEncoder(stream) if preview else None
        self._lossless = lossless
        self.messages_dropped = 0
        """Lossless only: messages that some subscriber did not take in time. Live, they are not known."""
        self._masks_topic, self._hello_topic = topic(MASKS, stream), topic(HELLO, stream)
        self._frame_topic = topic(FRAME, stream)
        self._frame_wishes: set[bytes] = set()
        self._watched = False
        self._software = f"cavs-stream {version('cavs-stream')}"
        self._boot_id = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        self._last_hello: bytes | None = None
        self._sound: SoundFormat | None = None
        self.messages_sent = 0
        self.bytes_sent = 0
        self._context = zmq.Context()
        self._guard: CurveGuard | None = None
        self._socket = self._context.socket(zmq.XPUB)
        try:
            self._set_up(bind, keys)
            self._bind(bind)
        except BaseException:
            self.close()
            raise

    def publish(  # noqa: PLR0917  the way of a window, in order: cut, predicted, found, by which model, how fast
        self,
        window: Window,
        prediction: Prediction,
        objects: Sequence[SoundingObject],
        model: ModelStamp,
        stage_times: Mapping[str, float],
        counters: Mapping[str, int],
        *,
        heard: Sequence[HeardClass] = (),
        flags: Iterable[str] = (),
    ) -> None:
        """Sends the masks of one window. stage_times: ms by stage. flags: in addition to the window's own."""
        height, width = prediction.labels.shape
        frame = window.frame
        masks = Masks(
            stream=self.stream,
            seq=window.seq,
            t_ns=frame.t_ns,
            sent_ns=self._clock.now_ns(),
            height=height,
            width=width,
            source_height=frame.pixels.shape[0],
            source_width=frame.pixels.shape[1],
            sound_start_ns=window.sound_start_ns,
            sound_end_ns=window.sound_end_ns,
            model=model,
            objects=tuple(objects),
            heard=tuple(heard),
            sound_missing=window.missing,
            skew_ns=window.skew_ns,
            grade=frame.grade,
            sound_grade=window.sound_grade,
            counters={**counters, **self._own_counters()},
            latency_ms=stage_times,
            flags=window.flags.union(flags),
        )
        self._send(pack_masks(masks, self._packer))
        self._read_subscriptions()
        if self._preview is not None:
            if self._frame_wishes and self._sound is not None:
                self._preview.offer(window, self._sound.rate_hz)
            self._send_previews(self._preview)

    def hello(
        self,
        *,
        model: ModelStamp,
        classes: Mapping[int, str],
        size: tuple[int, int],
        source: tuple[int, int] | None,
        fps: float | None,
        sound: SoundFormat,
        health: Mapping[str, float | int | str | None],
    ) -> None:
        """Says who speaks; to be called once a second, windows or not. Numbers that are not finite go out as None."""
        hello = Hello(
            stream=self.stream,
            t_ns=self._clock.now_ns(),
            software=self._software,
            boot_id=self._boot_id,
            model=ModelPart(**asdict(model)),
            classes=[ClassPart(row=row, cls=name[:MAX_NAME]) for row, name in sorted(classes.items())],
            size=size,
            source=source,
            fps=None if fps is None or not math.isfinite(fps) else fps,
            sound=sound,
            encoding=self._packer.encoding,
            preview=self._preview is not None,
            health={name: _finite(value) for name, value in health.items()},
        )
        self._sound = sound
        self._last_hello = pack_hello(hello)
        self._send(self._last_hello)
        self._read_subscriptions()
        if self._preview is not None:
            self._send_previews(self._preview)

    def event(self, kind: str, subject: str, text: str, t_ns: int | None = None, thumb: bytes = b"") -> None:
        """Says that something changed: a model, a device. t_ns: when, now if None. thumb: a small JPEG."""
        when = self._clock.now_ns() if t_ns is None else t_ns
        self._send(pack_event(Event(self.stream, when, kind[:MAX_NAME], subject[:MAX_NAME], text[:MAX_TEXT], thumb)))

    def wait_for_watcher(self, timeout_ms: int) -> bool:
        """True as soon as somebody has subscribed to masks, False if nobody does within `timeout_ms`."""
        deadline_ns = self._clock.now_ns() + timeout_ms * NS_PER_MS
        self._read_subscriptions()
        while not self._watched:
            left_ms = (deadline_ns - self._clock.now_ns()) // NS_PER_MS
            if left_ms <= 0 or not self._socket.poll(left_ms, zmq.POLLIN):
                return False
            self._read_subscriptions()
        return True

    @property
    def address(self) -> str:
        """Where it is bound; with tcp port * the port that was found."""
        return str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))

    @property
    def encoding(self) -> Encoding:
        """How masks are packed."""
        return self._packer.encoding

    def close(self) -> None:
        """Sends what is ready and frees the address; idempotent. Does not wait for a subscriber that does not read."""
        try:
            if self._preview is not None:
                self._preview.close()
                if not self._socket.closed:
                    self._send_previews(self._preview)
        finally:
            lossless = self._lossless and not self.messages_dropped
            self._socket.close(linger=LOSSLESS_WAIT_MS if lossless else LAST_WORDS_MS)
            if self._guard is not None:
                self._guard.close()
                self._guard = None
            self._context.term()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _set_up(self, bind: str, keys: Path | None) -> None:
        options = {
            zmq.SNDHWM: SEND_QUEUE,
            zmq.LINGER: 0,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_LOST_MS,
            zmq.XPUB_VERBOSE: 1,  # a second subscriber's subscription shows, too: it is greeted with the last hello
            zmq.IPV6: int("[" in bind),
        }
        if self._lossless:
            options |= {zmq.XPUB_NODROP: 1, zmq.SNDTIMEO: LOSSLESS_WAIT_MS}
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        if keys is not None:
            self._guard = CurveGuard(self._context, keys, self._clock)
            self._guard.protect(self._socket)

    def _bind(self, bind: str) -> None:
        clear_for_bind(bind)
        try:
            self._socket.bind(bind.replace("tcp://localhost:", "tcp://127.0.0.1:"))  # zmq takes no host names here
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                raise ConfigError(f"{bind} is in use by another process; stop it or choose another --bind") from None
            raise ConfigError(f"cannot bind {bind}: {zmq.strerror(error.errno or 0).lower()}; choose another --bind") from None

    def _own_counters(self) -> dict[str, int]:
        """What is dropped here; it travels with the drops of the stages before."""
        own = {"messages_dropped": self.messages_dropped} if self._lossless else {}
        return own if self._preview is None else {**own, "previews_dropped": self._preview.dropped}

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except zmq.Again:  # lossless, and somebody does not read
            self.messages_dropped += 1
            self._socket.setsockopt(zmq.XPUB_NODROP, 0)
            return
        self.messages_sent += 1
        self.bytes_sent += len(message)

    def _read_subscriptions(self) -> None:
        """Learns who wants pictures, greets those who wait for a hello, cuts off those whose key was taken away."""
        if self._guard is not None:
            self._guard.step()
        greet = False
        for _ in range(SUBSCRIPTIONS_PER_CALL):
            if not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:  # asked first: an exception per window costs more
                break
            wish = self._socket.recv(zmq.NOBLOCK)
            subscribed, prefix = wish[:1] == b"\x01", wish[1:]
            self._watched = self._watched or (subscribed and self._masks_topic.startswith(prefix))
            greet = greet or (subscribed and self._hello_topic.startswith(prefix))
            # A subscription to everything is no wish for pictures: they cost more than all else.
            if self._frame_topic.startswith(prefix) and prefix.startswith(topic(FRAME)):
                (self._frame_wishes.add if subscribed else self._frame_wishes.discard)(prefix)
        if greet and self._last_hello is not None:
            self._send(self._last_hello)

    def _send_previews(self, encoder: PreviewEncoder) -> None:
        for preview in encoder.done():
            self._send(pack_preview(preview))


def _finite(value: float | int | str | None) -> float | int | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
