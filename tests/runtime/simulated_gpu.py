"""A GPU that does on the CPU what CUDA promises: memory, one stream, capture and replay; and TensorRT's classes on top.

The classes are narrowed to what real releases have (`real_signatures`). A plan is the path of an ONNX graph, which ONNX
Runtime computes when the "kernel" runs. Captured work keeps the addresses that it was captured with, as a CUDA graph does.
"""

# ruff: noqa: N802, N815  CUDA's own names

import ctypes
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from cavs.runtime.tensorrt_cuda import Cuda
from cavs.runtime.tensorrt_versions import Library, differences
from tests.runtime.real_signatures import RELEASES, as_described

ILLEGAL_ADDRESS = 700
NUMPY = {onnx.TensorProto.UINT8: ("UINT8", np.uint8), onnx.TensorProto.FLOAT: ("FLOAT", np.float32)}


class SimulatedRuntime:
    """`cuda.bindings.runtime` for one device.

    `fail[name] = n` lets the n-th call of a function from now on fail, and all calls of any function after it.
    """

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor="major",
        cudaDevAttrComputeCapabilityMinor="minor",
    )

    def __init__(self, sm: str = "86") -> None:
        self.sm = sm
        self.memory: dict[int, Any] = {}
        self.registered: dict[int, int] = {}
        self.streams: set[int] = set()
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.recording: list[Callable[[], None]] | None = None
        self.calls: Counter[str] = Counter()
        self.fail: dict[str, int] = {}
        self.lost = False
        self.compiled = 0
        """Times that TensorRT for RTX had to compile kernels."""
        self._next = 1

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if not name.startswith("cuda") or not callable(value):
            return value

        def counted(*arguments: Any) -> Any:
            self.calls[name] += 1
            self.fail = {key: left - (key == name) for key, left in self.fail.items()}
            self.lost = self.lost or any(left <= 0 for left in self.fail.values())
            if self.lost and name != "cudaGetErrorString":
                return (ILLEGAL_ADDRESS, None)
            return value(*arguments)

        return counted

    @property
    def in_use(self) -> dict[str, int]:
        """What is allocated, registered, open and instantiated."""
        return {
            "blocks": len(self.memory),
            "registered": len(self.registered),
            "streams": len(self.streams),
            "graphs": len(self.graphs),
        }

    def enqueue(self, work: Callable[[], None]) -> None:
        """Does it now, or when the graph that is being captured is launched."""
        work() if self.recording is None else self.recording.append(work)

    def bytes_at(self, pointer: int, size: int) -> npt.NDArray[np.uint8]:
        """Device memory; fails where nothing is allocated."""
        for start, block in self.memory.items():
            if start <= pointer and pointer + size <= start + len(block):
                return np.frombuffer(block, np.uint8, size, pointer - start)
        raise AssertionError(f"device address {pointer:#x} + {size} was never allocated")

    # The functions of CUDA, as cuda-python gives them: (status, value...).

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:
        return 0, b"an illegal memory access was encountered"

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return 0, 1

    def cudaDeviceGetAttribute(self, attr: str, device: int) -> tuple[int, int]:
        return 0, int(self.sm[:-1] if attr == "major" else self.sm[-1])

    def cudaRuntimeGetVersion(self) -> tuple[int, int]:
        return 0, 13040

    def cudaDriverGetVersion(self) -> tuple[int, int]:
        return 0, 13020

    def cudaMemGetInfo(self) -> tuple[int, int, int]:
        return 0, (8 << 30) - sum(len(block) for block in self.memory.values()), 8 << 30

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        block = bytearray(size)
        pointer = 0x7000_0000_0000 + self._next * (1 << 32)
        self._next += 1
        self.memory[pointer] = block
        return 0, pointer

    def cudaFree(self, devPtr: int) -> tuple[int]:
        del self.memory[devPtr]
        return (0,)

    def cudaHostRegister(self, ptr: int, size: int, flags: int) -> tuple[int]:
        assert ptr % 4096 == 0
        self.registered[ptr] = size
        return (0,)

    def cudaHostUnregister(self, ptr: int) -> tuple[int]:
        del self.registered[ptr]
        return (0,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        self._next += 1
        self.streams.add(self._next)
        return 0, self._next

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        self.streams.remove(stream)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        assert self.recording is None, "a stream that is being captured cannot be waited for"
        return (0,)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: int, stream: int) -> tuple[int]:
        host = src if kind == 1 else dst
        known = any(start <= host and host + count <= start + size for start, size in self.registered.items())
        assert known, "host memory that is not page-locked would be copied while the CPU waits"
        block = self.bytes_at(dst if kind == 1 else src, count)
        on_host = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(host))
        self.enqueue(lambda: np.copyto(block, on_host) if kind == 1 else np.copyto(on_host, block))
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        self.recording = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, list[Callable[[], None]]]:
        recorded, self.recording = self.recording, None
        return 0, recorded or []

    def cudaGraphInstantiate(self, graph: list[Callable[[], None]], flags: int) -> tuple[int, int]:
        self._next += 1
        self.graphs[self._next] = graph
        return 0, self._next

    def cudaGraphDestroy(self, graph: list[Callable[[], None]]) -> tuple[int]:
        return (0,)

    def cudaGraphExecDestroy(self, graphExec: int) -> tuple[int]:
        del self.graphs[graphExec]
        return (0,)

    def cudaGraphLaunch(self, graphExec: int, stream: int) -> tuple[int]:
        for work in self.graphs[graphExec]:
            work()
        return (0,)


