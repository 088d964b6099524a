"""cavs-stream devices: cameras and microphones of this machine, and what their time stamps are worth."""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from cavs.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cavs.runtime.command import CommandParser
from cavs.runtime.errors import MicrophoneLost, SourceError
from cavs.stream.camera import CameraSource
from cavs.stream.camera_device import can_capture, holders_of
from cavs.stream.inbox import Item
from cavs.stream.items import AudioBlock, VideoFrame
from cavs.stream.microphone import MicrophoneSource
from cavs.stream.microphone_device import Microphone, default_microphone, microphones, start_portaudio
from cavs.stream.source import Source

PROBE_S = 5.0
"""Long enough for a microphone's stamps to be believed."""
PROBE_RATE_HZ = 16_000
PROBE_LIMIT_S = 45.0
"""A device that has not answered by then hangs in its driver; opening a camera alone may take 20 s."""
SYS_CAMERAS = Path("/sys/class/video4linux")
BY_ID = Path("/dev/v4l/by-id")

GRADES = {
    "A": "made by the driver on our clock",
    "B": "converted from another clock",
    "C": "the moment of reading",
}


@dataclass(frozen=True, slots=True)
class CameraFound:
    """A V4L2 node that can capture. stable: its link that survives a restart, to be preferred over the number."""

    node: str
    name: str
    stable: str | None
    held_by: list[str]
    stamps: str | None = None
    mode: str | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class MicrophoneFound:
    """An input of PortAudio."""

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int
    default: bool
    stamps: str | None = None
    trouble: str | None = None


def cameras(sys_cameras: Path = SYS_CAMERAS, by_id: Path = BY_ID) -> list[CameraFound]:
    """The nodes that the kernel knows and that give pictures; also those that may not be asked."""
    links = {link.resolve().name: str(link) for link in sorted(by_id.glob("*"))} if by_id.is_dir() else {}
    found = []
    for entry in sorted(sys_cameras.glob("video*"), key=_number):
        node = f"/dev/{entry.name}"
        if can_capture(node) is False:  # a camera has a second node, for its metadata
            continue
        found.append(CameraFound(node, _text(entry / "name") or "?", links.get(entry.name), holders_of(node)))
    return found


def sound_inputs(audio: Any) -> list[MicrophoneFound]:
    """The microphones that PortAudio lists."""
    default = default_microphone(audio)
    return [_found(mic, mic.index == default) for mic in microphones(audio)]


Found = TypeVar("Found", CameraFound, MicrophoneFound)


