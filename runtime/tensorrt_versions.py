"""What differs between the TensorRTs that we speak, and how each is imported. All other files speak to all of them alike.

native: TensorRT 10.3 (JetPack 6) to 11.x. A plan is made for one version and one GPU, on that GPU.
rtx:    TensorRT for RTX 1.7. A plan is made without a GPU for a list of them; the GPU's driver finishes it at first use.
"""

import ctypes
import importlib
import importlib.util
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from cavs.runtime.errors import EngineError

Target = Literal["native", "rtx"]

ENGINE_NAMES: dict[Target, str] = {"native": "tensorrt", "rtx": "rtx"}
"""What each is called on the wire and by `--engine`."""

INSTALL: dict[Target, str] = {
    "native": "pip install 'cavs-stream[tensorrt]' (on a Jetson JetPack brings it: docs/jetson.md)",
    "rtx": "pip install 'cavs-stream[rtx]'",
}

ERRORS_KEPT = 4
"""Of what TensorRT said, in an error of ours: the first ones name the cause."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What one release has that another has not.

    runtime_config:   contexts are made from a configuration (`ICudaEngine.create_runtime_config`).
    runtime_cache:    kernels are compiled on the device at first use, and can be kept (`IRuntimeCache`).
    chosen_sm:        the builder is told the compute capabilities and needs no GPU.
    timing_cache:     the builder times kernels on the GPU and can keep the timings.
    asks_capturable:  a context can say whether its work may be captured in a CUDA graph.
    """

    runtime_config: bool
    runtime_cache: bool
    chosen_sm: bool
    timing_cache: bool
    asks_capturable: bool


class _Row(NamedTuple):
    target: Target
    since: tuple[int, int]
    until: tuple[int, int]
    """The first version that was never looked at."""
    differences: Differences


TABLE = (
    _Row("native", (10, 3), (11, 0), Differences(False, False, False, True, False)),
    _Row("native", (11, 0), (12, 0), Differences(True, False, False, True, False)),
    _Row("rtx", (1, 7), (2, 0), Differences(True, True, True, False, True)),
)
"""From the signatures of 10.3.0, 11.4.0 and RTX 1.7.1 (tests/runtime/signatures)."""


@dataclass(frozen=True, slots=True)
class Library:
    """An imported TensorRT. `module` is its Python module: it has no types of its own, hence Any."""

    target: Target
    module: Any
    version: str
    differences: Differences

    @property
    def name(self) -> str:
        """`tensorrt` or `rtx`."""
        return ENGINE_NAMES[self.target]

    def dtype_name(self, dtype: Any) -> str:
        """A tensor's dtype as the manifest writes it."""
        name = str(dtype.name)
        return {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16"}.get(name, name.lower())


def differences(target: Target, version: str) -> Differences:
    """What this release has. Raises EngineError for one that we do not speak."""
    number = _number(version)
    for row in TABLE:
        if row.target == target and row.since <= number < row.until:
            return row.differences
    spoken = " or ".join(f"{since[0]}.{since[1]} to {until[0] - 1}.x" for name, since, until, _ in TABLE if name == target)
    raise EngineError(
        f"engine {ENGINE_NAMES[target]}: version {version} is installed, {spoken} was expected; {INSTALL[target]}"
    )


def load_library(target: Target) -> Library:
    """Imports it. Raises EngineError with the command that installs it."""
    try:
        module = _import_rtx() if target == "rtx" else importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise EngineError(f"engine {ENGINE_NAMES[target]}: {error}; {INSTALL[target]}") from error
    version = str(module.__version__)
    return Library(target, module, version, differences(target, version))


def make_logger(library: Library, hear: Callable[[str, str], None] | None = None) -> Any:
    """A logger of TensorRT's kind that keeps the first errors in `.errors`; `hear(severity, text)` gets every message."""
    module = library.module

    class Listener(module.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=ERRORS_KEPT)

        def log(self, severity: Any, msg: str) -> None:
            if severity.name in ("ERROR", "INTERNAL_ERROR") and len(self.errors) < ERRORS_KEPT:
                self.errors.append(" ".join(msg.split()))
            if hear is not None:
                hear(severity.name, msg)

    return Listener()


def said(logger: Any) -> str:
    """What it heard go wrong, as the end of a line."""
    return "; ".join(logger.errors) or "TensorRT gave no reason"


def _number(version: str) -> tuple[int, int]:
    parts = version.split(".")
    return int(parts[0]), int(parts[1])


def _import_rtx() -> ModuleType:
    """The vendor's whole package, or the bindings with the libraries that ONNX Runtime's plugin brings."""
    if importlib.util.find_spec("tensorrt_rtx") is not None:
        return importlib.import_module("tensorrt_rtx")
    plugin = importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx")
    if plugin is not None and plugin.submodule_search_locations:
        folder = Path(plugin.submodule_search_locations[0])
        for name in ("libtensorrt_rtx", "libtensorrt_onnxparser_rtx"):  # the parser needs the symbols of the first
            for library in sorted(folder.glob(f"{name}.so.*.*"))[-1:]:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    return importlib.import_module("tensorrt_rtx_bindings")