class SimulatedGpu:
    """A device with one release of TensorRT on it."""

    def __init__(self, release: str = "rtx-1.7", sm: str = "86") -> None:
        self.runtime = SimulatedRuntime(sm)
        self.cuda = Cuda(self.runtime)
        module = as_described(release, _doubles(self.runtime))
        target: Any = RELEASES[release]
        self.library = Library(target, module, module.__version__, differences(target, module.__version__))


def plan_of(graph: Path, refittable: tuple[str, ...] = ()) -> bytes:
    """A "plan" that the simulated TensorRT deserialises."""
    return json.dumps({"graph": str(graph), "refittable": refittable}).encode()


def _doubles(runtime: SimulatedRuntime) -> dict[str, type]:
    """What each class does. What it may do is decided by the release."""

    class ILogger:
        _module: Any

        def log(self, severity: Any, msg: str) -> None: ...

    class ICudaEngine:
        _module: Any

        def __init__(self) -> None: ...

        def _load(self, plan: bytes) -> None:
            said = json.loads(plan)
            model = onnx.load(said["graph"])
            self._refittable = list(said["refittable"])
            self._weights = {
                each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer if each.name in self._refittable
            }
            known = {each.name: each for each in model.graph.initializer}
            for name in self._refittable:  # an initializer that is an input as well can be overridden
                shape = list(known[name].dims)
                model.graph.input.append(onnx.helper.make_tensor_value_info(name, known[name].data_type, shape))
            options = onnxruntime.SessionOptions()
            options.log_severity_level, options.intra_op_num_threads = 3, 1
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)
            self._io = {
                value.name: (mode, value.type.tensor_type.elem_type, [d.dim_value for d in value.type.tensor_type.shape.dim])
                for mode, values in (("INPUT", model.graph.input), ("OUTPUT", model.graph.output))
                for value in values
                if value.name not in self._refittable
            }

        @property
        def num_io_tensors(self) -> int:
            return len(self._io)

        def get_tensor_name(self, index: int) -> str:
            return str(list(self._io)[index])

        def get_tensor_mode(self, name: str) -> Any:
            return getattr(self._module.TensorIOMode, self._io[name][0])

        def get_tensor_dtype(self, name: str) -> Any:
            return getattr(self._module.DataType, NUMPY[self._io[name][1]][0])

        def get_tensor_shape(self, name: str) -> list[int]:
            return self._io[name][2]

        def create_runtime_config(self) -> Any:
            return self._module.IRuntimeConfig()

        def create_execution_context(self, config: Any = None) -> Any:
            context = self._module.IExecutionContext()
            context._engine = self
            return context

    class IRuntimeConfig:
        _module: Any

        def __init__(self) -> None: ...

        def create_runtime_cache(self) -> Any:
            return self._module.IRuntimeCache()

        def set_runtime_cache(self, cache: Any) -> bool:
            return True

    class IRuntimeCache:
        _module: Any

        def __init__(self) -> None:
            self._content = b""

        def deserialize(self, blob: bytes) -> bool:
            self._content = blob
            return True

        def serialize(self) -> bytes:
            if not self._content:
                self._content = b"kernels compiled for this device"
                runtime.compiled += 1
            return self._content

    class IExecutionContext:
        _module: Any

        def __init__(self) -> None:
            self._addresses: dict[str, int] = {}
            self._engine: Any = None

        def is_stream_capturable(self, stream: int) -> bool:
            return True

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            if runtime.lost:
                return False
            addresses = dict(self._addresses)
            runtime.enqueue(lambda: self._compute(addresses))
            return True

        def _compute(self, addresses: dict[str, int]) -> None:
            engine = self._engine
            arrays = {}
            for name, (_, kind, shape) in engine._io.items():
                dtype = np.dtype(NUMPY[kind][1])
                raw = runtime.bytes_at(addresses[name], int(np.prod(shape)) * dtype.itemsize)
                arrays[name] = raw.view(dtype).reshape(shape)
            outputs = [value.name for value in engine._session.get_outputs()]
            feeds = {name: array for name, array in arrays.items() if name not in outputs} | engine._weights
            for name, value in zip(outputs, engine._session.run(outputs, feeds), strict=True):
                np.copyto(arrays[name], value)

    class Weights:
        _module: Any

        def __init__(self, a: npt.NDArray[Any]) -> None:
            self._array = a

    class Refitter:
        _module: Any

        def __init__(self, engine: Any, logger: Any) -> None:
            self._engine = engine
            self._given: dict[str, Any] = {}

        def get_all_weights(self) -> list[str]:
            return list(self._engine._refittable)

        def get_missing_weights(self) -> list[str]:
            return [name for name in self._engine._refittable if name not in self._given]

        def set_named_weights(self, name: str, weights: Any) -> bool:
            self._given[name] = weights._array
            return name in self._engine._refittable

        def refit_cuda_engine_async(self, stream_handle: int) -> bool:
            self._engine._weights |= self._given
            return not runtime.lost

    class Runtime:
        _module: Any
        engine_host_code_allowed = True  # worse than the real default, so that the product must say it

        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            assert not self.engine_host_code_allowed
            if not serialized_engine.startswith(b"{"):
                severity = SimpleNamespace(name="ERROR")
                self._logger.log(severity, "Magic tag does not match")
                return None
            engine = self._module.ICudaEngine()
            engine._load(serialized_engine)
            return engine

    kinds = (ILogger, ICudaEngine, IRuntimeConfig, IRuntimeCache, IExecutionContext, Weights, Refitter, Runtime)
    return {kind.__name__: kind for kind in kinds}
