"""Network sources on loopback: a file over HTTP, a live stream over UDP, a server that breaks off and comes back."""

import http.server
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cavs.runtime.errors import MediaLost
from cavs.stream.inbox import Inbox, Item
from cavs.stream.items import AudioBlock, SourceEvent, StampGrade, VideoFrame
from cavs.stream.media import MediaSource
from cavs.stream.source import Backoff, CaptureThread, EndOfSource
from tests.stream.clips import Clip, brightness, write_clip

RATE_HZ = 16_000
FLASH_S = 1.0


class FileServer(http.server.BaseHTTPRequestHandler):
    """One file, with ranges. `breaks`: who reads from the start is cut off in the middle; `endless`: no length is told."""

    data = b""
    breaks = False
    endless = False

    def do_GET(self) -> None:
        if self.path != "/clip":
            self.send_error(404)
            return
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and not self.endless else 0
        self.send_response(206 if start else 200)
        if not self.endless:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(self.data) - start))
            self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.end_headers()
        end = len(self.data) // 2 if self.breaks and start == 0 else len(self.data)
        with suppress(OSError):  # the reader has closed
            self.wfile.write(self.data[start:end])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the standard library's
        pass


@contextmanager
def served(data: bytes, *, breaks: bool = False, endless: bool = False) -> Iterator[str]:
    handler = type("Handler", (FileServer,), {"data": data, "breaks": breaks, "endless": endless})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/clip"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def source_of(url: str, rate: Any = None) -> MediaSource:
    return MediaSource(url, rate_hz=RATE_HZ, clock=MonotonicClock(), rate=rate)


def played(source: MediaSource) -> list[Item]:
    items: list[Item] = []
    source.open()
    try:
        while True:
            items += source.step()
    except EndOfSource:
        return items
    finally:
        source.close()


def captured(source: MediaSource, enough: Callable[[list[Item]], bool]) -> list[Item]:
    """What arrives through a capture thread that reconnects, until it is enough or ten seconds have passed."""
    clock = MonotonicClock()
    inbox = Inbox("drop_oldest", frame_capacity=1000, block_capacity_s=60)
    thread = CaptureThread(source, inbox, clock, Backoff(first_ms=50, longest_ms=100))
    thread.start()
    items: list[Item] = []
    end_ns = clock.now_ns() + 10 * NS_PER_S
    while not enough(items) and not inbox.ended and clock.now_ns() < end_ns:
        items += inbox.take(50 * NS_PER_MS)
    inbox.close()
    assert thread.stop()
    return items


def frames_of(items: list[Item]) -> list[VideoFrame]:
    return [item for item in items if isinstance(item, VideoFrame)]


