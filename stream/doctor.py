"""`cavs-stream doctor`: can the main job run here, what is missing and which command brings it."""

import glob
import importlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from cavs.runtime.bundle import default_bundle_path, read_bundle
from cavs.runtime.command import CommandParser
from cavs.runtime.errors import CavsError

State = Literal["ok", "missing", "broken"]
LEAST_MEMORY_MIB = 500
"""The live process takes about 300 MiB with the default bundle; below this the kernel may kill it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `needed` says that the main job (a file or camera in, masks out) cannot run without it."""

    name: str
    state: State
    seen: str
    todo: str = ""
    needed: bool = False


def _module(name: str, module: str, todo: str, *, needed: bool = False, distribution: str | None = None) -> Finding:
    try:
        importlib.import_module(module)
    except ImportError as error:
        return Finding(name, "missing", str(error), todo, needed)
    except OSError as error:  # a shared library that does not load
        return Finding(name, "broken", str(error), todo, needed)
    version = importlib.metadata.version(distribution or module)
    return Finding(name, "ok", version, needed=needed)


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.machine()}", needed=True)


def _onnx_runtime() -> Finding:
    found = _module("engine onnx", "onnxruntime", "pip install onnxruntime", needed=True)
    if found.state != "ok":
        return found
    import onnxruntime

    providers = ", ".join(p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers())
    return Finding("engine onnx", "ok", f"onnxruntime {onnxruntime.__version__} ({providers})", needed=True)


def _gpu_engine(name: str) -> Finding:
    try:
        from cavs.runtime.choose import engine_reports  # needs onnxruntime, whose absence has a line of its own
    except ImportError as error:
        return Finding(f"engine {name}", "missing", str(error), "pip install onnxruntime")
    report = next(report for report in engine_reports() if report.name == name)
    if report.usable:
        return Finding(f"engine {name}", "ok", report.text)
    return Finding(f"engine {name}", "missing", report.text, "the onnx engine is used")


def _jetpack() -> Finding:
    release = Path("/etc/nv_tegra_release")
    if not release.exists():
        return Finding("jetpack", "missing", "not a Jetson (no /etc/nv_tegra_release)")
    first = release.read_text(errors="replace").splitlines()[0]
    todo = "JetPack 6 goes with TensorRT 10.x from the system, JetPack 7.2.2 and newer with 11.x: see docs/jetson.md"
    return Finding("jetpack", "ok", first, todo)


def _opencv() -> Finding:
    found = _module("opencv", "cv2", "pip install opencv-python-headless", needed=True, distribution=_opencv_distribution())
    if found.state != "ok":
        return found
    import cv2

    back_ends = {"V4L2": cv2.CAP_V4L2, "GStreamer": cv2.CAP_GSTREAMER}
    has = {name: cv2.videoio_registry.hasBackend(number) for name, number in back_ends.items()}
    said = ", ".join(f"{key} {'yes' if there else 'no'}" for key, there in has.items())
    todo = "" if has["GStreamer"] else "GStreamer pipelines (Jetson CSI cameras) need the system's cv2: see docs/jetson.md"
    return Finding("opencv", "ok", f"{cv2.__version__} ({said})", todo, needed=True)


def _opencv_distribution() -> str:
    for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    return "numpy"  # a cv2 of the system has no distribution; the version shown comes from cv2 itself


def _microphone() -> Finding:
    todo = "apt-get install portaudio19-dev python3-dev gcc && pip install 'cavs-stream[mic]'"
    found = _module("microphones", "pyaudio", todo, distribution="PyAudio")
    if found.state != "ok":
        return found
    sound_cards = Path("/proc/asound/cards")
    cards = sound_cards.read_text(errors="replace").strip() if sound_cards.exists() else ""
    if not cards or "no soundcards" in cards:
        return Finding(
            "microphones", "missing", f"PyAudio {found.seen}, no ALSA card", "cavs-stream devices lists sound servers"
        )
    return Finding("microphones", "ok", f"PyAudio {found.seen}; cavs-stream devices --probe says what its stamps are worth")


def _cameras() -> Finding:
    paths = sorted(glob.glob("/dev/video*"))
    if not paths:
        return Finding("cameras", "missing", "no /dev/video*", "plug one in, or use --source or --demo")
    shut = [path for path in paths if not os.access(path, os.R_OK | os.W_OK)]
    if shut:
        return Finding(
            "cameras",
            "broken",
            f"{', '.join(shut)} not readable by this user",
            "sudo usermod -aG video $USER, log in again",
        )
    return Finding("cameras", "ok", ", ".join(paths))


def _memory() -> Finding:
    free_mib = psutil.virtual_memory().available // 2**20
    if free_mib < LEAST_MEMORY_MIB:
        return Finding("memory", "broken", f"{free_mib} MiB free", f"at least {LEAST_MEMORY_MIB} MiB expected", needed=True)
    return Finding("memory", "ok", f"{free_mib} MiB free", needed=True)


def look_at_bundle(path: Path) -> Finding:
    """Reads the whole bundle, as a run does."""
    try:
        bundle = read_bundle(path)
    except CavsError as error:
        return Finding("default bundle", "broken", str(error), "reinstall cavs-stream, or give --bundle", needed=True)
    names = ", ".join(entry.name for entry in bundle.manifest.classes)
    return Finding("default bundle", "ok", f"{bundle.manifest.id[:12]}: {names}", needed=True)


def _wire() -> Finding:
    found = _module("zeromq", "zmq", "pip install pyzmq", needed=True, distribution="pyzmq")
    if found.state != "ok":
        return found
    import zmq

    curve = "with CURVE" if zmq.has("curve") else "without CURVE: public addresses cannot be bound"
    return Finding("zeromq", "ok", f"pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}, {curve}", needed=True)


LOOKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _onnx_runtime,
    lambda: _gpu_engine("tensorrt"),
    lambda: _gpu_engine("rtx"),
    lambda: _gpu_engine("rtx-ort"),
    _jetpack,
    _opencv,
    lambda: _module("media files", "av", "pip install av", needed=True),
    _microphone,
    _cameras,
    _wire,
    _memory,
    lambda: look_at_bundle(default_bundle_path()),
)


def examine() -> list[Finding]:
    """Looks at everything, one finding each; never raises for what is missing."""
    return [look() for look in LOOKS]


def can_run(findings: list[Finding]) -> bool:
    """True if nothing that the main job needs is missing or broken."""
    return all(finding.state == "ok" for finding in findings if finding.needed)


def main(argv: list[str]) -> int:
    """Prints the findings; exit code 0 if the main job can run, else 1."""
    parser = CommandParser(prog="cavs-stream doctor", description="Say what works here and what does not.")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    args = parser.parse_args(argv)
    findings = examine()
    able = can_run(findings)
    if args.json:
        json.dump({"can_run": able, "findings": [asdict(finding) for finding in findings]}, sys.stdout, indent=2)
        print()
        return 0 if able else 1
    table = Table(box=None, pad_edge=False)
    for column in ("what", "state", "seen", "to do"):
        table.add_column(column, overflow="fold")
    colours = {"ok": "green", "missing": "yellow", "broken": "red"}
    for finding in findings:
        table.add_row(finding.name, f"[{colours[finding.state]}]{finding.state}[/]", finding.seen, finding.todo)
    console = Console()
    console.print(table)
    console.print("the main job can run here" if able else "the main job cannot run here: see the lines that are not ok")
    return 0 if able else 1
