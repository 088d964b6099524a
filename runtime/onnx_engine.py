"""ONNX Runtime on the CPU: one session, buffers bound once, an adapter is a set of bound buffers."""

import copy
import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, check_adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine, Prediction, PreparedAdapter, check_prediction, fill_window
from cavs.runtime.errors import BundleRejected, EngineError

THREADS_MAX_BY_DEFAULT = 4
"""The network is small: past four threads waiting for each other costs more than they compute."""

ORT_LOG_ERRORS = 3
"""ONNX Runtime's severity `error`: what it has to say comes to us as exceptions."""

# ONNX Runtime's exceptions have no parent of their own; these are all it defines, plus what pybind raises by itself.
ORT_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(ort_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)

_ORT_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


@dataclass(frozen=True, slots=True, eq=False)
class OnnxAdapter:
    """An adapter bound to a session. Holds the arrays that ONNX Runtime reads without copying."""

    adapter: Adapter
    engine: "OnnxEngine"
    binding: onnxruntime.IOBinding
    values: tuple[onnxruntime.OrtValue, ...]


def threads_by_default() -> int:
    """As many as this process may use, at most four."""
    return min(len(os.sched_getaffinity(0)), THREADS_MAX_BY_DEFAULT)


class OnnxEngine:
    """Runs a bundle's graph on the CPU; ready, warm and checked against its manifest when constructed.

    Threads of the session sleep between windows instead of spinning: the sensors share the cores.
    Raises BundleRejected if the graph is not what the manifest says, EngineError if it cannot be loaded or run.
    """

    name = "onnx"
    reserve: Engine | None = None

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.bundle = bundle
        self.threads = threads or threads_by_default()
        self._session: onnxruntime.InferenceSession | None = self._load()
        _check_graph(self._session, bundle)
        self._allocate()
        self.run(np.zeros_like(self._frame), np.zeros_like(self._sound), self.prepare(default_adapter(bundle)))

    def twin(self) -> "OnnxEngine":
        """An engine on the same session with buffers of its own: the two may be run by two threads at once."""
        twin = copy.copy(self)
        twin._allocate()
        return twin

    def _allocate(self) -> None:
        manifest = self.bundle.manifest
        self._inputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in manifest.inputs[:2]}
        self._outputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in manifest.outputs}
        self._frame, self._sound = self._inputs[contract.FRAME][0], self._inputs[contract.SOUND][0]
        self._prediction = Prediction(
            labels=self._outputs[contract.LABELS][0],
            confidence=self._outputs[contract.CONFIDENCE][0],
            presence=self._outputs[contract.PRESENCE][0],
        )

    def prepare(self, adapter: Adapter) -> OnnxAdapter:
        """Binds an adapter's tensors, and the engine's own buffers, as one set of inputs and outputs."""
        session = self._open()
        check_adapter(adapter, self.bundle)
        binding = session.io_binding()
        values = []
        try:
            for name, array in (*self._inputs.items(), *adapter.tensors.items()):
                values.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))
                binding.bind_ortvalue_input(name, values[-1])
            for name, array in self._outputs.items():
                values.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))
                binding.bind_ortvalue_output(name, values[-1])
        except ORT_ERRORS as error:
            raise EngineError(f"{self.name}: adapter {adapter.id[:12]} cannot be bound: {one_line(error)}") from error
        return OnnxAdapter(adapter, self, binding, tuple(values))

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], adapter: PreparedAdapter) -> Prediction:
        """Runs one window; see `Engine.run`."""
        session = self._open()
        if not isinstance(adapter, OnnxAdapter) or adapter.engine is not self:
            raise ValueError("the adapter was prepared by another engine; prepare it with this one")
        fill_window(self.name, frame, self._frame, sound, self._sound)
        try:
            session.run_with_iobinding(adapter.binding)
        except ORT_ERRORS as error:
            raise EngineError(f"{self.name}: bundle {self.bundle.id[:12]} failed to run: {one_line(error)}") from error
        check_prediction(self.name, self.bundle, self._prediction)
        return self._prediction

    def close(self) -> None:
        """Lets go of the session; bound adapters keep it until they are let go as well."""
        self._session = None

    @staticmethod
    def version() -> str:
        """Of ONNX Runtime."""
        return str(onnxruntime.__version__)

    def _load(self) -> onnxruntime.InferenceSession:
        return load_session(self.bundle, self.threads)

    def _open(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise EngineError(f"{self.name}: the engine of bundle {self.bundle.id[:12]} is closed")
        return self._session


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """How every session of ours is set up: one step after the other, threads that sleep while they wait."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ORT_LOG_ERRORS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def load_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """The bundle's graph in ONNX Runtime on the CPU."""
    options = session_options(threads)
    try:
        return onnxruntime.InferenceSession(str(bundle.graph_path), options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise EngineError(f"{bundle.graph_path}: ONNX Runtime cannot load it: {one_line(error)}") from error


def _check_graph(session: onnxruntime.InferenceSession, bundle: Bundle) -> None:
    manifest = bundle.manifest
    for kind, nodes, specs in (
        ("inputs", session.get_inputs(), manifest.inputs),
        ("outputs", session.get_outputs(), manifest.outputs),
    ):
        seen = {node.name: _shown(node.name, _ORT_DTYPES.get(node.type, node.type), node.shape) for node in nodes}
        expected = {spec.name: _shown(spec.name, spec.dtype, spec.shape) for spec in specs}
        for name in sorted(seen.keys() | expected.keys()):
            if seen.get(name) != expected.get(name):
                raise BundleRejected(
                    f"{bundle.graph_path}: its {kind} have {seen.get(name, f'no {name}')}, the manifest says "
                    f"{expected.get(name, f'no {name}')}; export the bundle again"
                )


def _shown(name: str, dtype: str, shape: tuple[object, ...] | list[object]) -> str:
    return f"{name} {dtype} ({', '.join(map(str, shape))})"


def one_line(error: Exception) -> str:
    """Its text without line breaks."""
    return " ".join(str(error).split())