def probed_apart(found: Found, limit_s: float = PROBE_LIMIT_S, python: str = sys.executable) -> Found:
    """The same as `probed_camera` and `probed_microphone`, in a process of its own.

    A driver that crashes or hangs then costs no more than its own line; some of ALSA's virtual devices crash PortAudio.
    """
    device = found.node if isinstance(found, CameraFound) else str(found.index)
    try:
        ran = subprocess.run([python, "-m", __name__, "--probe-one", device], capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return replace(found, trouble=f"no answer for {limit_s:g} s; its driver hangs")
    if ran.returncode < 0:
        return replace(found, trouble=f"its driver crashed ({signal.Signals(-ran.returncode).name}); choose another")
    try:
        return replace(found, **json.loads(ran.stdout))
    except (ValueError, TypeError):
        last = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return replace(found, trouble=" ".join(last) or "the probe said nothing")


def _probe_one(device: str, clock: Clock) -> dict[str, str | None]:
    if device.startswith("/"):
        camera = probed_camera(CameraFound(device, "", None, []), clock)
        return {"stamps": camera.stamps, "mode": camera.mode, "trouble": camera.trouble}
    mic = probed_microphone(MicrophoneFound(int(device), "", "", 0, 0, default=False), clock)
    return {"stamps": mic.stamps, "trouble": mic.trouble}


def probed_camera(camera: CameraFound, clock: Clock) -> CameraFound:
    """The camera after a few seconds of frames: its mode and the grade of its stamps."""
    source = CameraSource(camera.node, clock=clock)
    try:
        items = _listen(source, clock)
    except SourceError as error:
        return replace(camera, trouble=str(error))
    grades = [item.grade.value for item in items if isinstance(item, VideoFrame)]
    return replace(camera, stamps=grades[-1] if grades else None, mode=str(source.mode) if source.mode else None)


def probed_microphone(found: MicrophoneFound, clock: Clock) -> MicrophoneFound:
    """The microphone after a few seconds of blocks: the grade of its stamps."""
    try:
        items = _listen(MicrophoneSource(str(found.index), rate_hz=PROBE_RATE_HZ, clock=clock), clock)
    except SourceError as error:
        return replace(found, trouble=str(error))
    grades = [item.grade.value for item in items if isinstance(item, AudioBlock)]
    return replace(found, stamps=grades[-1] if grades else None, trouble=None if grades else f"silent for {PROBE_S:g} s")


def _found(mic: Microphone, default: bool) -> MicrophoneFound:
    return MicrophoneFound(mic.index, mic.name, mic.host_api, mic.channels, mic.rate_hz, default)


def _listen(source: Source, clock: Clock) -> list[Item]:
    items: list[Item] = []
    try:
        source.open()
        end_ns = clock.now_ns() + round(PROBE_S * NS_PER_S)
        while clock.now_ns() < end_ns or not items:
            items += source.step()
    finally:
        source.close()
    return items


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(entry: Path) -> int:
    return int("".join(filter(str.isdigit, entry.name)) or 0)


def _worth(grade: str | None) -> str:
    return "not measured" if grade is None else f"{grade}: {GRADES[grade]}"


def _camera_table(found: Sequence[CameraFound]) -> Table:
    table = Table("--camera", "name", "stable name", "held by", "mode", "time stamps", title="Cameras", title_justify="left")
    for camera in found:
        stamps = camera.trouble or _worth(camera.stamps)
        table.add_row(
            camera.node, camera.name, camera.stable or "-", ", ".join(camera.held_by) or "-", camera.mode or "-", stamps
        )
    return table


def _microphone_table(found: Sequence[MicrophoneFound]) -> Table:
    table = Table("--mic", "name", "by", "channels", "rate", "time stamps", title="Microphones", title_justify="left")
    for mic in found:
        name = f"{mic.name} (default)" if mic.default else mic.name
        stamps = mic.trouble or _worth(mic.stamps)
        table.add_row(str(mic.index), name, mic.host_api, str(mic.channels), f"{mic.rate_hz} Hz", stamps)
    return table


def main(argv: list[str] | None = None) -> int:
    """Prints what is there. 0 also if there is nothing: that is an answer."""
    parser = CommandParser(
        prog="cavs-stream devices", description="Lists cameras and microphones, and what their time stamps are worth."
    )
    parser.add_argument("--probe", action="store_true", help=f"open each for {PROBE_S:g} s and measure its time stamps")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--probe-one", metavar="DEVICE", help=argparse.SUPPRESS)  # what a process of its own does for --probe
    args = parser.parse_args(argv)
    if args.probe_one is not None:
        print(json.dumps(_probe_one(args.probe_one, MonotonicClock())))
        return 0
    seen, heard, no_sound = cameras(), [], None
    try:
        audio = start_portaudio()
        heard = sound_inputs(audio)
        audio.terminate()
    except MicrophoneLost as error:
        no_sound = str(error)
    if args.probe:
        seen, heard = [probed_apart(camera) for camera in seen], [probed_apart(mic) for mic in heard]
    if args.json:
        everything = {"cameras": [asdict(c) for c in seen], "microphones": [asdict(m) for m in heard], "no_sound": no_sound}
        print(json.dumps(everything, indent=2))
        return 0
    print_tables(seen, heard, no_sound)
    return 0


def print_tables(seen: Sequence[CameraFound], heard: Sequence[MicrophoneFound], no_sound: str | None) -> None:
    """For people. no_sound: why there is no list of microphones."""
    console = Console(file=sys.stdout)
    if seen:
        console.print(_camera_table(seen))
    else:
        console.print("Cameras: none (no /dev/video* that the kernel knows). --source plays a file or a stream, --demo a clip.")
    if heard:
        console.print(_microphone_table(heard))
    else:
        console.print(f"Microphones: none. {no_sound or 'PortAudio lists no input; --mic none goes without.'}", soft_wrap=True)
    measured = any(camera.stamps for camera in seen) or any(mic.stamps for mic in heard)
    if (seen or heard) and not measured:
        console.print("cavs-stream devices --probe measures what the time stamps are worth.")


if __name__ == "__main__":
    sys.exit(main())
