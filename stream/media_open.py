"""Opens a file or a network stream with PyAV, and says in one line why it cannot."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import av
import av.container
import av.error
import av.format
import av.stream

from cavs.runtime.errors import MediaLost

TIMEOUT_S = 5.0
"""How long a network source may take to open, and to send the next packet."""

NETWORK_SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
PUSHED_SCHEMES = ("rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")
"""Here the sender sets the pace; over http and tcp a reader that waits slows the sender down."""

TEXT_DEMUXERS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
"""FFmpeg paints any text file as a picture of a terminal. Nobody means that."""
UNTIMED_DEMUXERS = frozenset({"mjpeg", "mpjpeg"})
"""Motion JPEG carries no time; FFmpeg makes one up from a frame rate it guesses."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where media lies, taken apart once. `label` is for people: a file's name, or the address without its password."""

    url: str
    label: str
    scheme: str

    @property
    def network(self) -> bool:
        return self.scheme != ""

    @property
    def pushed(self) -> bool:
        """The sender sets the pace."""
        return self.scheme in PUSHED_SCHEMES


@dataclass(slots=True)
class Opened:
    """An open container with its picture, and its sound if it has any."""

    container: av.container.InputContainer
    video: av.VideoStream
    sound: av.AudioStream | None

    @property
    def duration_ns(self) -> int | None:
        """What the container claims; None for something without an end."""
        duration = self.container.duration
        return duration * 1000 if duration and duration > 0 else None

    @property
    def clock_jumps(self) -> bool:
        """The format allows its time stamps to jump (MPEG-TS)."""
        return bool(av.format.Flags(self.container.format.flags) & av.format.Flags.ts_discont)

    @property
    def untimed(self) -> bool:
        return self.container.format.name in UNTIMED_DEMUXERS


def place_of(text: str) -> Place:
    """Takes a path or URL apart. Raises MediaLost for a scheme that is not known."""
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Place("file:" + text, Path(text).name or text, "")
    scheme = scheme.lower()
    if scheme == "file":
        return place_of(text.partition("://")[2])
    if scheme not in NETWORK_SCHEMES:
        known = ", ".join(NETWORK_SCHEMES)
        raise MediaLost(f"{text}: scheme {scheme!r} is not known; give a file or one of {known}")
    parts = urlsplit(text)
    return Place(text, urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), scheme)


def open_media(place: Place, timeout_s: float = TIMEOUT_S) -> Opened:
    """Opens it and finds the picture and the sound. timeout_s: for a network. Raises MediaLost with one line."""
    if not place.network:
        _check_file(Path(place.url.removeprefix("file:")))
    try:
        timeout = (timeout_s, timeout_s) if place.network else None
        container = av.open(place.url, options=_options(place.scheme), timeout=timeout, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaLost(f"{place.label}: {_why_not(error, place, timeout_s)}") from None
    try:
        return Opened(container, _picture_of(container, place), next(iter(container.streams.audio), None))
    except MediaLost:
        container.close()
        raise


def _options(scheme: str) -> dict[str, str]:
    if scheme not in PUSHED_SCHEMES:
        return {}
    # Little looking ahead before the first frame: what is live must be fresh. Not `nobuffer`: that throws away what was looked
    # at, and with it the key frame that a server begins with; the next one may be many seconds away.
    options = {"probesize": "500000", "analyzeduration": "700000"}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # UDP loses packets on any Wi-Fi, and a lost packet is a torn picture
    if scheme in ("udp", "rtp"):
        options |= {"overrun_nonfatal": "1", "fifo_size": "50000"}
    return options


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise MediaLost(f"{path}: no such file; check the path (seen from {os.getcwd()})") from None
    except OSError as error:
        raise MediaLost(f"{path}: {error.strerror}; a readable file expected") from None
    if stat.S_ISDIR(found.st_mode):
        raise MediaLost(f"{path}: a directory seen, a file with picture and sound expected")
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise MediaLost(f"{path}: an empty file (0 bytes) seen, a video expected; was the copy interrupted?")
    if not os.access(path, os.R_OK):
        raise MediaLost(f"{path}: may not be read; check its permissions")


def _why_not(error: Exception, place: Place, timeout_s: float) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, av.error.HTTPError | av.error.HTTPClientError):
        return f"the server answered {text.removeprefix('Server returned ')}; check the address"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the server running, is the port right?"
    if isinstance(error, TimeoutError | av.error.ExitError):
        return f"no answer for {timeout_s:g} s; is the sender running, is a firewall between?"
    if isinstance(error, av.error.ProtocolNotFoundError | av.error.OptionNotFoundError):
        return f"this build of FFmpeg cannot do {place.scheme}; {text}"
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return f"not a video that FFmpeg can read ({text}); MP4, MKV, MPEG-TS or the like expected, is it torn?"
    return f"cannot be opened ({text})"


def _picture_of(container: av.container.InputContainer, place: Place) -> av.VideoStream:
    if container.format.name in TEXT_DEMUXERS:
        raise MediaLost(f"{place.label}: a text file seen, a video expected")
    covers = av.stream.Disposition.attached_pic
    pictures = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not pictures:
        kinds = sorted({str(stream.type) for stream in container.streams if stream not in container.streams.video}) or [
            "nothing"
        ]
        raise MediaLost(f"{place.label}: no picture, only {' and '.join(kinds)}; a video with sound expected")
    picture: av.VideoStream = pictures[0]
    if picture.codec_context is None:
        raise MediaLost(f"{place.label}: its picture is in a format that this build of FFmpeg cannot decode")
    return picture
