"""The CUDA runtime as an engine needs it, through cuda-python: every failure is an EngineError with the call and its text."""

import importlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.runtime.errors import EngineError
from cavs.runtime.manifest import TensorSpec

ALIGNMENT_BYTES = 256
"""Of every tensor inside a block: what cudaMalloc itself gives."""
PAGE_BYTES = 4096
NON_BLOCKING_STREAM = 1
DEFAULT_REGISTRATION = 0
NO_GRAPH_FLAGS = 0

Bytes = npt.NDArray[np.uint8]


class Cuda:
    """Calls into `cuda.bindings.runtime`. Thread-safe as far as CUDA is; everything happens on device 0.

    Raises EngineError if cuda-python is not installed.
    """

    def __init__(self, runtime: Any = None) -> None:
        self._runtime = runtime if runtime is not None else _import_runtime()

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls one function; what it gives back besides its status, or None."""
        status, *values = getattr(self._runtime, name)(*arguments)
        if int(status):
            raise EngineError(f"{name}: {self._text(status)}")
        return values[0] if len(values) == 1 else tuple(values) or None

    def member(self, enumeration: str, name: str) -> Any:
        """A member of one of its enumerations."""
        return getattr(getattr(self._runtime, enumeration), name)

    def device_sm(self) -> str:
        """Compute capability of the device, for example `86`. Raises EngineError if there is none."""
        if not self.call("cudaGetDeviceCount"):
            raise EngineError("cudaGetDeviceCount: no CUDA device on this machine")
        major, minor = (
            self.call("cudaDeviceGetAttribute", self.member("cudaDeviceAttr", f"cudaDevAttrComputeCapability{part}"), 0)
            for part in ("Major", "Minor")
        )
        return f"{major}{minor}"

    def versions(self) -> tuple[str, str | None]:
        """Of the runtime and of the driver, as `13.0`; None for a driver that is not there."""
        runtime, driver = self.call("cudaRuntimeGetVersion"), self.call("cudaDriverGetVersion")
        return _dotted(runtime), _dotted(driver) if driver else None

    def free_memory_mib(self) -> float:
        """Device memory that nobody uses."""
        free, _ = self.call("cudaMemGetInfo")
        return float(free) / (1 << 20)

    def _text(self, status: Any) -> str:
        _, text = self._runtime.cudaGetErrorString(status)
        readable = text.decode() if isinstance(text, bytes) else text
        return f"{readable} (CUDA error {int(status)})"


def _import_runtime() -> Any:
    for module in ("cuda.bindings.runtime", "cuda.cudart"):  # the second is what cuda-python 12.6.0 calls it
        with suppress(ImportError):
            return importlib.import_module(module)
    raise EngineError("cuda-python is not installed; pip install 'cavs-stream[tensorrt]' or 'cavs-stream[rtx]'")


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each tensor lies in one block of bytes. A block is copied with one call, however many tensors it holds."""

    places: Mapping[str, tuple[int, TensorSpec]]
    """name -> (offset in bytes, what it is)."""
    size_bytes: int

    @classmethod
    def of(cls, specs: Iterable[TensorSpec]) -> "Layout":
        places, end = {}, 0
        for spec in specs:
            places[spec.name] = (end, spec)
            size = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
            end += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return cls(places, end)

    def views(self, block: Bytes) -> dict[str, npt.NDArray[Any]]:
        """The tensors as arrays onto a block on the host."""
        return {
            name: np.ndarray(spec.shape, spec.dtype, buffer=block.data, offset=offset)
            for name, (offset, spec) in self.places.items()
        }


class PinnedBlock:
    """Page-locked memory on the host. numpy owns it, so an array onto it never dangles; CUDA copies it without the CPU."""

    def __init__(self, cuda: Cuda, layout: Layout) -> None:
        raw = np.zeros(layout.size_bytes + PAGE_BYTES, np.uint8)
        start = -raw.ctypes.data % PAGE_BYTES
        self.bytes: Bytes = raw[start : start + layout.size_bytes]
        self.pointer = int(self.bytes.ctypes.data)
        self.views = layout.views(self.bytes)
        self._cuda = cuda
        cuda.call("cudaHostRegister", self.pointer, layout.size_bytes, DEFAULT_REGISTRATION)

    def close(self) -> None:
        """Unlocks the pages; the arrays stay readable."""
        with suppress(EngineError):  # a device that is lost has let go of everything
            self._cuda.call("cudaHostUnregister", self.pointer)


class DeviceBlock:
    """Memory on the device, allocated once."""

    def __init__(self, cuda: Cuda, layout: Layout) -> None:
        self._cuda = cuda
        self.size_bytes = layout.size_bytes
        self.pointer = int(cuda.call("cudaMalloc", layout.size_bytes))
        self.addresses = {name: self.pointer + offset for name, (offset, _) in layout.places.items()}

    def close(self) -> None:
        """Frees it."""
        with suppress(EngineError):  # as above
            self._cuda.call("cudaFree", self.pointer)
