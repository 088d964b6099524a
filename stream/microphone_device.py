"""PortAudio through PyAudio: finding a microphone, opening it as it likes best, keeping the libraries quiet."""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cavs.runtime.errors import MicrophoneLost

INSTALL = "sudo apt-get install portaudio19-dev && pip install 'cavs-stream[mic]'"
BLOCK_MS = 20
CLOSE_S = 0.5
"""How long closing waits for PortAudio, which hangs on some devices that have gone."""

Callback = Callable[[bytes | None, int, dict[str, float], int], tuple[None, int]]

_ALSA_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
_JACK_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_NO_ALSA_WORD = _ALSA_HANDLER(lambda *_: None)  # kept for ever: the libraries call them as long as they live
_NO_JACK_WORD = _JACK_HANDLER(lambda _: None)


@dataclass(frozen=True, slots=True)
class Microphone:
    """An input device as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int

    def __str__(self) -> str:
        return f"{self.index} {self.name!r} ({self.host_api}, {self.channels} ch, {self.rate_hz} Hz)"


def start_portaudio() -> Any:
    """A PyAudio object. Raises MicrophoneLost with the command that installs what is missing."""
    try:
        import pyaudio
    except ImportError as error:
        raise MicrophoneLost(f"a microphone needs PyAudio ({error}); {INSTALL}; or --mic none") from None
    _silence_libraries()
    try:
        return pyaudio.PyAudio()
    except OSError as error:
        raise MicrophoneLost(
            f"PortAudio does not start ({error}); is a sound system installed? --mic none goes without"
        ) from None


def microphones(audio: Any) -> list[Microphone]:
    """The input devices that PortAudio sees."""
    found = []
    for index in range(audio.get_device_count()):
        seen = audio.get_device_info_by_index(index)
        if seen["maxInputChannels"] > 0:
            host_api = audio.get_host_api_info_by_index(seen["hostApi"])["name"]
            rate_hz = round(seen["defaultSampleRate"])
            found.append(Microphone(index, str(seen["name"]), str(host_api), int(seen["maxInputChannels"]), rate_hz))
    return found


def choose(found: list[Microphone], wanted: str | None, default_index: int | None) -> Microphone:
    """The microphone by number, by name, or by part of its name; None: the system's default.

    Raises MicrophoneLost if there is none, or more than one.
    """
    if not found:
        raise MicrophoneLost("no microphone found; plug one in, start the sound server, or give --mic none")
    if wanted is None:
        return next((mic for mic in found if mic.index == default_index), found[0])
    if wanted.isdecimal():
        fitting = [mic for mic in found if mic.index == int(wanted)]
    else:
        exact = [mic for mic in found if mic.name == wanted]
        fitting = exact or [mic for mic in found if wanted.casefold() in mic.name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(str(mic) for mic in (fitting or found))
    if fitting:
        raise MicrophoneLost(f"microphone {wanted!r}: {len(fitting)} fit, one expected; choose by number: {listed}")
    raise MicrophoneLost(f"microphone {wanted!r}: none fits; there are: {listed}")


def default_microphone(audio: Any) -> int | None:
    """Index of the system's own choice; None if it has none."""
    try:
        return int(audio.get_default_input_device_info()["index"])
    except OSError:
        return None


@dataclass(slots=True)
class OpenMicrophone:
    """A running stream of 16-bit blocks."""

    audio: Any
    stream: Any
    microphone: Microphone
    rate_hz: int
    channels: int
    block_frames: int

    @property
    def running(self) -> bool:
        return bool(self.stream.is_active())

    def close(self) -> None:
        """Stops it. In a thread of its own: what hangs in PortAudio is left behind."""
        thread = threading.Thread(target=self._close, name="closing the microphone", daemon=True)
        thread.start()
        thread.join(CLOSE_S)

    def _close(self) -> None:
        try:
            self.stream.close()
        finally:
            self.audio.terminate()


def open_microphone(
    wanted: str | None, rate_hz: int, callback_for: Callable[[int, int], Callback], start: Callable[[], Any] = start_portaudio
) -> OpenMicrophone:
    """Opens a microphone and starts it.

    Asked for in this order: its own rate (so that nobody resamples behind our back), the rate we need, the usual ones; one
    channel, two, all it has. callback_for(channels, block_frames) makes the function that takes the blocks.
    """
    audio = start()
    try:
        microphone = choose(microphones(audio), wanted, default_microphone(audio))
        return _opened(audio, microphone, rate_hz, callback_for)
    except BaseException:
        audio.terminate()
        raise


def _opened(audio: Any, microphone: Microphone, rate_hz: int, callback_for: Callable[[int, int], Callback]) -> OpenMicrophone:
    refusal: Exception | None = None
    for rate in dict.fromkeys((microphone.rate_hz, rate_hz, 48_000, 44_100, 16_000)):
        for channels in dict.fromkeys((1, min(2, microphone.channels), microphone.channels)):
            block_frames = rate * BLOCK_MS // 1000
            try:
                stream = audio.open(
                    rate=rate,
                    channels=channels,
                    format=_int16(),
                    input=True,
                    input_device_index=microphone.index,
                    frames_per_buffer=block_frames,
                    stream_callback=callback_for(channels, block_frames),
                )
            except (OSError, ValueError) as error:
                refusal = error
                continue
            return OpenMicrophone(audio, stream, microphone, rate, channels, block_frames)
    busy = "unavailable" in str(refusal).casefold()
    hint = "is another process holding it?" if busy else "is it still plugged in? cavs-stream devices lists what is there"
    raise MicrophoneLost(f"microphone {microphone}: cannot be opened ({refusal}); {hint}")


def _int16() -> int:
    import pyaudio

    return int(pyaudio.paInt16)


def _silence_libraries() -> None:
    """ALSA and JACK print a page about devices that nobody asked for; our errors say what matters."""
    for library, function, handler in (
        ("libasound.so.2", "snd_lib_error_set_handler", _NO_ALSA_WORD),
        ("libjack.so.0", "jack_set_error_function", _NO_JACK_WORD),
        ("libjack.so.0", "jack_set_info_function", _NO_JACK_WORD),
    ):
        try:
            getattr(ctypes.CDLL(library), function)(handler)
        except (OSError, AttributeError):  # not on this machine: then it does not print either
            continue
