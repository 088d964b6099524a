"""One TensorRT plan on the device: its buffers, its stream, its CUDA graphs. What an engine is made of.

The adapter's inputs are there twice on the device. One side is read while windows run; another adapter is copied into the
other side, in the same stream, and from then on that side is read. Each side has a CUDA graph of its own with its own
addresses, captured before the first window, so a flip captures nothing, allocates nothing and waits for nothing.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.runtime import contract
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import BundleRejected, EngineError
from cavs.runtime.manifest import TensorSpec
from cavs.runtime.rtx_cache import RuntimeCacheFile
from cavs.runtime.tensorrt_cuda import NO_GRAPH_FLAGS, NON_BLOCKING_STREAM, Bytes, Cuda, DeviceBlock, Layout, PinnedBlock
from cavs.runtime.tensorrt_versions import Library, make_logger, said

SIDES = 2


class _Side:
    """One copy of the adapter's inputs on the device, and the graph that reads it."""

    def __init__(self, block: DeviceBlock) -> None:
        self.block = block
        self.holds: object = None
        """The packed adapter that was copied into it last."""
        self.graph: Any = None


class TensorRtExecutor:
    """Deserialises a trusted plan and runs it. One thread at a time.

    slots: the adapter inputs that this plan takes, in the order in which they are packed.
    graphs: replay windows as a CUDA graph; without, each call is enqueued by itself.
    Raises BundleRejected if the plan's inputs and outputs are not the bundle's, EngineError if a call fails.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: bytes,
        slots: tuple[TensorSpec, ...],
        *,
        library: Library,
        cuda: Cuda,
        graphs: bool = True,
        cache: RuntimeCacheFile | None = None,
    ) -> None:
        self.library, self._cuda = library, cuda
        self.name = library.name
        self.graphs_off = "" if graphs else "not asked for"
        """Why no CUDA graphs are used; empty if they are."""
        self.flips = 0
        """Times that a window read another side than the one before."""
        manifest = bundle.manifest
        self.slots = Layout.of(slots)
        inputs, outputs = Layout.of(manifest.inputs[:2]), Layout.of(manifest.outputs)
        self._logger = make_logger(library)
        self._closing: list[Any] = []
        try:
            self.stream = self._made("cudaStreamCreateWithFlags", NON_BLOCKING_STREAM, undo="cudaStreamDestroy")
            self._inputs, self._outputs = self._pinned(inputs), self._pinned(outputs)
            self._staging = self._pinned(self.slots)
            self._device_inputs, self._device_outputs = self._on_device(inputs), self._on_device(outputs)
            self._sides = [_Side(self._on_device(self.slots)) for _ in range(SIDES)]
            self._front = self._sides[0]
            self.engine = self._deserialised(plan)
            check_plan_io(self.engine, library, (*manifest.inputs[:2], *slots), manifest.outputs, bundle)
            self._context = self._new_context(cache)
            for block in (self._device_inputs, self._device_outputs):
                self._point(block)
            self._warm_up()
            if cache is not None:
                cache.keep()
        except BaseException:
            self.close()
            raise

    @property
    def frame(self) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3): put a window's frame here."""
        view: npt.NDArray[np.uint8] = self._inputs.views[contract.FRAME][0]
        return view

    @property
    def sound(self) -> npt.NDArray[np.float32]:
        """float32 (N,): put a window's sound here."""
        view: npt.NDArray[np.float32] = self._inputs.views[contract.SOUND][0]
        return view

    @property
    def outputs(self) -> dict[str, npt.NDArray[Any]]:
        """Name -> array that `run` overwrites."""
        return self._outputs.views

    def pack(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Bytes:
        """An adapter's tensors as one block, laid out as on the device. Any thread; no CUDA."""
        block: Bytes = np.zeros(self.slots.size_bytes, np.uint8)
        for name, view in self.slots.views(block).items():
            view[...] = tensors[name]
        return block

    def run(self, packed: Bytes) -> None:
        """Runs one window: reads `frame` and `sound`, fills `outputs`, with the adapter that `pack` made."""
        self._flip_to(packed)
        if self._front.graph is not None:
            self._cuda.call("cudaGraphLaunch", self._front.graph, self.stream)
        else:
            self._enqueue()
        self._cuda.call("cudaStreamSynchronize", self.stream)

    def capture(self) -> None:
        """Captures the work of a window for each side, after it ran at least once; again when anything it uses has changed."""
        if self.graphs_off:
            return
        for side in self._sides:
            self._drop_graph(side)
            self._point(side.block)
            side.graph = self._captured()
        self._point(self._front.block)

    def close(self) -> None:
        """Frees the device's memory and everything else; idempotent."""
        with suppress(EngineError):  # a stream that failed has nothing left to wait for
            if self._closing:
                self._cuda.call("cudaStreamSynchronize", self.stream)
        for side in getattr(self, "_sides", ()):
            self._drop_graph(side)
        self._context = self.engine = None
        while self._closing:
            self._closing.pop()()

    def _flip_to(self, packed: Bytes) -> None:
        if self._front.holds is packed:
            return
        side = next((side for side in self._sides if side.holds is packed), None)
        if side is None:
            side = next(side for side in self._sides if side is not self._front)
            side.holds = None
            np.copyto(self._staging.bytes, packed)
            self._copy(side.block.pointer, self._staging.pointer, side.block.size_bytes, "HostToDevice")
            side.holds = packed
        self._front = side
        if side.graph is None:  # a graph has its addresses in it
            self._point(side.block)
        self.flips += 1

    def _enqueue(self) -> None:
        """The work of one window, as the stream sees it."""
        self._copy(self._device_inputs.pointer, self._inputs.pointer, self._device_inputs.size_bytes, "HostToDevice")
        if not self._context.execute_async_v3(int(self.stream)):
            raise EngineError(f"{self.name}: execute_async_v3: {said(self._logger)}")
        self._copy(self._outputs.pointer, self._device_outputs.pointer, self._device_outputs.size_bytes, "DeviceToHost")

    def _copy(self, target: int, source: int, size_bytes: int, kind: str) -> None:
        direction = self._cuda.member("cudaMemcpyKind", f"cudaMemcpy{kind}")
        self._cuda.call("cudaMemcpyAsync", target, source, size_bytes, direction, self.stream)

    def _point(self, block: DeviceBlock) -> None:
        """Tells the context where these tensors lie."""
        for name, address in block.addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise EngineError(f"{self.name}: set_tensor_address {name}: {said(self._logger)}")

    def _warm_up(self) -> None:
        """Runs each side once, so that everything lazy has happened, then captures the graphs."""
        for side in self._sides:
            self._point(side.block)
            self._enqueue()
            self._cuda.call("cudaStreamSynchronize", self.stream)
        asks = not self.graphs_off and self.library.differences.asks_capturable
        if asks and not self._context.is_stream_capturable(int(self.stream)):
            self.graphs_off = "TensorRT says that this plan cannot be captured"
        self.capture()

    def _captured(self) -> Any:
        self._cuda.call("cudaStreamBeginCapture", self.stream, self._cuda.member("cudaStreamCaptureMode", _CAPTURE_MODE))
        try:
            self._enqueue()
        except EngineError:
            with suppress(EngineError):  # it says only that the capture was broken off
                self._cuda.call("cudaStreamEndCapture", self.stream)
            raise
        graph = self._cuda.call("cudaStreamEndCapture", self.stream)
        try:
            return self._cuda.call("cudaGraphInstantiate", graph, NO_GRAPH_FLAGS)
        finally:
            with suppress(EngineError):  # what went wrong before says more
                self._cuda.call("cudaGraphDestroy", graph)

    def _drop_graph(self, side: _Side) -> None:
        if side.graph is not None:
            with suppress(EngineError):  # of a device that is lost
                self._cuda.call("cudaGraphExecDestroy", side.graph)
            side.graph = None

    def _deserialised(self, plan: bytes) -> Any:
        runtime = self.library.module.Runtime(self._logger)
        runtime.engine_host_code_allowed = False  # the default, but it decides whether a plan may bring code of its own
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f"{self.name}: deserialize_cuda_engine: {said(self._logger)}")
        self._runtime = runtime  # an engine does not keep its runtime alive in every version
        return engine

    def _new_context(self, cache: RuntimeCacheFile | None) -> Any:
        if self.library.differences.runtime_config:
            config = self.engine.create_runtime_config()
            if self.library.differences.runtime_cache:
                config.cuda_graph_strategy = self.library.module.CudaGraphStrategy.DISABLED  # graphs are captured here
                if cache is not None:
                    cache.attach(config)
            context = self.engine.create_execution_context(config)
        else:
            context = self.engine.create_execution_context()
        if context is None:
            raise EngineError(f"{self.name}: create_execution_context: {said(self._logger)}")
        return context

    def _made(self, call: str, *arguments: Any, undo: str) -> Any:
        made = self._cuda.call(call, *arguments)

        def release() -> None:
            with suppress(EngineError):  # of a device that is lost
                self._cuda.call(undo, made)

        self._closing.append(release)
        return made

    def _pinned(self, layout: Layout) -> PinnedBlock:
        block = PinnedBlock(self._cuda, layout)
        self._closing.append(block.close)
        return block

    def _on_device(self, layout: Layout) -> DeviceBlock:
        block = DeviceBlock(self._cuda, layout)
        self._closing.append(block.close)
        return block


_CAPTURE_MODE = "cudaStreamCaptureModeThreadLocal"
"""Other threads of the process may use CUDA meanwhile."""


def check_plan_io(
    engine: Any, library: Library, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], bundle: Bundle
) -> None:
    """Raises BundleRejected unless a deserialised plan has exactly these inputs and outputs."""
    seen = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        mode = engine.get_tensor_mode(name).name.lower()
        shape = ", ".join(str(size) for size in engine.get_tensor_shape(name))
        seen[name] = f"{mode} {name} {library.dtype_name(engine.get_tensor_dtype(name))} ({shape})"
    expected = {spec.name: f"{mode} {spec}" for mode, specs in (("input", inputs), ("output", outputs)) for spec in specs}
    for name in sorted(seen.keys() | expected.keys()):
        if seen.get(name) != expected.get(name):
            raise BundleRejected(
                f"{bundle.root}: its {library.name} plan has {seen.get(name, f'no {name}')}, the manifest says "
                f"{expected.get(name, f'no {name}')}; build the plan again"
            )