def test_a_file_on_a_server_is_played_at_its_own_pace_to_its_end(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", Clip(seconds=1, sound_codec="flac"))
    clock = MonotonicClock()
    begin_ns = clock.now_ns()
    with served(clip.read_bytes()) as url:
        items = played(source_of(url))
    assert len(frames_of(items)) == 30
    assert clock.now_ns() - begin_ns > 0.95 * NS_PER_S


def test_a_file_on_a_server_can_be_processed_fast(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(seconds=20, fps=5))
    with served(clip.read_bytes()) as url:
        items = played(source_of(url, "fast"))
    assert [frame.index for frame in frames_of(items)] == list(range(100))


def test_a_page_that_is_not_there_is_refused() -> None:
    with served(b"") as url, pytest.raises(MediaLost, match="the server answered 404"):
        source_of(url.replace("/clip", "/nothing")).open()


def test_a_file_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", Clip(seconds=2, sound_codec="flac", width=640, height=480))
    with served(clip.read_bytes(), breaks=True) as url:
        items = captured(source_of(url), lambda items: False)
    assert [item.kind for item in items if isinstance(item, SourceEvent)] == ["lost", "recovered"]
    frames = frames_of(items)
    assert np.diff([frame.t_ns for frame in frames]).min() > 0
    assert np.diff([frame.index for frame in frames]).min() >= 1
    assert frames[-1].index == pytest.approx(59, abs=3)
    assert frames[-1].pixels.mean() == pytest.approx(brightness(59 / 30), abs=6)


def test_a_live_stream_whose_server_closes_is_opened_again(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", Clip(seconds=1, codec="libx264"))

    def back(items: list[Item]) -> bool:
        return sum(isinstance(item, SourceEvent) and item.kind == "recovered" for item in items) >= 2

    with served(clip.read_bytes(), endless=True) as url:
        items = captured(source_of(url), back)
    kinds = [item.kind for item in items if isinstance(item, SourceEvent)]
    assert kinds[:4] == ["lost", "recovered", "lost", "recovered"]
    frames = frames_of(items)
    assert np.diff([frame.t_ns for frame in frames]).min() > 0
    assert np.diff([frame.index for frame in frames]).min() == 1
    blocks = [item for item in items if isinstance(item, AudioBlock)]
    assert np.diff([block.first for block in blocks]).min() > 0


class UdpSender:
    """A camera that sends MPEG-TS as it happens: one flash with one beep, FLASH_S after it began."""

    def __init__(self, port: int, seconds: float) -> None:
        self._url = f"udp://127.0.0.1:{port}?pkt_size=1316"
        self._seconds = seconds
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> "UdpSender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _send(self) -> None:
        clock = MonotonicClock()
        with av.open(self._url, "w", format="mpegts", options={"muxdelay": "0", "muxpreload": "0"}) as out:
            video = out.add_stream("libx264", rate=30, options={"preset": "ultrafast", "tune": "zerolatency", "g": "15"})
            sound = out.add_stream("aac", rate=48_000)
            assert isinstance(video, av.VideoStream)
            assert isinstance(sound, av.AudioStream)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound.layout = "mono"
            begin_ns = clock.now_ns()
            for number in range(round(self._seconds * 30)):
                clock.sleep_ns(begin_ns + number * NS_PER_S // 30 - clock.now_ns())
                bright = FLASH_S <= number / 30 < FLASH_S + 0.2
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 250 if bright else 10, np.uint8), format="rgb24")
                frame.pts = number
                out.mux(video.encode(frame))
                t_s = (number * 1600 + np.arange(1600)) / 48_000
                wave = np.where((t_s >= FLASH_S) & (t_s < FLASH_S + 0.2), 0.8 * np.sin(2 * np.pi * 2000 * t_s), 0)
                block = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
                block.sample_rate, block.pts = 48_000, number * 1600
                out.mux(sound.encode(block))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_live_stream_over_udp_is_fresh_and_synchronous() -> None:
    port = free_port()
    clock = MonotonicClock()
    source = source_of(f"udp://127.0.0.1:{port}")
    assert source.live
    given: list[tuple[int, Item]] = []
    with UdpSender(port, 3.0):
        source.open()
        while not given or clock.now_ns() - given[0][0] < 1.2 * NS_PER_S:
            given += [(clock.now_ns(), item) for item in source.step()]
        source.close()
    frames = [(at_ns, item) for at_ns, item in given if isinstance(item, VideoFrame)]
    blocks = [item for _, item in given if isinstance(item, AudioBlock)]
    assert {frame.grade for _, frame in frames} == {StampGrade.B}
    late_ms = np.array([(at_ns - frame.t_ns) / NS_PER_MS for at_ns, frame in frames])
    assert late_ms.min() >= 0
    flash_ns = next(frame.t_ns for _, frame in frames if frame.pixels.mean() > 128)
    loud = next(block for block in blocks if np.abs(block.samples).max() > 0.3)
    beep_ns = loud.t_ns + int(np.flatnonzero(np.abs(loud.samples) > 0.3)[0]) * NS_PER_S // RATE_HZ
    assert beep_ns == pytest.approx(flash_ns, abs=5 * NS_PER_MS)


def test_a_sender_that_is_not_there_is_said() -> None:
    silent = MediaSource(f"udp://127.0.0.1:{free_port()}", rate_hz=RATE_HZ, clock=MonotonicClock(), timeout_s=0.3)
    with pytest.raises(MediaLost, match=r"no answer for 0\.3 s"):
        silent.open()


def test_a_sender_that_stops_is_lost() -> None:
    port = free_port()
    source = MediaSource(f"udp://127.0.0.1:{port}", rate_hz=RATE_HZ, clock=MonotonicClock(), timeout_s=1.5)
    with UdpSender(port, 1.5):
        source.open()
    with pytest.raises(MediaLost, match="nothing received any more; is the sender running"):
        played_on(source)


def played_on(source: MediaSource) -> None:
    for _ in range(10_000):
        source.step()
