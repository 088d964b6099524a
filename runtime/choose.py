"""Which engine runs a bundle, and why."""

from dataclasses import dataclass

from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine
from cavs.runtime.errors import EngineError
from cavs.runtime.onnx_engine import OnnxEngine

WISHES = ("auto", "onnx", "tensorrt", "rtx")
"""What `--engine` takes."""

_NOT_YET = ("tensorrt", "rtx")


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Whether an engine can be used here, and why or why not."""

    name: str
    usable: bool
    text: str


def open_engine(bundle: Bundle, wish: str = "auto", threads: int | None = None) -> tuple[Engine, str]:
    """A warm engine for `bundle` and one line that says which it is and why.

    Raises EngineError if the wish cannot be met; another engine than the one asked for is never taken silently.
    """
    if wish not in WISHES:
        raise ValueError(f"engine must be one of {', '.join(WISHES)}, not {wish!r}")
    if wish in _NOT_YET:
        raise EngineError(f"engine {wish} is not in this version of cavs-stream; use --engine onnx or auto")
    engine = OnnxEngine(bundle, threads=threads)
    count = f"{engine.threads} thread{'s' if engine.threads > 1 else ''}"
    why = "asked for" if wish == "onnx" else "the only engine in this version"
    return engine, f"onnx: ONNX Runtime on the CPU, {count} ({why})"


def engine_reports() -> tuple[EngineReport, ...]:
    """Every engine by name, for `cavs-stream doctor`."""
    absent = (EngineReport(name, False, "not in this version of cavs-stream") for name in _NOT_YET)
    return (EngineReport("onnx", True, f"ONNX Runtime {OnnxEngine.version()} on the CPU"), *absent)
