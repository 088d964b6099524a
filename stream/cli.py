"""The command cavs-stream: runs the stream, or one of the small commands beside it."""

import argparse
import importlib
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from cavs.runtime.command import CommandParser, run_command
from cavs.runtime.errors import ConfigError
from cavs.stream.settings import DEFAULT_BIND, StreamSettings, read_settings, settings_from
from cavs.stream.source import CAPTURE_THREAD

COMMANDS = {
    "devices": ("cavs.stream.devices", "list cameras and microphones and what their time stamps are worth"),
    "calibrate": ("cavs.stream.calibrate", "measure the constant offset between a camera and a microphone with a clap"),
    "watch": ("cavs.stream.watch", "show the masks of a running stream, save them as a video"),
    "keys": ("cavs.stream.keys", "make the keys that a public address needs"),
    "doctor": ("cavs.stream.doctor", "say what works on this machine and what does not"),
}
"""Command -> module with `main(argv) -> int`, and its line in --help."""


def run_parser() -> argparse.ArgumentParser:
    """The parser of a run; every option is a setting of StreamSettings."""
    commands = "\n".join(f"  cavs-stream {name:<10} {line}" for name, (_, line) in COMMANDS.items())
    parser = CommandParser(
        prog="cavs-stream",
        description="Marks the pixels that make the sound and publishes the masks over ZeroMQ.",
        epilog=f"commands beside the stream (each has its own --help):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    _add_inputs(parser)
    _add_model(parser)
    _add_learning(parser)
    _add_output(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds")
    run.add_argument("--windows", type=int, metavar="N", help="stop after N published windows")
    run.add_argument(
        "--wait-for-watcher",
        dest="wait_for_watcher_s",
        type=float,
        metavar="S",
        help="begin when somebody subscribes, after S seconds at the latest",
    )
    run.add_argument("--report", type=Path, metavar="FILE.json", help="write counts, latencies and drift at the end")
    run.add_argument("--metrics", dest="metrics_port", type=int, metavar="PORT", help="serve Prometheus metrics")
    run.add_argument("--metrics-host", dest="metrics_host", metavar="HOST", help="address of the metrics, default 127.0.0.1")
    run.add_argument("--config", type=Path, metavar="FILE.json", help="settings to start from; flags win over them")
    run.add_argument("--print-config", action="store_true", help="print the settings as JSON and stop")
    run.add_argument("--quiet", action="store_true", help="no status line every few seconds")
    run.add_argument("--debug", action="store_true", help="print a traceback when something fails")
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("sight and sound (one of --camera, --source, --demo)")
    inputs.add_argument("--camera", metavar="CAMERA", help="number, /dev/videoN, /dev/v4l/by-id/..., or a GStreamer pipeline")
    inputs.add_argument(
        "--mic", metavar="MIC", help="microphone by number or part of its name; none: no sound. Default: the system's"
    )
    inputs.add_argument("--source", metavar="FILE|URL", help="a file, rtsp://, http:// or udp:// with picture and sound")
    inputs.add_argument("--demo", action="store_true", help="the demonstration clip in a loop, no hardware needed")
    inputs.add_argument("--loops", type=int, metavar="N", help="stop the demonstration after N rounds")
    pace = inputs.add_mutually_exclusive_group()
    pace.add_argument("--realtime", dest="rate", action="store_const", const="realtime", help="play a source as if live")
    pace.add_argument("--fast", dest="rate", action="store_const", const="fast", help="every frame of a file, nothing dropped")
    inputs.add_argument("--width", dest="width_px", type=int, metavar="PX", help="width asked of the camera")
    inputs.add_argument("--height", dest="height_px", type=int, metavar="PX", help="height asked of the camera")
    inputs.add_argument("--fps", type=float, metavar="HZ", help="frame rate asked of the camera")
    inputs.add_argument("--fourcc", metavar="CODE", help="pixel format asked of the camera, for example MJPG")
    inputs.add_argument(
        "--offset-ms",
        type=float,
        metavar="MS",
        help="constant camera/microphone offset; default: what cavs-stream calibrate stored",
    )
    inputs.add_argument(
        "--staleness-ms", type=float, metavar="MS", help="frames older than this are dropped and counted (live)"
    )
    inputs.add_argument("--sound-wait-ms", type=float, metavar="MS", help="how long a frame waits for its sound (live)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("the model")
    model.add_argument("--bundle", type=Path, metavar="DIR", help="a bundle; default: the one that is shipped")
    model.add_argument(
        "--store", type=Path, metavar="DIR", help="a model store whose current version is followed while running"
    )
    model.add_argument(
        "--engine",
        choices=["auto", "onnx", "tensorrt", "rtx", "rtx-ort"],
        help="default auto: a plan for the GPU if the bundle has one, else onnx; says what it chose and why",
    )
    model.add_argument("--threads", type=int, metavar="N", help="engine threads, default 2; 1 is better when a core is busy")
    model.add_argument(
        "--sound-threshold",
        dest="sound_threshold",
        type=float,
        metavar="P",
        help="probability above which a pixel sounds",
    )
    model.add_argument("--min-area", type=float, metavar="F", help="objects below this fraction of the picture are left out")
    model.add_argument(
        "--least-heard",
        type=float,
        metavar="P",
        help="nothing is marked by name while no class is heard with this probability, default 0.4; 0: whatever is heard",
    )


def _add_learning(parser: argparse.ArgumentParser) -> None:
    learning = parser.add_argument_group("learning while it runs")
    learning.add_argument(
        "--adapt",
        action="store_true",
        help="run the learner beside the stream, for cavs-adapt teach; without --store in your own store, made if need be",
    )
    learning.add_argument(
        "--control",
        metavar="ADDRESS",
        help="where the stream can be asked: ipc://PATH or tcp://HOST:PORT; none: nowhere. Default: in the --store",
    )
    learning.add_argument(
        "--recent-seconds", type=float, metavar="S", help="windows kept in memory for teaching, default the last 30 s"
    )
    learning.add_argument("--recent-mib", type=float, metavar="MIB", help="memory that they may take, default 48")


def _add_output(parser: argparse.ArgumentParser) -> None:
    wire = parser.add_argument_group("the wire")
    wire.add_argument("--bind", metavar="ADDRESS", help=f"tcp://HOST:PORT or ipc://PATH, default {DEFAULT_BIND}")
    wire.add_argument("--stream", metavar="NAME", help="name of the stream in the topic, default cavs")
    wire.add_argument("--encoding", choices=["bits+zstd", "rle", "raw"], help="how masks are packed")
    wire.add_argument(
        "--keys", type=Path, metavar="DIR", help="CURVE keys made by cavs-stream keys; needed for public addresses"
    )
    wire.add_argument("--no-preview", dest="preview", action="store_false", help="never send pictures and sound to watchers")


def settings_of(args: argparse.Namespace) -> StreamSettings:
    """Settings file first, flags over it, then the checks. Raises ConfigError."""
    values = vars(args).copy()
    for name in ("debug", "quiet", "print_config"):
        values.pop(name, None)
    config = values.pop("config", None)
    return settings_from({**(read_settings(config) if config is not None else {}), **values})


def _run(argv: list[str]) -> int:
    parser = run_parser()
    if not argv:
        parser.print_help()
        return 2
    args = parser.parse_args(argv)
    try:
        settings = settings_of(args)
    except ConfigError as error:
        parser.error(str(error))
    if getattr(args, "print_config", False):
        print(settings.to_json())
        return 0
    from cavs.stream.run import run  # heavy: opens the engine's library

    return run(settings, quiet=getattr(args, "quiet", False))


def main(argv: list[str] | None = None) -> int:
    """Entry point. 0 done, 1 the world failed (one line), 2 wrong use."""
    words = sys.argv[1:] if argv is None else argv
    return run_command("cavs-stream", lambda: _run_or_beside(words), debug="--debug" in words)


def _run_or_beside(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        module, _ = COMMANDS[argv[0]]
        return int(importlib.import_module(module).main(argv[1:]))
    return _run(argv)


def command() -> NoReturn:
    """The console script. A device that hangs in its driver must not take the exit code with it.

    PortAudio aborts the process if Python ends while a thread is inside it.
    """
    code = main()
    if any(thread.name.startswith(CAPTURE_THREAD) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    command()
