"""On what the numbers were measured: processor, system, versions, and how busy the machine was."""

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output

import psutil

PACKAGES = ("cavs-stream", "numpy", "onnxruntime", "opencv-python-headless", "av", "pyzmq", "soxr", "zstandard", "msgpack")
ROOT = Path(__file__).resolve().parents[2]


def machine_facts() -> dict[str, object]:
    """Everything that is needed to say why another machine measures something else."""
    return {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "os": _system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "packages": {name: _version(name) for name in PACKAGES},
        "load_before": load(),
    }


def load() -> list[float]:
    """Load average of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _commit() -> str:
    try:
        commit = check_output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], text=True, stderr=DEVNULL).strip()
        changed = check_output(["git", "-C", str(ROOT), "status", "--porcelain"], text=True, stderr=DEVNULL).strip()
    except (OSError, CalledProcessError):
        return "unknown"
    return f"{commit} and uncommitted changes" if changed else commit


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
